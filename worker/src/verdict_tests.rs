//! What replies mean: by row, by place, by number.

use postroom_shared::reply::Enhanced;

use super::*;

fn table() -> &'static Table {
    Table::builtin().unwrap()
}

fn reply(stage: Stage, code: u16, enhanced: (u8, u16, u16), words: &str) -> Reply {
    Reply::new(stage, code, Some(Enhanced(enhanced.0, enhanced.1, enhanced.2)), words)
}

fn first() -> Nth {
    Nth { attempt: 1, turn: 1, fleet: Vec::new() }
}

fn all(recipients: Vec<Result<(), Reply>>, end: End) -> Vec<(usize, Verdict)> {
    let places: Vec<usize> = (0..recipients.len()).collect();
    verdicts(table(), &places, &Outcome { recipients, end, reusable: false }, &first())
}

/// Class and row of each recipient, in short: `delivered`, `soon other-4xx`.
fn words(verdicts: &[(usize, Verdict)]) -> Vec<String> {
    let word = |(_, verdict): &(usize, Verdict)| match verdict.meaning() {
        Some(meaning) => format!("{} {}", meaning.class.as_str(), meaning.row.name),
        None => format!("{verdict:?}").to_lowercase(),
    };
    verdicts.iter().map(word).collect()
}

#[test]
fn each_recipients_own_reply_says_more_than_the_mails_end() {
    let gone = || Err(reply(Stage::Rcpt, 550, (5, 1, 1), "no such user"));
    let slow = || Err(reply(Stage::Rcpt, 450, (4, 2, 1), "is receiving mail too quickly"));
    let taken = End::Accepted(reply(Stage::Final, 250, (2, 0, 0), "OK"));
    let found = all(vec![Ok(()), gone(), slow()], taken);
    assert_eq!(words(&found), ["delivered", "recipient no-such-user", "soon recipient-too-fast"]);
    // The echo of refused recipients in one flight.
    let echo = End::Refused(reply(Stage::Final, 503, (5, 5, 1), "RCPT first."));
    assert_eq!(words(&all(vec![gone(), slow()], echo)), ["recipient no-such-user", "soon recipient-too-fast"]);
    let limit = End::Refused(reply(Stage::Final, 550, (5, 4, 5), "Daily user sending limit exceeded."));
    assert_eq!(words(&all(vec![Ok(()), gone()], limit)), ["quota daily-limit", "recipient no-such-user"]);
}

#[test]
fn a_421_to_one_recipient_says_nothing_of_the_others_but_that_the_connection_ended() {
    let tls = || reply(Stage::Rcpt, 421, (4, 7, 0), "TLS required for RCPT domain, closing connection.");
    let found = all(vec![Ok(()), Err(tls()), Ok(())], End::Refused(tls()));
    let lost = "soon lost-before-the-dot";
    assert_eq!(words(&found), [lost, "soon recipient-domain-wants", lost]);
    // What concerns the account is said to all of them.
    let rate = || reply(Stage::Rcpt, 421, (4, 7, 28), "unusual rate of mail");
    let found = all(vec![Ok(()), Err(rate())], End::Refused(rate()));
    assert_eq!(words(&found), ["quota unusual-rate", "quota unusual-rate"]);
}

#[test]
fn only_a_loss_after_the_last_byte_is_uncertain() {
    for (stage, expected) in [
        (Stage::Token, "soon silent-token-service"),
        (Stage::Connect, "soon lost-before-the-dot"),
        (Stage::Auth, "soon lost-before-the-dot"),
        (Stage::Mail, "reconnect closed-at-mail"),
        (Stage::Rcpt, "soon lost-before-the-dot"),
        (Stage::Data, "soon lost-before-the-dot"),
        (Stage::Final, "uncertain lost-after-the-dot"),
    ] {
        let lost = End::Lost(Reply::silence(stage, Silence::Closed, "cut"));
        assert_eq!(words(&all(vec![Ok(())], lost)), [expected], "{stage:?}");
    }
    let own = "[[row]]\nname = \"own\"\nsilence = \"closed\"\nclass = \"soon\"\nreason = \"connection\"\nmeans = \"m\"\ndo = \"d\"\nsource = \"seen: x\"\n";
    let own: &'static Table = Box::leak(Box::new(Table::with_overlay(own).unwrap()));
    let cut = meaning(own, &Reply::silence(Stage::Final, Silence::Closed, "cut"), &first());
    assert_eq!((cut.class, cut.row.name.as_str()), (Class::Uncertain, "own"));
    let odd = End::Lost(Reply::silence(Stage::Final, Silence::Garbage, "neither 250 nor a refusal"));
    assert_eq!(words(&all(vec![Ok(())], odd)), ["uncertain lost-after-the-dot"]);
}

#[test]
fn nothing_that_is_refused_before_mail_is_said_of_a_mail() {
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::Auth] {
        for (code, enhanced, text) in
            [(554, (5, 0, 0), "go away"), (550, (5, 7, 1), "no"), (501, (5, 5, 4), "EHLO what?")]
        {
            let found = meaning(table(), &reply(stage, code, enhanced, text), &first());
            assert_eq!(
                (found.class, found.reason, found.alert),
                (Class::Quota, Reason::Config, true),
                "{code} {stage:?}"
            );
            assert!(!found.floor.is_zero() && found.hold > found.floor);
        }
    }
    let at_mail = meaning(table(), &reply(Stage::Mail, 554, (5, 0, 0), "go away"), &first());
    assert_eq!((at_mail.class, at_mail.reason), (Class::Message, Reason::Message));
}

#[test]
fn the_same_reply_again_is_counted_for_whom_its_row_says() {
    let spam = reply(Stage::Final, 550, (5, 7, 1), "this message is likely unsolicited mail");
    let expired = reply(Stage::Mail, 421, (4, 7, 0), "Connection expired, try reconnecting.");
    let full = reply(Stage::Rcpt, 452, (4, 2, 2), "out of storage space");
    let token = reply(Stage::Mail, 535, (5, 7, 8), "Username and Password not accepted");
    let nth = |attempt, turn, count| Nth { attempt, turn, fleet: vec![("unsolicited", count)] };
    for (reply, nth, expected) in [
        // By the fleet's count, whatever the attempt.
        (&spam, nth(9, 1, 3), (Class::Message, Reason::Reputation)),
        (&spam, nth(1, 1, 4), (Class::Quota, Reason::Reputation)),
        // By the try within the attempt.
        (&expired, nth(9, 2, 9), (Class::Reconnect, Reason::Connection)),
        (&expired, nth(1, 3, 1), (Class::Soon, Reason::Connection)),
        (&token, nth(9, 1, 9), (Class::Token, Reason::TokenRefused)),
        (&token, nth(1, 2, 1), (Class::Consent, Reason::Consent)),
        // By the mail's attempt.
        (&full, nth(4, 1, 9), (Class::Soon, Reason::RecipientFull)),
        (&full, nth(5, 1, 1), (Class::Recipient, Reason::RecipientFull)),
    ] {
        let found = meaning(table(), reply, &nth);
        assert_eq!((found.class, found.reason), expected, "{reply} {nth:?}");
    }
    let counted: Vec<_> = table().rows().filter(|row| counts_in_fleet(row)).map(|row| row.name.as_str()).collect();
    assert_eq!(counted, ["unsolicited"]);
}

#[test]
fn a_floor_belongs_to_the_first_class_of_a_row_that_waits() {
    let row = |name: &str| table().rows().find(|row| row.name == name).unwrap();
    let hour = Duration::from_secs(3_600);
    assert_eq!(Meaning::nth(row("recipient-full-for-now"), 1).floor, hour);
    assert_eq!(Meaning::nth(row("unsolicited"), 1).floor, Duration::ZERO);
    assert_eq!(Meaning::nth(row("unsolicited"), 4).floor, hour);
    assert_eq!(Meaning::nth(row("too-many-recipients"), 1).floor, Duration::ZERO);
    assert_eq!(Meaning::after_all(row("too-many-recipients")).hold, 24 * hour);
}

#[test]
fn a_connection_is_given_up_where_its_row_says_so() {
    for (said, expected) in [
        (reply(Stage::Final, 421, (4, 3, 0), "Temporary System Problem"), true),
        (reply(Stage::Mail, 530, (5, 5, 1), "Authentication Required"), true),
        (reply(Stage::Final, 550, (5, 4, 5), "Daily user sending limit exceeded"), false),
        (reply(Stage::Rcpt, 550, (5, 1, 1), "no such user"), false),
    ] {
        assert_eq!(gives_up(&Verdict::Refused(meaning(table(), &said, &first()))), expected, "{said}");
    }
    assert!(!gives_up(&Verdict::Delivered));
}
