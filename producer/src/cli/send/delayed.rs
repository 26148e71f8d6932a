//! What a person is told of mails that will not go now: one line, however many they are.
//!
//! Nothing in here decides when a mail goes.

use postroom::{Outlook, Place};

use crate::cli::mail::goes;

/// The mails so far that will not go now.
#[derive(Default)]
pub(super) struct Delayed {
    handed: u64,
    delayed: u64,
    /// The one that goes last; one that waits for a person before any other.
    last: Option<Outlook>,
}

impl Delayed {
    /// Takes a mail into account.
    pub(super) fn add(&mut self, stands: Option<&Place>) {
        self.handed += 1;
        let Some(outlook) = stands.and_then(|stands| stands.outlook.as_ref()) else { return };
        if outlook.why.is_none() {
            return;
        }
        self.delayed += 1;
        let when = |outlook: &Outlook| outlook.likely_at.map_or(u64::MAX, |at| at.0);
        if self.last.as_ref().is_none_or(|last| when(last) < when(outlook)) {
            self.last = Some(outlook.clone());
        }
    }

    /// The line, if there is anything to tell.
    pub(super) fn words(&self) -> Option<String> {
        let last = self.last.as_ref()?;
        Some(match (self.delayed, self.handed) {
            (1, 1) => format!("it goes {}", goes(last)),
            (delayed, handed) => format!("{delayed} of {handed} mails do not go now; the last goes {}", goes(last)),
        })
    }
}

#[cfg(test)]
mod tests {
    use postroom::{MailState, Millis, Why};

    use super::*;

    fn stands(likely_at: Option<u64>, why: Option<Why>) -> Place {
        let note = "so it is".to_owned();
        let outlook = Outlook { likely_at: likely_at.map(Millis), why, reason: None, too_late: false, note };
        let account = "shop@example.com".parse().unwrap();
        Place { account, state: MailState::Ready, reason: None, outlook: Some(outlook) }
    }

    #[test]
    fn the_last_mail_is_told_and_nothing_if_all_go_now() {
        let mut delayed = Delayed::default();
        delayed.add(Some(&stands(Some(0), None)));
        delayed.add(None);
        assert_eq!(delayed.words(), None);
        delayed.add(Some(&stands(Some(7_000), Some(Why::Rate))));
        delayed.add(Some(&stands(Some(3_000), Some(Why::Rate))));
        let expected =
            "2 of 4 mails do not go now; the last goes probably at 1970-01-01T00:00:07.000Z (rate): so it is";
        assert_eq!(delayed.words().as_deref(), Some(expected));
        delayed.add(Some(&stands(None, Some(Why::Held))));
        assert!(delayed.words().unwrap().contains("not before a person acts (held)"));
    }

    #[test]
    fn a_single_mail_has_its_own_words() {
        let mut delayed = Delayed::default();
        delayed.add(Some(&stands(None, Some(Why::NoWorker))));
        assert_eq!(delayed.words().as_deref(), Some("it goes not before a person acts (no_worker): so it is"));
    }
}
