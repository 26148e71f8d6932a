//! What follows from an attempt: for the mail, and for its account. Pure; clock and chance are arguments.

use std::time::Duration;

use postroom_shared::clock::Millis;
use postroom_shared::queue::Outcome;
use postroom_shared::reason::Reason;

use crate::retry::RetryPolicy;
use crate::verdict::Verdict;

/// What the decision depends on besides the findings.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Recipients that were refused for good in earlier attempts, by place.
    pub failed: &'a [usize],
    /// Now.
    pub now: Millis,
    /// The fleet's policy.
    pub policy: &'a RetryPolicy,
    /// Chance, from 0 to 1.
    pub jitter: f64,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// For the mail.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Whether it cost an attempt.
    pub counted: bool,
    /// Recipients that are tried again; after a death those a retry would go to.
    pub open: Vec<usize>,
    /// Recipients that were refused for good.
    pub failed: Vec<usize>,
    /// For the account: held, until a person acts.
    pub hold: bool,
}

/// Decides, from what the attempt came to for each recipient that was open, by place in the envelope.
#[must_use]
pub fn next_step(findings: &[(usize, Verdict)], situation: &Situation<'_>) -> NextStep {
    let mut failed = situation.failed.to_vec();
    let mut open = Vec::new();
    let mut waits: Option<(Reason, Duration)> = None;
    let mut died: Option<Reason> = None;
    let mut hold = false;
    for (place, verdict) in findings {
        match verdict {
            Verdict::Delivered => {}
            Verdict::Permanent(reason) => {
                failed.push(*place);
                died = Some(*reason);
            }
            Verdict::AuthRefused => {
                open.push(*place);
                hold = true;
            }
            Verdict::Transient { reason, floor } => {
                open.push(*place);
                let longest = waits.map_or(*floor, |(_, known)| known.max(*floor));
                waits = Some((*reason, longest));
            }
            Verdict::Reconnect => {
                open.push(*place);
                waits = waits.or(Some((Reason::Connection, Duration::ZERO)));
            }
            Verdict::Uncertain => {
                open.push(*place);
                waits = Some((Reason::Uncertain, waits.map_or(Duration::ZERO, |(_, floor)| floor)));
            }
        }
    }
    let step = |outcome, reason, counted, open, failed| NextStep { outcome, reason, counted, open, failed, hold };
    if hold {
        return step(Outcome::Back, Reason::Consent, false, open, failed);
    }
    if let Some((reason, floor)) = waits {
        let pause = situation.policy.pause(situation.attempt, situation.jitter, floor);
        return step(Outcome::Retry(situation.now.after(pause)), reason, true, open, failed);
    }
    if failed.is_empty() {
        return step(Outcome::Sent, Reason::Delivered, true, open, failed);
    }
    failed.sort_unstable();
    step(Outcome::Dead, died.unwrap_or(Reason::Recipient), true, failed.clone(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);
    const BUSY: Verdict = Verdict::Transient { reason: Reason::ServerBusy, floor: Duration::ZERO };
    const GONE: Verdict = Verdict::Permanent(Reason::Recipient);

    fn decide(findings: &[(usize, Verdict)], failed: &[usize]) -> NextStep {
        let policy = RetryPolicy { base: Duration::from_secs(10), cap: Duration::from_secs(60) };
        let situation = Situation { attempt: 1, failed, now: NOW, policy: &policy, jitter: 0.5 };
        next_step(findings, &situation)
    }

    #[test]
    fn all_delivered_is_sent() {
        let step = decide(&[(0, Verdict::Delivered), (1, Verdict::Delivered)], &[]);
        assert_eq!((step.outcome, step.reason, step.hold), (Outcome::Sent, Reason::Delivered, false));
    }

    #[test]
    fn a_retry_goes_only_to_those_still_open() {
        let step = decide(&[(0, Verdict::Delivered), (1, BUSY), (2, GONE)], &[]);
        assert_eq!(step.outcome, Outcome::Retry(Millis(NOW.0 + 5_000)));
        assert_eq!((step.open, step.failed), (vec![1], vec![2]));
    }

    #[test]
    fn a_mail_with_a_refused_recipient_ends_as_a_dead_letter_for_that_recipient() {
        let step = decide(&[(1, Verdict::Delivered)], &[2]);
        assert_eq!((step.outcome, step.reason, step.open), (Outcome::Dead, Reason::Recipient, vec![2]));
        let step = decide(&[(0, Verdict::Permanent(Reason::Message))], &[]);
        assert_eq!((step.outcome, step.reason, step.open), (Outcome::Dead, Reason::Message, vec![0]));
    }

    #[test]
    fn a_refused_login_holds_the_account_and_costs_no_attempt() {
        let step = decide(&[(0, Verdict::AuthRefused)], &[]);
        assert_eq!((step.outcome, step.counted, step.hold), (Outcome::Back, false, true));
    }

    #[test]
    fn the_longest_floor_holds() {
        let slow = Verdict::Transient { reason: Reason::ServerBusy, floor: Duration::from_secs(600) };
        let step = decide(&[(0, slow), (1, BUSY)], &[]);
        assert_eq!(step.outcome, Outcome::Retry(Millis(NOW.0 + 600_000)));
    }
}
