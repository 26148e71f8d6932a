//! Ending attempts: many in one script, fenced by their leases.

use std::sync::Arc;

use super::Queue;
use super::claim::{Claimed, Recipients};
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
/// So many deliveries earn a login: a fleet that sends never runs out of logins, even if it loses every tenth connection.
const DELIVERIES_A_LOGIN: u32 = 10;

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

/// Mails whose bytes are about to leave: to be told before they do, so that a worker's death leaves no doubt about others.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    /// Who sends them.
    pub session: &'a SessionId,
    /// The mails.
    pub mails: &'a [MailId],
}

impl Queue {
    /// Settles attempts of one shard; the answers stand in their order.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely. Settling again is safe: a lease settles once.
    pub async fn settle(&self, shard: u16, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        Ok(self.settle_and_begin(shard, settlements, None).await?.0)
    }

    /// As [`Queue::settle`], and tells which mails begin in the same call. Answers also whether they may: not if the session
    /// was lost.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely. Doing it again is safe.
    pub async fn settle_and_begin(
        &self,
        shard: u16,
        settlements: &[Settlement],
        begin: Option<Begin<'_>>,
    ) -> Result<(Vec<Settled>, bool), StoreError> {
        let mut slices: Vec<&[Settlement]> = settlements.chunks(SLICE).collect();
        if slices.is_empty() {
            slices.push(&[]);
        }
        let (mut answers, mut may_begin) = (Vec::with_capacity(settlements.len()), true);
        for (at, slice) in slices.iter().enumerate() {
            let begin = begin.filter(|_| at == 0);
            let (lives, words) = self.settle_slice(shard, slice, begin).await?;
            may_begin &= lives == 1;
            for word in words {
                answers.push(read_settled(&word)?);
            }
        }
        Ok((answers, may_begin))
    }

    /// Puts down which recipients are left of a mail whose first part was taken. Answers whether the lease still holds.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely; doing it again is safe.
    pub async fn progress(&self, claimed: &Claimed, left: &Recipients) -> Result<bool, StoreError> {
        let keys = self.store.keys(claimed.id.shard());
        let mut call = self.scripts.progress.call(&keys);
        call.arg(claimed.id.to_string()).arg(claimed.session.as_str()).arg(claimed.fence).arg(left.to_string());
        Ok(call.invoke_async::<u8>(&mut self.store.connection()).await? == 1)
    }

    /// Takes a mail's last chance: to be sent though nobody can say whether it was taken before. Answers whether it still had
    /// it.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely.
    pub async fn take_last_chance(&self, id: MailId) -> Result<bool, StoreError> {
        let key = self.store.keys(id.shard()).mail(id);
        let first: u8 = redis::cmd("HSETNX").arg(key).arg("e").arg(1).query_async(&mut self.store.connection()).await?;
        Ok(first == 1)
    }

    async fn settle_slice(
        &self,
        shard: u16,
        slice: &[Settlement],
        begin: Option<Begin<'_>>,
    ) -> Result<(u8, Vec<String>), StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.settle.call(&keys);
        let earned = self.limits.login_interval / DELIVERIES_A_LOGIN;
        call.arg(slice.len()).arg(millis(self.limits.retention)).arg(millis(earned));
        call.arg(begin.map_or("", |begin| begin.session.as_str()));
        for settlement in slice {
            add_settlement(&mut call, settlement)?;
        }
        for id in begin.map_or(&[][..], |begin| begin.mails) {
            call.arg(id.to_string());
        }
        Ok(call.invoke_async(&mut self.store.connection()).await?)
    }
}

fn add_settlement(call: &mut redis::ScriptInvocation<'_>, settlement: &Settlement) -> Result<(), StoreError> {
    let at = match settlement.outcome {
        Outcome::Retry(at) | Outcome::Check(at) => at.0,
        Outcome::Sent | Outcome::Dead | Outcome::Back => 0,
    };
    let event = match &settlement.event {
        Some(event) => serde_json::to_string(event).map_err(wrong)?,
        None => String::new(),
    };
    let (event, keep) = match (&settlement.job, settlement.outcome) {
        (Some(job), Outcome::Sent) => (String::new(), job.encode_kept(&event).map_err(wrong)?),
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
