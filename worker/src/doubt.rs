//! What becomes of a mail that the server may have taken: Sent is asked before it is sent again.
//!
//! The rule is [`decide`], a pure function. A mail that is there was delivered. One that is not there is believed to be
//! missing only when Gmail had time to index it. While Sent cannot be asked the mail waits, up to its deadline; then, or if
//! Sent is never asked, `POSTROOM_UNCERTAIN` decides.

use std::sync::Arc;
use std::time::Duration;

use postroom_shared::clock::Millis;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{Claimed, Doubt, Job, Queue};
use postroom_shared::reason::Reason;
use postroom_shared::tokens::{AfterRefusal, Tokens};
use tracing::{info, warn};

use crate::sent::{self, Looked, Sent, SentError, Uncertain};

/// So many workers lost while they sent a mail are no chance: it may be the mail that takes them down.
pub const POISON: u32 = 3;

/// Clears doubts.
pub struct Doubts {
    /// The Sent mailboxes; `None`: they are never asked.
    pub sent: Option<Sent>,
    /// How long after the doubt came up "not there" is not believed.
    pub allowance: Duration,
    /// What becomes of a mail if nobody can say.
    pub uncertain: Uncertain,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
}

/// What is known of a mail in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is in Sent.
    Found,
    /// It was not in Sent when that was asked; or nothing could be there, for it is a test mail.
    NotFound,
    /// Sent could not be asked.
    Silent,
    /// Sent is never asked.
    NeverAsked,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// It was delivered.
    Delivered,
    /// It may be sent again.
    SendAgain,
    /// As before, but once only: nobody could say whether it was taken.
    SendBlindly,
    /// Sent is asked again at that time.
    Later(Millis),
    /// It is a dead letter.
    Dead(Reason),
}

/// What a decision depends on besides what is known.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The doubt.
    pub doubt: Doubt,
    /// Leases lost while it was being sent.
    pub leases_lost: u32,
    /// The mail's deadline.
    pub deadline: Millis,
    /// When Sent was asked: before the question, for an answer may take long.
    pub asked_at: Millis,
}

/// Decides.
#[must_use]
pub fn decide(known: Known, case: &Case, allowance: Duration, uncertain: Uncertain) -> Cleared {
    let Case { doubt, leases_lost, deadline, asked_at } = *case;
    let poison = leases_lost >= POISON;
    let next = asked_at.after(sent::pause(doubt.asked));
    match (known, uncertain) {
        (Known::Found, _) => Cleared::Delivered,
        (Known::NotFound, _) if asked_at < doubt.since.after(allowance) => {
            Cleared::Later(next.min(doubt.since.after(allowance)))
        }
        (Known::NotFound, _) if poison => Cleared::Dead(Reason::Poison),
        (Known::NotFound, _) if asked_at >= deadline => Cleared::Dead(Reason::Expired),
        (Known::NotFound, _) => Cleared::SendAgain,
        (Known::Silent, _) if asked_at < deadline => Cleared::Later(next.min(deadline)),
        (Known::Silent, Uncertain::Resend) if !poison => Cleared::SendBlindly,
        (Known::NeverAsked, Uncertain::Resend) if poison => Cleared::Dead(Reason::Poison),
        (Known::NeverAsked, Uncertain::Resend) if asked_at < deadline => Cleared::SendAgain,
        (Known::NeverAsked, Uncertain::Resend) => Cleared::SendBlindly,
        (Known::Silent | Known::NeverAsked, _) => Cleared::Dead(Reason::Uncertain),
    }
}

impl Doubts {
    /// Asks Sent, and decides.
    pub async fn clear(&self, queue: &Queue, tokens: &Tokens, claimed: &Claimed, job: &Job, doubt: Doubt) -> Cleared {
        let asked_at = Millis::now();
        let known = self.ask(tokens, claimed, job).await;
        let case = Case { doubt, leases_lost: claimed.leases_lost, deadline: claimed.deadline, asked_at };
        let allowance = if claimed.is_test() { Duration::ZERO } else { self.allowance };
        let cleared = decide(known, &case, allowance, self.uncertain);
        info!(?known, ?cleared, asked = doubt.asked, "a mail in doubt was looked for");
        match cleared {
            Cleared::SendBlindly => match queue.take_last_chance(claimed.id).await {
                Ok(true) => Cleared::SendBlindly,
                Ok(false) => Cleared::Dead(Reason::Uncertain),
                Err(_) => Cleared::Later(asked_at.after(sent::pause(doubt.asked))),
            },
            Cleared::Delivered | Cleared::SendAgain | Cleared::Later(_) | Cleared::Dead(_) => cleared,
        }
    }

    async fn ask(&self, tokens: &Tokens, claimed: &Claimed, job: &Job) -> Known {
        if claimed.is_test() {
            return Known::NotFound;
        }
        let Some(sent) = &self.sent else { return Known::NeverAsked };
        let known = match look(sent, tokens, claimed, job).await {
            // A mail that was parted lies in Sent once for each part.
            Ok(Looked::Found(copies)) if copies > claimed.taken_before() => Known::Found,
            Ok(Looked::Found(_) | Looked::NotFound) => Known::NotFound,
            Err(error) => {
                warn!(%error, "the Sent mailbox could not be asked");
                Known::Silent
            }
        };
        match known {
            Known::Found => self.metrics.reconciled("found"),
            Known::NotFound => self.metrics.reconciled("not_found"),
            Known::Silent => self.metrics.reconciled("unreachable"),
            Known::NeverAsked => {}
        }
        known
    }
}

/// Why Sent was not asked.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error(transparent)]
    Sent(#[from] SentError),
    #[error(transparent)]
    Token(#[from] postroom_shared::tokens::TokenError),
}

/// Looks once; with another token if the first is refused.
async fn look(sent: &Sent, tokens: &Tokens, claimed: &Claimed, job: &Job) -> Result<Looked, NotAsked> {
    let account = &claimed.account;
    let token = tokens.access(account).await?;
    let refused = match sent.look(account, &token, &job.message_id).await {
        Err(error @ SentError::LoginRefused { .. }) => error,
        looked => return Ok(looked?),
    };
    match tokens.after_refusal(account, &token).await? {
        AfterRefusal::Try(other) => Ok(sent.look(account, &other, &job.message_id).await?),
        AfterRefusal::FreshRefused => Err(refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: Millis = Millis(1_000_000);
    const ALLOWANCE: Duration = Duration::from_secs(120);

    fn case(asked: u32, leases_lost: u32, deadline_s: u64, asked_at_s: u64) -> Case {
        let after = |seconds| SINCE.after(Duration::from_secs(seconds));
        Case {
            doubt: Doubt { since: SINCE, asked },
            leases_lost,
            deadline: after(deadline_s),
            asked_at: after(asked_at_s),
        }
    }

    #[test]
    fn every_case_has_its_answer() {
        let later = |seconds| Cleared::Later(SINCE.after(Duration::from_secs(seconds)));
        let (resend, dead) = (Uncertain::Resend, Uncertain::Dead);
        for (known, case, uncertain, expected) in [
            (Known::Found, case(0, 0, 900, 1), resend, Cleared::Delivered),
            (Known::Found, case(9, 3, 900, 901), dead, Cleared::Delivered),
            // Not there is believed only after the allowance, counted to the moment of asking.
            (Known::NotFound, case(0, 0, 900, 1), resend, later(6)),
            (Known::NotFound, case(6, 0, 900, 119), dead, later(120)),
            (Known::NotFound, case(7, 0, 900, 120), resend, Cleared::SendAgain),
            (Known::NotFound, case(7, 0, 900, 120), dead, Cleared::SendAgain),
            (Known::NotFound, case(7, 3, 900, 120), resend, Cleared::Dead(Reason::Poison)),
            (Known::NotFound, case(7, 0, 900, 900), resend, Cleared::Dead(Reason::Expired)),
            // Out of reach: up to the deadline, then by the setting.
            (Known::Silent, case(9, 0, 900, 500), resend, later(560)),
            (Known::Silent, case(9, 0, 900, 880), resend, later(900)),
            (Known::Silent, case(9, 0, 900, 900), resend, Cleared::SendBlindly),
            (Known::Silent, case(9, 0, 900, 900), dead, Cleared::Dead(Reason::Uncertain)),
            (Known::Silent, case(9, 3, 900, 900), resend, Cleared::Dead(Reason::Uncertain)),
            (Known::NeverAsked, case(0, 0, 900, 1), resend, Cleared::SendAgain),
            (Known::NeverAsked, case(0, 3, 900, 1), resend, Cleared::Dead(Reason::Poison)),
            (Known::NeverAsked, case(0, 0, 900, 900), resend, Cleared::SendBlindly),
            (Known::NeverAsked, case(0, 0, 900, 1), dead, Cleared::Dead(Reason::Uncertain)),
        ] {
            assert_eq!(decide(known, &case, ALLOWANCE, uncertain), expected, "{known:?} {case:?} {uncertain}");
        }
    }
}
