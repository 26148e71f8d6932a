//! Handing mails over: many in one script, each with its own answer.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::Queue;
use super::index;
use super::job::{Job, JobError};
use super::pools::Pooled;
use crate::account::AccountId;
use crate::clock::{Millis, millis};
use crate::id::MailId;
use crate::mail::Priority;
use crate::store::StoreError;

/// Mails in one call of the script: enough to be quick, few enough that Redis answers others in between.
const SLICE: usize = 100;
/// Bytes in one call, for the same reason.
const SLICE_BYTES: usize = 4 << 20;
/// Recipients and tags in one call, each of which is entered in an index, for the same reason.
const SLICE_VALUES: usize = 1_000;
/// How long an idempotency key is remembered at least (peers.md: 24 h).
pub(super) const WINDOW: Duration = Duration::from_secs(86_400);
/// A mail may wait 30 days for its time and be tried for 30 more.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 86_400);

/// A mail on its way into the queue.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id, from [`Queue::new_id`] of the same account.
    pub id: MailId,
    /// Which account sends it.
    pub account: AccountId,
    /// How soon it goes among the account's mails.
    pub priority: Priority,
    /// When it may go; `None`: now.
    pub send_at: Option<Millis>,
    /// For how long after that it is tried; `None`: `POSTROOM_MAIL_TTL`.
    pub ttl: Option<Duration>,
    /// The app's idempotency key with a fingerprint of the mail it came with.
    pub idempotency: Option<(String, String)>,
    /// The pool of which one account sends it, chosen when it is stored; `account` is any of them then, for the shard.
    pub pool: Option<Pooled>,
    /// What travels.
    pub job: Job,
}

/// What became of a mail that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Stored under this id.
    New(MailId),
    /// The same mail came before with the same idempotency key: this is its id.
    Same(MailId),
}

impl Pushed {
    /// The id of the mail, new or known.
    #[must_use]
    pub fn id(self) -> MailId {
        match self {
            Self::New(id) | Self::Same(id) => id,
        }
    }
}

/// Why a mail was not taken, or not surely.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The idempotency key came before with another mail.
    #[error("this idempotency key was used for another mail ({0}): use a new key for a new mail")]
    Conflict(MailId),
    /// The account was removed.
    #[error("the sending account is not known (any more): see `postroom account list`")]
    NoAccount,
    /// The mail could not be turned into a record.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Encoded<'a> {
    place: usize,
    new: &'a NewJob,
    record: Vec<u8>,
}

impl Queue {
    /// A new id for a mail of an account: it tells the account's shard.
    #[must_use]
    pub fn new_id(&self, account: &AccountId, now: Millis) -> MailId {
        MailId::new(self.store.shard_of(account), now)
    }

    /// Stores one mail.
    ///
    /// # Errors
    /// See [`PushError`]; [`StoreError::Unknown`] is safe to repeat with the same idempotency key.
    pub async fn push(&self, job: &NewJob) -> Result<Pushed, PushError> {
        let mut answers = self.push_many(std::slice::from_ref(job)).await;
        answers.pop().unwrap_or_else(|| Err(StoreError::Wrong("no answer".to_owned()).into()))
    }

    /// Stores many mails, in slices; the answers stand in the order of the mails. The first test mail makes their account.
    pub async fn push_many(&self, jobs: &[NewJob]) -> Vec<Result<Pushed, PushError>> {
        let all: Vec<&NewJob> = jobs.iter().collect();
        let mut answers = self.push_all(&all).await;
        let early =
            |place: &usize| jobs[*place].account.is_test() && matches!(answers[*place], Err(PushError::NoAccount));
        let early: Vec<usize> = (0..jobs.len()).filter(early).collect();
        if early.is_empty() {
            return answers;
        }
        let again: Vec<&NewJob> = early.iter().map(|place| &jobs[*place]).collect();
        let stored = match self.make_test_account().await {
            Ok(()) => self.push_all(&again).await,
            // Whether the account is there or not: the mails surely are not.
            Err(StoreError::Unknown(why)) => {
                again.iter().map(|_| Err(StoreError::NotStored(why.clone()).into())).collect()
            }
            Err(error) => again.iter().map(|_| Err(error.clone().into())).collect(),
        };
        for (place, answer) in early.into_iter().zip(stored) {
            answers[place] = answer;
        }
        answers
    }

    async fn push_all(&self, jobs: &[&NewJob]) -> Vec<Result<Pushed, PushError>> {
        let mut answers: Vec<Option<Result<Pushed, PushError>>> = jobs.iter().map(|_| None).collect();
        let mut by_shard: Vec<(u16, Vec<Encoded<'_>>)> = Vec::new();
        for (place, new) in jobs.iter().copied().enumerate() {
            match new.job.encode() {
                Err(error) => answers[place] = Some(Err(error.into())),
                Ok(record) => {
                    let shard = new.id.shard();
                    let encoded = Encoded { place, new, record };
                    match by_shard.iter_mut().find(|(known, _)| *known == shard) {
                        Some((_, list)) => list.push(encoded),
                        None => by_shard.push((shard, vec![encoded])),
                    }
                }
            }
        }
        for (shard, list) in by_shard {
            for slice in slices(&list) {
                let stored = self.push_slice(shard, slice).await;
                for (encoded, answer) in slice.iter().zip(stored) {
                    answers[encoded.place] = Some(answer);
                }
            }
        }
        let silent = || Err(StoreError::Wrong("Redis gave fewer answers than mails".to_owned()).into());
        answers.into_iter().map(|answer| answer.unwrap_or_else(silent)).collect()
    }

    async fn push_slice(&self, shard: u16, slice: &[Encoded<'_>]) -> Vec<Result<Pushed, PushError>> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.push.call(&keys);
        let index_life = self.limits.retention + LONGEST_WAIT;
        let (life, long_life) = index::lives(&self.limits, LONGEST_WAIT);
        call.arg(slice.len()).arg(millis(WINDOW)).arg(millis(index_life)).arg(millis(life)).arg(millis(long_life));
        let now = Millis::now();
        for Encoded { new, record, .. } in slice {
            let (hash, print) = match &new.idempotency {
                Some((key, print)) => (key_hash(&new.account, key), print.clone()),
                None => (String::new(), String::new()),
            };
            let ttl = new.ttl.unwrap_or(self.limits.mail_ttl);
            call.arg(new.id.to_string()).arg(new.account.reveal()).arg(new.priority.letter().to_string());
            call.arg(new.send_at.map_or(0, |at| at.0)).arg(millis(ttl)).arg(hash).arg(print);
            call.arg(new.job.recipients.len().max(1)).arg(Pooled::written(new.pool.as_ref())).arg(record.as_slice());
            call.arg(index::values_of(new, &self.limits, now)).arg(new.id.as_bytes());
        }
        let stored: Result<Vec<(String, String)>, StoreError> =
            async { Ok(call.invoke_async(&mut self.store.confirmed().await?).await?) }.await;
        match stored {
            Ok(rows) => rows.iter().map(|(word, id)| answer(word, id)).collect(),
            Err(error) => slice.iter().map(|_| Err(error.clone().into())).collect(),
        }
    }
}

fn answer(word: &str, id: &str) -> Result<Pushed, PushError> {
    let id: MailId = id.parse().map_err(|_| StoreError::Wrong(format!("Redis answered {word} without an id")))?;
    match word {
        "new" => Ok(Pushed::New(id)),
        "same" => Ok(Pushed::Same(id)),
        "conflict" => Err(PushError::Conflict(id)),
        "no_account" => Err(PushError::NoAccount),
        other => Err(StoreError::Wrong(format!("Redis answered {other:?} to a push")).into()),
    }
}

/// Cuts a list into pieces within all bounds; a single large mail is a piece of its own.
fn slices<'a, 'b>(mut list: &'a [Encoded<'b>]) -> Vec<&'a [Encoded<'b>]> {
    let mut pieces = Vec::new();
    while !list.is_empty() {
        let (mut bytes, mut values) = (0, 0);
        let fits = |encoded: &Encoded<'_>| {
            bytes += encoded.record.len();
            values += encoded.new.job.recipients.len() + 2 * encoded.new.job.tags.len();
            bytes <= SLICE_BYTES && values <= SLICE_VALUES
        };
        let count = list.iter().take(SLICE).map(fits).take_while(|fits| *fits).count().max(1);
        let (piece, rest) = list.split_at(count);
        pieces.push(piece);
        list = rest;
    }
    pieces
}

/// What stands for an idempotency key in Redis. The keys of test mails never meet those of live ones.
fn key_hash(account: &AccountId, key: &str) -> String {
    if account.is_test() { digest(&[b"test", key.as_bytes()]) } else { digest(&[key.as_bytes()]) }
}

/// SHA-256 of parts, in hex, each part closed by its length so that parts cannot run together.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update((part.len() as u64).to_be_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
