//! Ending attempts: many in one script, fenced by their leases.

use std::sync::Arc;

use redis::ScriptInvocation;

use super::Queue;
use super::claim::{Claimed, Recipients};
use super::job::Job;
use super::session::{SessionId, wrong};
use super::timeline::Event;
use crate::clock::Millis;
use crate::id::MailId;
use crate::reason::Reason;
use crate::store::StoreError;

/// What becomes of a mail after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was open was delivered.
    Sent,
    /// It is tried again at a time, or is a dead letter if that is past its deadline.
    Retry(Millis),
    /// The server may have taken it: at a time, the account's Sent mailbox is asked before it is sent again.
    Check(Millis),
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
            Self::Check(_) => "check",
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
    /// To how many recipients the mail may have gone in this attempt: counts in the account's ledger of 24 hours. 0: it
    /// surely did not go.
    pub spent: usize,
    /// Whether the account proved that it may send: the server answered a recipient or the bytes, and not with a refusal of
    /// the account. Until an account has proved it, it is tried with one mail.
    pub proves: bool,
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
    /// Puts down which recipients of a mail are left, and who of them is about to have it (`in_doubt`; nobody: all that are
    /// open). Answers whether the lease still holds.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely; doing it again is safe.
    pub async fn progress(&self, claimed: &Claimed, left: &Recipients) -> Result<bool, StoreError> {
        let keys = self.store.keys(claimed.id.shard());
        let mut call = self.scripts.progress.call(&keys);
        call.arg(claimed.id.to_string()).arg(claimed.session.as_str()).arg(claimed.fence).arg(left.to_string());
        let holds = call.invoke_async::<u8>(&mut self.store.confirmed().await?).await? == 1;
        if holds {
            claimed.begun.set_noted(left.clone());
        }
        Ok(holds)
    }

    /// Takes a mail's last chance: to be sent though nobody can say whether it was taken before. Answers whether it still had
    /// it.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely.
    pub async fn take_last_chance(&self, id: MailId) -> Result<bool, StoreError> {
        let key = self.store.keys(id.shard()).mail(id);
        let first: u8 =
            redis::cmd("HSETNX").arg(key).arg("e").arg(1).query_async(&mut self.store.confirmed().await?).await?;
        Ok(first == 1)
    }
}

impl Settlement {
    /// Whether it is what most are: a delivery at the mail's first lease, by this session.
    pub(super) fn is_plain_delivery(&self, session: Option<&SessionId>) -> bool {
        let is_delivery =
            self.outcome == Outcome::Sent && self.reason == Reason::Delivered && self.counted && self.proves;
        is_delivery && self.fence == 1 && (self.event.is_none() || self.job.is_some()) && session == Some(&self.session)
    }

    /// The record that is kept of a delivery; empty: none.
    fn kept(&self, event: &str) -> Result<Vec<u8>, StoreError> {
        self.job.as_ref().map_or(Ok(Vec::new()), |job| job.encode_kept(event).map_err(wrong))
    }

    fn event(&self) -> Result<String, StoreError> {
        self.event.as_ref().map_or(Ok(String::new()), |event| serde_json::to_string(event).map_err(wrong))
    }
}

/// Three arguments of `turn.lua`.
pub(super) fn add_delivery(call: &mut ScriptInvocation<'_>, settlement: &Settlement) -> Result<(), StoreError> {
    call.arg(settlement.id.to_string()).arg(settlement.spent).arg(settlement.kept(&settlement.event()?)?);
    Ok(())
}

/// Twelve arguments of `turn.lua`.
pub(super) fn add_settlement(call: &mut ScriptInvocation<'_>, settlement: &Settlement) -> Result<(), StoreError> {
    let at = match settlement.outcome {
        Outcome::Retry(at) | Outcome::Check(at) => at.0,
        Outcome::Sent | Outcome::Dead | Outcome::Back => 0,
    };
    let event = settlement.event()?;
    let (event, keep) = match (&settlement.job, settlement.outcome) {
        (Some(_), Outcome::Sent) => (String::new(), settlement.kept(&event)?),
        (_, Outcome::Sent | Outcome::Retry(_) | Outcome::Check(_) | Outcome::Dead | Outcome::Back) => {
            (event, Vec::new())
        }
    };
    call.arg(settlement.id.to_string()).arg(settlement.session.as_str()).arg(settlement.fence);
    call.arg(settlement.outcome.as_str()).arg(at).arg(u8::from(settlement.counted));
    call.arg(settlement.reason.as_str()).arg(write_recipients(settlement.recipients.as_ref()));
    call.arg(event).arg(keep).arg(settlement.spent).arg(u8::from(settlement.proves));
    Ok(())
}

pub(super) fn read_settled(word: &str) -> Result<Settled, StoreError> {
    match word {
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
