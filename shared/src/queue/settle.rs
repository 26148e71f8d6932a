//! Ending attempts: many in one script, fenced by their leases.

use std::sync::Arc;

use super::Queue;
use super::claim::Recipients;
use super::job::Job;
use super::push::millis;
use super::session::{SessionId, wrong};
use super::timeline::Event;
use crate::clock::Millis;
use crate::id::MailId;
use crate::reason::Reason;
use crate::store::StoreError;

/// Settlements in one call of the script.
const SLICE: usize = 100;

/// What becomes of a mail after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was open was delivered.
    Sent,
    /// It is tried again at a time, or is a dead letter if that is past its deadline.
    Retry(Millis),
    /// It is a dead letter.
    Dead,
    /// It takes its place again at once; for a worker that stops and an account that was held meanwhile.
    Back,
}

impl Outcome {
    /// The word in scripts and in the timeline.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retry(_) => "retry",
            Self::Dead => "dead",
            Self::Back => "back",
        }
    }
}

/// The end of an attempt.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which mail.
    pub id: MailId,
    /// Under whose lease.
    pub session: SessionId,
    /// Under which lease.
    pub fence: u64,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Whether this cost the mail an attempt.
    pub counted: bool,
    /// Which recipients stay open; `None`: as before.
    pub recipients: Option<Recipients>,
    /// What is told in the timeline.
    pub event: Option<Event>,
    /// What the settled record is made of, if the mail was sent; without it nothing is kept but the state.
    pub job: Option<Arc<Job>>,
}

/// What the queue made of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// As it was asked.
    Done,
    /// The lease had been lost, but a delivery counts all the same.
    Late,
    /// Somebody had delivered it already: it went out twice.
    Doubled,
    /// The lease had been lost: somebody else has the mail now.
    Lost,
    /// Nothing is known of the mail any more.
    Gone,
}

impl Queue {
    /// Settles attempts of one shard; the answers stand in their order.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely. Settling again is safe: a lease settles once.
    pub async fn settle(&self, shard: u16, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let mut answers = Vec::with_capacity(settlements.len());
        for slice in settlements.chunks(SLICE) {
            answers.extend(self.settle_slice(shard, slice).await?);
        }
        Ok(answers)
    }

    async fn settle_slice(&self, shard: u16, slice: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.settle.call(&keys);
        call.arg(slice.len()).arg(millis(self.limits.retention));
        for settlement in slice {
            let at = match settlement.outcome {
                Outcome::Retry(at) => at.0,
                Outcome::Sent | Outcome::Dead | Outcome::Back => 0,
            };
            let event = match &settlement.event {
                Some(event) => serde_json::to_string(event).map_err(wrong)?,
                None => String::new(),
            };
            let (event, keep) = match (&settlement.job, settlement.outcome) {
                (Some(job), Outcome::Sent) => (String::new(), job.encode_kept(&event).map_err(wrong)?),
                (_, Outcome::Sent | Outcome::Retry(_) | Outcome::Dead | Outcome::Back) => (event, Vec::new()),
            };
            call.arg(settlement.id.to_string()).arg(settlement.session.as_str()).arg(settlement.fence);
            call.arg(settlement.outcome.as_str()).arg(at).arg(u8::from(settlement.counted));
            call.arg(settlement.reason.as_str()).arg(write_recipients(settlement.recipients.as_ref()));
            call.arg(event).arg(keep);
        }
        let words: Vec<String> = call.invoke_async(&mut self.store.connection()).await?;
        words.iter().map(|word| read_settled(word)).collect()
    }
}

fn read_settled(word: &str) -> Result<Settled, StoreError> {
    match word {
        "ok" => Ok(Settled::Done),
        "late" => Ok(Settled::Late),
        "doubled" => Ok(Settled::Doubled),
        "lost" => Ok(Settled::Lost),
        "gone" => Ok(Settled::Gone),
        other => Err(wrong(format!("{other:?} to a settlement"))),
    }
}

fn write_recipients(recipients: Option<&Recipients>) -> String {
    recipients.map(Recipients::to_string).unwrap_or_default()
}
