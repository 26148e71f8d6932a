//! All that happened to one mail, as it is kept in its log: JSON objects, oldest first.
//!
//! Events hold what the server said in the clear; whoever prints one for a log masks it.

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::clock::Millis;
use crate::reason::Reason;
use crate::reply::Reply;

/// Something that happened to a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The mail was handed over. Not stored: it follows from the mail's own state.
    Queued,
    /// A worker tried to send it.
    Attempt(Attempt),
    /// A worker's lease ran out; the mail took its place again.
    TakenBack {
        /// Always `lease_lost`.
        reason: Reason,
        /// The session that had it.
        worker: String,
        /// Whether its bytes may have left.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        begun: bool,
    },
    /// It went to the dead letters.
    Dead {
        /// Why.
        reason: Reason,
    },
    /// A worker delivered it that had lost its lease, after another had: it went out twice.
    Doubled,
    /// An operator or the app cancelled it.
    Cancelled,
    /// An operator or the app gave it another time.
    Rescheduled {
        /// The time from then on.
        to: Millis,
    },
    /// An operator put it back into the queue.
    Retried {
        /// The account that sends it from then on, if it is another one than before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<AccountId>,
    },
    /// It is a mail of a pool, and another account of it sends it from then on.
    Moved {
        /// The account before.
        from: AccountId,
        /// The account from then on.
        to: AccountId,
        /// What kept the account before: `held`, `budget` or `removed`; `chosen`: nothing, another had more budget left
        /// when the mail became due.
        why: String,
    },
    /// An operator threw it away.
    Discarded,
    /// A dead letter was thrown away because the dead letters had passed a limit.
    Dropped {
        /// `age` (`POSTROOM_DEAD_RETENTION`) or `bytes` (`POSTROOM_DEAD_BYTES`).
        limit: String,
    },
}

impl What {
    /// The attempt, if it was one.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        if let Self::Attempt(attempt) = self { Some(attempt) } else { None }
    }
}

/// One try, from the claim to the settling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1; a try that costs no attempt repeats the number.
    pub number: u32,
    /// When the worker claimed it.
    pub claimed: Millis,
    /// The worker's session.
    pub worker: String,
    /// What it came to.
    pub reason: Reason,
    /// What follows: `sent`, `retry`, `check`, `dead` or `back`.
    pub next: String,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Millis>,
    /// What the server said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Recipients that the server refused, by their place in the envelope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<(usize, Reply)>,
    /// The trace that shows it, 32 hex digits, if one was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}
