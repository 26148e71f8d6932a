//! Where is my mail: one mail's state and timeline, and its bytes.

use std::collections::HashMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Queue;
use super::claim::Recipients;
use super::job::{Job, RecipientKind};
use super::outlook::Outlook;
use super::pools::pool_of;
use super::session::wrong;
use super::timeline::{Attempt, Event, What};
use crate::account::{AccountId, Hold};
use crate::address::Address;
use crate::clock::Millis;
use crate::id::MailId;
use crate::mail::{Priority, Tag};
use crate::pool::PoolName;
use crate::reason::Reason;
use crate::reply::Reply;
use crate::store::StoreError;

/// The states of a mail.
///
/// ```text
/// scheduled ──▶ ready ──▶ sending ──▶ sent
///                 ▲          │ ├────▶ retry ──▶ ready
///                 │          │ └────▶ dead ──▶ ready | discarded
///                 └──────────┘ (handed back, lease lost)
/// scheduled, ready, retry ──▶ cancelled
/// scheduled, ready (not tried yet) ──▶ scheduled, ready: another time
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailState {
    /// It waits for its `send_at`.
    Scheduled,
    /// It waits for its turn.
    Ready,
    /// A worker has it.
    Sending,
    /// It failed for now and waits to be tried again.
    Retry,
    /// Every recipient was taken by the server.
    Sent,
    /// It failed for good, for all or some recipients; its bytes are kept.
    Dead,
    /// It was cancelled before it went.
    Cancelled,
    /// A dead letter that was thrown away.
    Discarded,
}

impl MailState {
    /// All of them, in the order of a mail's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Ready,
        Self::Sending,
        Self::Retry,
        Self::Sent,
        Self::Dead,
        Self::Cancelled,
        Self::Discarded,
    ];

    /// The word in Redis, in listings and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Sending => "sending",
            Self::Retry => "retry",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
        }
    }

    /// Whether nothing can happen to a mail in this state any more: it is told of for `POSTROOM_RETENTION`.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_final() && self != Self::Dead
    }

    /// Whether nothing more happens to a mail in this state by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Sent | Self::Dead | Self::Cancelled | Self::Discarded => true,
            Self::Scheduled | Self::Ready | Self::Sending | Self::Retry => false,
        }
    }
}

impl FromStr for MailState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| format!("{word:?} is no state: use one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientFate {
    /// Who.
    pub address: Address,
    /// In which field of the mail it stood.
    #[serde(default)]
    pub kind: RecipientKind,
    /// `delivered`, `refused`, `failed`, or `waiting`.
    pub fate: String,
    /// What the server said of this recipient, if it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// All that is known of one mail. Serialises in the clear: for the app and the operator, never for a log.
#[derive(Clone, Serialize, Deserialize)]
pub struct MailStatus {
    /// Which mail.
    pub id: MailId,
    /// Where it stands.
    pub state: MailState,
    /// Why it waits, died or was sent.
    pub reason: Option<Reason>,
    /// Which account sends it.
    pub account: AccountId,
    /// A test mail: it ends at a stand-in, and nothing is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// The pool that it belongs to: another account of it sends it when this one may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
    /// Its priority.
    pub priority: Priority,
    /// When it was handed over.
    pub queued_at: Millis,
    /// When it is due, or when it ended.
    pub at: Millis,
    /// Until when it is tried.
    pub deadline: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// Leases of it that ran out.
    pub leases_lost: u32,
    /// Why its account may not send now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// When it will probably go, and why not now; absent in listings and of a mail that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    /// `MAIL FROM`; absent if the record cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Every recipient and what became of it.
    pub recipients: Vec<RecipientFate>,
    /// `Message-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The app's own marks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What a dead letter's record takes in Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// A dead letter that the server may have taken all the same: a retry may send it a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_double: bool,
    /// The subject, cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// All that happened, oldest first.
    pub timeline: Vec<Event>,
}

pub(super) type Fields = HashMap<String, String>;

impl Queue {
    /// One mail, with its timeline.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn mail(&self, id: MailId) -> Result<Option<MailStatus>, StoreError> {
        let keys = self.store.keys(id.shard());
        let (fields, record, log): (Fields, Option<Vec<u8>>, Vec<String>) = redis::pipe()
            .cmd("HGETALL")
            .arg(keys.mail(id))
            .cmd("GET")
            .arg(keys.job(id))
            .cmd("LRANGE")
            .arg(keys.log(id))
            .arg(0)
            .arg(-1)
            .query_async(&mut self.store.connection())
            .await?;
        if fields.is_empty() {
            return Ok(None);
        }
        let job = record.and_then(|record| Job::decode(&record).ok());
        let last = job.as_ref().map(|job| job.last_event.clone());
        let lines = log.iter().chain(last.as_ref());
        let mut timeline: Vec<Event> = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        timeline.sort_by_key(|event| event.at);
        let mut status = read_status(id, &fields, job, &timeline)?;
        timeline.insert(0, Event { at: status.queued_at, what: What::Queued });
        status.timeline = timeline;
        if !status.state.is_final() {
            let standing = self.standing(&status.account).await?;
            status.held = standing.as_ref().and_then(|standing| standing.account.hold().cloned());
            status.outlook = self.outlook_of(id, &fields, standing.as_ref()).await?;
        }
        Ok(Some(status))
    }

    /// The frozen bytes of a mail that is not done yet, or is a dead letter.
    ///
    /// # Errors
    /// If Redis did not answer, or the record cannot be read.
    pub async fn mail_bytes(&self, id: MailId) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.store.keys(id.shard()).job(id);
        let record: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut self.store.connection()).await?;
        let job = record.map(|record| Job::decode(&record)).transpose();
        let job = job.map_err(|error| StoreError::Wrong(format!("the mail's bytes cannot be read: {error}")))?;
        Ok(job.map(|job| job.bytes).filter(|bytes| !bytes.is_empty()))
    }
}

pub(super) fn read_status(
    id: MailId,
    fields: &Fields,
    job: Option<Job>,
    log: &[Event],
) -> Result<MailStatus, StoreError> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let number = |name: &str| field(name).parse::<u64>().unwrap_or(0);
    let state: MailState = field("s").parse().map_err(wrong)?;
    let open = Recipients::read(field("o"));
    let recipients = job.as_ref().map(|job| fates(job, state, open.as_ref(), log)).unwrap_or_default();
    let account: AccountId = field("a").parse().map_err(wrong)?;
    Ok(MailStatus {
        id,
        state,
        reason: field("r").parse().ok(),
        test: account.is_test(),
        account,
        pool: pool_of(field("g")),
        priority: Priority::from_letter(field("p").chars().next().unwrap_or('n')).unwrap_or_default(),
        queued_at: Millis(number("q")),
        at: Millis(number("t")),
        deadline: Millis(number("d")),
        attempts: u32::try_from(number("n")).unwrap_or(u32::MAX),
        leases_lost: u32::try_from(number("l")).unwrap_or(u32::MAX),
        held: None,
        outlook: None,
        from: job.as_ref().map(|job| job.from.clone()),
        recipients,
        tags: job.as_ref().map(|job| job.tags.clone()).unwrap_or_default(),
        bytes: field("b").parse().ok(),
        may_double: state == MailState::Dead && (!field("u").is_empty() || is_uncertain(field("r"), log)),
        message_id: job.as_ref().map(|job| job.message_id.clone()),
        subject: job.map(|job| job.subject),
        timeline: Vec::new(),
    })
}

/// Whether the server may have taken the mail: it died of that, or its last attempt came to it.
fn is_uncertain(reason: &str, log: &[Event]) -> bool {
    let last = log.iter().rev().find_map(|event| event.what.attempt());
    reason == Reason::Uncertain.as_str() || last.is_some_and(|attempt| attempt.reason == Reason::Uncertain)
}

fn fates(job: &Job, state: MailState, recipients: Option<&Recipients>, log: &[Event]) -> Vec<RecipientFate> {
    let attempts = || log.iter().filter_map(|event| event.what.attempt());
    let fate = |place: usize| {
        let is_open = recipients.is_none_or(|recipients| recipients.open.contains(&place));
        let is_failed = recipients.is_some_and(|recipients| recipients.failed.contains(&place));
        let refused =
            |attempt: &Attempt| attempt.refused.iter().find(|(at, _)| *at == place).map(|(_, reply)| reply.clone());
        let reply = attempts().rev().find_map(refused);
        match state {
            MailState::Sent => ("delivered", None),
            _ if !is_open && !is_failed => ("delivered", None),
            _ if is_failed => ("refused", reply),
            MailState::Dead | MailState::Discarded if reply.is_some() => ("refused", reply),
            MailState::Dead | MailState::Discarded | MailState::Cancelled => ("failed", reply),
            MailState::Scheduled | MailState::Ready | MailState::Sending | MailState::Retry => ("waiting", reply),
        }
    };
    let with_fate = |(place, address): (usize, &Address)| {
        let (word, reply) = fate(place);
        RecipientFate { address: address.clone(), kind: job.kind(place), fate: word.to_owned(), reply }
    };
    job.recipients.iter().enumerate().map(with_fate).collect()
}
