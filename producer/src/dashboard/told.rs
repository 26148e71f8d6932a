//! What an action came to, told on the page to which it leads: a word of a closed list and numbers, never a text.

use super::bits::count;
use super::form::{Form, query};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Cancelled,
    TooLate,
    Held,
    Resumed,
    Retried,
    Discarded,
    Revoked,
}

impl Done {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Cancelled, "cancelled"),
        (Self::TooLate, "too-late"),
        (Self::Held, "held"),
        (Self::Resumed, "resumed"),
        (Self::Retried, "retried"),
        (Self::Discarded, "discarded"),
        (Self::Revoked, "revoked"),
    ];
}

/// What was done to how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) done: Done,
    /// How many were changed.
    pub(super) changed: u64,
    /// How many could not be changed.
    pub(super) failed: u64,
}

impl Told {
    pub(super) fn one(done: Done) -> Self {
        Self { done, changed: 1, failed: 0 }
    }

    pub(super) fn read(form: &Form) -> Option<Self> {
        let word = form.get("told")?;
        let (done, _) = Done::ALL.into_iter().find(|(_, known)| *known == word)?;
        let number = |name| form.get(name).and_then(|number| number.parse().ok()).unwrap_or(0);
        Some(Self { done, changed: number("changed"), failed: number("failed") })
    }

    /// The address to which the action leads.
    pub(super) fn at(self, path: &str) -> String {
        let word = Done::ALL.into_iter().find(|(done, _)| *done == self.done).map_or("", |(_, word)| word);
        let (changed, failed) = (self.changed.to_string(), self.failed.to_string());
        let between = if path.contains('?') { '&' } else { '?' };
        format!("{path}{between}{}", query(&[("told", word), ("changed", &changed), ("failed", &failed)]))
    }

    pub(super) fn is_bad(self) -> bool {
        self.failed > 0 || self.done == Done::TooLate
    }

    pub(super) fn sentence(self) -> String {
        let letters = match self.changed {
            1 => "1 dead letter".to_owned(),
            number => format!("{} dead letters", count(number)),
        };
        let done = match self.done {
            Done::Cancelled => "The mail is cancelled: it will not go.".to_owned(),
            Done::TooLate => "Nothing was changed: the mail's state did not allow it any more.".to_owned(),
            Done::Held => "The account is held: its mails keep their place and lose no attempt.".to_owned(),
            Done::Resumed => "The account may send again; it is tried with one mail first.".to_owned(),
            Done::Retried => format!("{letters} put back into the queue."),
            Done::Discarded => format!("{letters} thrown away."),
            Done::Revoked => "The key is revoked: it is refused from now on.".to_owned(),
        };
        match self.failed {
            0 => done,
            failed => format!("{done} {} could not be changed: they are no dead letters any more.", count(failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_nothing_else() {
        for (done, _) in Done::ALL {
            let told = Told { done, changed: 3, failed: 1 };
            let path = told.at("/dashboard/dead?reason=quota");
            let form = Form::of_query(path.split_once('?').map(|(_, query)| query.to_owned()));
            assert_eq!(Told::read(&form), Some(told));
            assert!(told.sentence().ends_with('.'));
        }
        assert_eq!(Told::read(&Form::parse(b"told=<script>&changed=1")), None);
    }
}
