//! The 200 mails in the order in which they are handed over, mixed so that no kind comes in one lump.

use std::time::{Duration, UNIX_EPOCH};

use postroom::{Millis, NewMail};

use crate::kinds::{COUNTS, Kind};

/// The accounts that send. The first loses its access token on the way.
pub(crate) const ACCOUNTS: [&str; 3] = ["shop@demo.example", "news@demo.example", "team@demo.example"];
/// How far ahead the scheduled mail is.
const AHEAD: Duration = Duration::from_secs(2);

/// A mail to be handed over.
pub(crate) struct Planned {
    /// What it shows.
    pub(crate) kind: Kind,
    /// The mail.
    pub(crate) mail: NewMail,
}

/// All of them. `now` is the time from which the scheduled one counts.
pub(crate) fn plan(now: Millis) -> Vec<Planned> {
    mixed().into_iter().enumerate().map(|(place, kind)| planned(place + 1, kind, now)).collect()
}

/// The kinds, each spread evenly over the whole: by where its k-th of n stands between 0 and 1.
fn mixed() -> Vec<Kind> {
    let spread =
        |(kind, count): (Kind, usize)| (0..count).map(move |place| ((place * 2 + 1) as f64 / (count * 2) as f64, kind));
    let mut places: Vec<(f64, Kind)> = COUNTS.into_iter().flat_map(spread).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    places.into_iter().map(|(_, kind)| kind).collect()
}

fn planned(n: usize, kind: Kind, now: Millis) -> Planned {
    let account = ACCOUNTS[n % ACCOUNTS.len()];
    let mut mail = NewMail {
        from: format!("Demo <{account}>"),
        to: vec![format!("Customer {n} <customer-{n}@example.org>")],
        tags: [("kind".to_owned(), format!("{kind:?}"))].into(),
        idempotency_key: Some(format!("demo-{n}")),
        ..NewMail::default()
    };
    kind.write(n, &mut mail);
    if kind == Kind::Scheduled {
        mail.send_at = Some(UNIX_EPOCH + Duration::from_millis(now.after(AHEAD).0));
    }
    Planned { kind, mail }
}

#[cfg(test)]
mod tests {
    use postroom::Mail;

    use super::*;

    #[test]
    fn all_200_are_mails_that_the_door_takes() {
        let now = Millis(1_800_000_000_000);
        let planned = plan(now);
        assert_eq!(planned.len(), 200);
        for one in &planned {
            assert!(Mail::from_json(&one.mail.to_json(), now).is_ok(), "{:?}", one.kind);
        }
        for account in ACCOUNTS {
            assert!(planned.iter().filter(|one| one.mail.from.contains(account)).count() >= 60, "{account}");
        }
    }
}
