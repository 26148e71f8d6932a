//! The mails: text of some 2 KB, different for each, the same in every run. Words from a small dictionary, so that they
//! compress about as well as real mail does, which matters for what a waiting mail costs.

use postroom::NewMail;
use postroom_it::Splitmix;

/// Bytes of a body.
const BODY: usize = 2_000;
/// Characters of a line.
const WIDTH: usize = 72;

const WORDS: &str = "a about account add address after again all also an and any are arrived as ask at back balance \
    because been before best bill book both bring but by call can card change check city close code come confirm \
    contact copy could customer date day dear delivery details did discount do done door down each early email end \
    enough even every find first follow for form found free friday from full get give go good great had half has \
    have hello help her here him his home hour house how if in inside invoice is it item its just keep kind know \
    large last late let letter like line link list little long look made make many may meet message might minute \
    monday money month more most much must my name near need never new next no not note now number of offer office \
    often old on once one only open or order other our out over own package page paid part pay people phone place \
    plan please point post price problem product put question quick rather read ready receipt received regards \
    remember reply report request rest return right room same saturday save say second see send sent service set \
    several shall she ship shop short should show side sign since small so some soon start state still stop store \
    street such sunday support sure take team tell than thank that the their them then there these they thing this \
    those three through thursday time to today together told tomorrow too top total train travel tuesday turn two \
    under until up update us use very visit wait want was watch way we wednesday week well went were what when where \
    which while who why will wish with within without word work world would write year yes yet you your";

/// A number below `bound`, the small ones more often, as words of a language are.
fn skewed(numbers: &mut Splitmix, bound: usize) -> usize {
    let part = (numbers.next() >> 11) as f64 / (1_u64 << 53) as f64;
    ((part * part * bound as f64) as usize).min(bound - 1)
}

/// The address of an account.
pub(crate) fn account(number: usize) -> String {
    format!("sender{number}@bench.example")
}

/// The mail with this number, from one of so many accounts in turn.
pub(crate) fn mail(number: usize, accounts: usize) -> NewMail {
    let mut numbers = Splitmix::new(number as u64);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = format!("Dear customer {number},\n\n");
    let mut column = 0;
    while text.len() < BODY {
        let mut word = words[skewed(&mut numbers, words.len())].to_owned();
        if numbers.next().is_multiple_of(40) {
            word = (numbers.next() % 100_000).to_string();
        }
        if column + word.len() >= WIDTH {
            text.push('\n');
            column = 0;
        }
        text.push_str(&word);
        text.push(if numbers.next().is_multiple_of(12) { '.' } else { ' ' });
        column += word.len() + 1;
    }
    text.push('\n');
    NewMail {
        from: format!("Sender <{}>", account(number % accounts)),
        to: vec![format!("Customer {number} <customer-{number}@example.org>")],
        subject: format!("Your order {number}"),
        text: Some(text),
        ..NewMail::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_differ_and_are_the_same_again() {
        let text = |number| mail(number, 3).text.unwrap();
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        assert!((BODY..BODY + 40).contains(&text(7).len()));
        assert!(text(8).lines().all(|line| line.len() <= WIDTH));
    }
}
