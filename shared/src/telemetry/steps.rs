//! What an attempt did and how long each part took, put down as it happens and made into spans when the attempt is over.
//!
//! Where nobody wants a trace nothing is put down: a step then costs the look at an `Option`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::reply::{Enhanced, Reply, Said, Stage};

/// More than any attempt does unless something runs wild: a hundred recipients, and connections begun anew.
const MOST: usize = 500;

/// One thing that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What, by the words of [`super::names`].
    pub what: &'static str,
    /// When it began.
    pub began: Instant,
    /// When it was over.
    pub ended: Instant,
    /// The server's three digits, if there was a reply.
    pub code: Option<u16>,
    /// The reply's enhanced code.
    pub enhanced: Option<Enhanced>,
    /// Whether it did not come to its good end.
    pub failed: bool,
}

impl Step {
    /// With what the server said at a stage.
    #[must_use]
    pub fn of_reply(what: &'static str, began: Instant, ended: Instant, reply: &Reply) -> Self {
        let enhanced = match &reply.said {
            Said::Reply { enhanced, .. } => *enhanced,
            Said::Silence { .. } => None,
        };
        let failed = reply.code().is_none_or(|code| code >= 400);
        Self { what, began, ended, code: reply.code(), enhanced, failed }
    }
}

/// The steps of one attempt. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Steps(Option<Arc<Mutex<Vec<Step>>>>);

impl Steps {
    /// None is put down.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// All are put down.
    #[must_use]
    pub fn on() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether any is put down.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Something that began then has just ended.
    pub fn done(&self, what: &'static str, began: Instant, failed: bool) {
        if self.is_on() {
            self.put(Step { what, began, ended: Instant::now(), code: None, enhanced: None, failed });
        }
    }

    /// The server answered, or fell silent, at a stage of the dialogue.
    pub fn heard(&self, began: Instant, reply: &Reply) {
        if self.is_on() {
            self.put(Step::of_reply(span_of(reply.stage), began, Instant::now(), reply));
        }
    }

    fn put(&self, step: Step) {
        let Some(steps) = &self.0 else { return };
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() < MOST {
            steps.push(step);
        }
    }

    /// What was put down so far, in the order in which it ended.
    #[must_use]
    pub fn take(&self) -> Vec<Step> {
        self.0
            .as_ref()
            .map(|steps| std::mem::take(&mut *steps.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }
}

fn span_of(stage: Stage) -> &'static str {
    use super::names;
    match stage {
        Stage::Token => names::TOKEN,
        Stage::Connect => names::DIAL,
        Stage::Greeting | Stage::Ehlo => names::EHLO,
        Stage::Auth => names::AUTH,
        Stage::Mail => names::MAIL,
        Stage::Rcpt => names::RCPT,
        Stage::Data => names::DATA,
        Stage::Final => names::FINAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_put_down_only_if_somebody_wants_them_and_never_without_end() {
        let began = Instant::now();
        let off = Steps::off();
        off.done("token", began, false);
        assert!(off.take().is_empty());
        let on = Steps::on();
        on.clone().heard(began, &Reply::new(Stage::Rcpt, 550, Some(Enhanced(5, 1, 1)), "no"));
        let steps = on.take();
        assert_eq!(
            (steps[0].what, steps[0].code, steps[0].enhanced),
            ("smtp rcpt", Some(550), Some(Enhanced(5, 1, 1)))
        );
        assert!(steps[0].failed && on.take().is_empty());
        (0..2 * MOST).for_each(|_| on.done("token", began, false));
        assert_eq!(on.take().len(), MOST);
    }
}
