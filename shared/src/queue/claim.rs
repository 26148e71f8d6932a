//! Asking for work: as many jobs as there are free slots, each under a permit of its account.

use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{FromRedisValue, ScriptInvocation, Value};

use super::Queue;
use super::job::{Job, JobError};
use super::session::{SessionId, read_next_in, wrong};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::clock::millis;
use crate::id::MailId;
use crate::store::StoreError;
use crate::telemetry::Steps;

/// Records fetched in one call.
const SLICE: usize = 100;

/// What a worker asks for in one shard.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Room for so many jobs.
    pub free: usize,
    /// Jobs that may wait at the worker for one permit, the one under way included; at least 1.
    pub depth: usize,
    /// Mails of an account that are noted as begun though they wait behind others for a connection, where `depth` is more
    /// than 1: so that none waits for the queue to hear of it, and little is in doubt when a worker dies.
    pub ahead: usize,
    /// For how long jobs and permits are leased.
    pub lease: Duration,
    /// Accounts of which connections were closed, and how many permits the session still holds of each.
    pub releases: &'a [(AccountId, u32)],
}

/// What the queue answers.
#[derive(Debug, Default)]
pub struct ClaimAnswer {
    /// The session ran out: nothing was given, and all it had was taken back.
    pub gone: bool,
    /// There is more to do at once, such as a slice of due jobs to be moved.
    pub more: bool,
    /// When there may be work; `None`: not before somebody pushes.
    pub next_in: Option<Duration>,
    /// The jobs.
    pub jobs: Vec<Claimed>,
    /// Accounts of which this call granted permits, and how many the session holds of each now.
    pub grants: Vec<(AccountId, u32)>,
    /// Accounts whose unused permits others could use now.
    pub give_up: Vec<AccountId>,
    /// Dead letters that this call threw away: they were older than `POSTROOM_DEAD_RETENTION`.
    pub dead_expired: u64,
    /// Dead letters that this call threw away: together they had more bytes than `POSTROOM_DEAD_BYTES`.
    pub dead_dropped: u64,
    /// Mails whose deadline this call found passed in their lane: they are dead letters now.
    pub expired: u64,
    /// Leases that this call found lost: their mails took their place again.
    pub leases_lost: u64,
}

/// A job under a lease.
#[derive(Debug)]
pub struct Claimed {
    /// Which mail.
    pub id: MailId,
    /// Which account sends it.
    pub account: AccountId,
    /// Who holds it.
    pub session: SessionId,
    /// Counts the leases of this mail; only the highest may move it.
    pub fence: u64,
    /// Attempts so far, this one not counted.
    pub attempts: u32,
    /// Which recipients are still open; `None`: all.
    pub recipients: Option<Recipients>,
    /// Leases of this mail that ran out while its bytes may have been leaving.
    pub leases_lost: u32,
    /// The server may have taken it already.
    pub doubt: Option<Doubt>,
    /// How far it is on its way out.
    pub begun: Begun,
    /// When it was handed over.
    pub queued: Millis,
    /// Until when it is tried.
    pub deadline: Millis,
    /// When it was claimed, by this machine's clock.
    pub claimed: Millis,
    /// How long it could have gone before it was claimed: since its time came, without what kept its account on purpose.
    pub waited: Duration,
    /// As `waited`, since its time came at first: an earlier attempt does not count as on purpose.
    pub overdue: Duration,
    /// What the attempt does when, for a trace.
    pub steps: Steps,
    /// Envelope and bytes, or why they cannot be read.
    pub job: Result<Arc<Job>, JobError>,
}

/// A mail that the server may have taken: the connection, or the worker, was lost after its bytes began to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// When it came up.
    pub since: Millis,
    /// How often the Sent mailbox was asked since, in vain or without an answer.
    pub asked: u32,
}

impl Doubt {
    /// `<since>:<asked>`; empty: none.
    fn read(text: &str) -> Option<Self> {
        let (since, asked) = text.split_once(':')?;
        Some(Self { since: Millis(since.parse().ok()?), asked: asked.parse().ok()? })
    }
}

/// How far a mail is on its way out. Clones share it, so that whoever ends an attempt from outside knows.
#[derive(Debug, Clone)]
pub struct Begun(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    state: AtomicU8,
    noted: Mutex<Option<Recipients>>,
}

impl Begun {
    const NOT: u8 = 0;
    const TOLD: u8 = 1;
    const LEAVING: u8 = 2;

    /// The queue knows from the beginning that the bytes may leave, if the mail came for a connection that stands.
    #[must_use]
    pub fn new(told: bool) -> Self {
        let state = AtomicU8::new(if told { Self::TOLD } else { Self::NOT });
        Self(Arc::new(Progress { state, noted: Mutex::new(None) }))
    }

    /// Whether the queue knows that the bytes may leave.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) != Self::NOT
    }

    /// The queue knows it now.
    pub fn set_told(&self) {
        self.0.state.store(Self::TOLD, Ordering::Relaxed);
    }

    /// Whether bytes are leaving, so that the server may have the mail.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) == Self::LEAVING
    }

    /// The bytes begin to leave.
    pub fn set_leaving(&self) {
        self.0.state.store(Self::LEAVING, Ordering::Relaxed);
    }

    /// What the queue was told of its recipients in this lease, if anything was.
    #[must_use]
    pub fn noted(&self) -> Option<Recipients> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_noted(&self, recipients: Recipients) {
        *self.0.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(recipients);
    }
}

impl Claimed {
    /// Whether it is a test mail, which ends at the stand-in.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.account.is_test()
    }

    /// How many transactions of this mail the server took in earlier attempts.
    #[must_use]
    pub fn taken_before(&self) -> u32 {
        self.recipients.as_ref().map_or(0, |recipients| recipients.taken)
    }
}

impl Claim<'_> {
    /// The arguments of `claim()` in `claim.lua`.
    pub(super) fn add_to(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(self.free).arg(self.depth.max(1)).arg(self.ahead).arg(millis(self.lease)).arg(self.releases.len());
        for (account, permits) in self.releases {
            call.arg(account.reveal()).arg(*permits);
        }
    }
}

impl Queue {
    /// Fetches the records of jobs that were handed out. They stay where they are as long as the lease holds.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn fetch_records(&self, shard: u16, jobs: &[Claimed]) -> Result<Records, StoreError> {
        let keys = self.store.keys(shard);
        let slices = jobs.chunks(SLICE).map(|slice| {
            let mut call = redis::cmd("MGET");
            for claimed in slice {
                call.arg(keys.job(claimed.id));
            }
            let mut connection = self.store.connection();
            async move { call.query_async::<Vec<Value>>(&mut connection).await }
        });
        let records = futures::future::try_join_all(slices).await?;
        Ok(Records(records.into_iter().flatten().collect()))
    }
}

/// Records of jobs, packed as they lie in Redis.
#[derive(Debug)]
pub struct Records(Vec<Value>);

impl Records {
    /// The jobs for which they were fetched, each with its record: unpacked one after the other, for that takes time.
    pub fn read_for(self, jobs: Vec<Claimed>) -> impl Iterator<Item = Claimed> {
        // A job for which there is no record is one that cannot be read: none gets lost.
        let records = self.0.into_iter().chain(iter::repeat(Value::Nil));
        jobs.into_iter().zip(records).map(|(mut claimed, record)| {
            if let Value::BulkString(record) = record {
                claimed.job = Job::decode(&record).map(Arc::new);
            }
            claimed
        })
    }
}

pub(super) fn read<T: FromRedisValue>(value: Option<Value>) -> Result<T, StoreError> {
    redis::from_redis_value(value.unwrap_or(Value::Nil)).map_err(wrong)
}

fn read_account(text: &str) -> Result<AccountId, StoreError> {
    AccountId::from_stored(text).ok_or_else(|| wrong("an account without an address"))
}

/// Reads what the queue gave at `now` by Redis's clock.
pub(super) fn read_answer(row: Vec<Value>, session: &SessionId, now: Millis) -> Result<ClaimAnswer, StoreError> {
    let mut values = row.into_iter();
    let more = read::<u8>(values.next())? == 1;
    let next_in = read_next_in(read(values.next())?);
    let groups: Vec<Vec<String>> = read(values.next())?;
    let mut jobs = Vec::new();
    for group in &groups {
        jobs.append(&mut read_group(group, session, now)?);
    }
    let grants: Vec<(String, u32)> = read(values.next())?;
    let give_up: Vec<String> = read(values.next())?;
    Ok(ClaimAnswer {
        gone: false,
        more,
        next_in,
        jobs,
        grants: grants
            .into_iter()
            .map(|(account, permits)| Ok((read_account(&account)?, permits)))
            .collect::<Result<_, StoreError>>()?,
        give_up: give_up.iter().map(|account| read_account(account)).collect::<Result<_, _>>()?,
        dead_expired: read(values.next())?,
        dead_dropped: read(values.next())?,
        expired: read(values.next())?,
        leases_lost: read(values.next())?,
    })
}

/// What the jobs of an account have in common: the account, and since when nothing keeps it on purpose.
struct Group<'a> {
    account: AccountId,
    open: Millis,
    session: &'a SessionId,
    now: Millis,
}

fn read_group(group: &[String], session: &SessionId, now: Millis) -> Result<Vec<Claimed>, StoreError> {
    let [account, open, jobs @ ..] = group else { return Err(wrong("jobs without an account")) };
    let open = open.parse().map(Millis).map_err(|_| wrong("an account that is open since an unknown time"))?;
    let group = Group { account: read_account(account)?, open, session, now };
    jobs.iter().map(|job| read_job(job, &group).ok_or_else(|| wrong("a job in an unknown form"))).collect()
}

/// `id begun deadline due`, and for one that was leased before ` fence attempts leases-lost doubt open due-at-first`; `-`: none,
/// and of `due`: now.
fn read_job(job: &str, group: &Group<'_>) -> Option<Claimed> {
    let mut words = job.split(' ');
    let id: MailId = words.next()?.parse().ok()?;
    let begun = words.next()? == "1";
    let deadline = Millis(words.next()?.parse().ok()?);
    let since = |due: &str| Some(group.now.since(group.open.max(read_due(due, group.now)?)));
    let waited = since(words.next()?)?;
    let fence = words.next().map_or(Some(1), |fence| fence.parse().ok())?;
    let mut next = || words.next().filter(|word| *word != "-").unwrap_or_default();
    let (attempts, leases_lost, doubt, open, due_at_first) = (next(), next(), next(), next(), next());
    Some(Claimed {
        id,
        account: group.account.clone(),
        session: group.session.clone(),
        fence,
        attempts: attempts.parse().unwrap_or(0),
        recipients: Recipients::read(open),
        leases_lost: leases_lost.parse().unwrap_or(0),
        doubt: Doubt::read(doubt),
        begun: Begun::new(begun),
        queued: id.made_at(),
        deadline,
        claimed: Millis::now(),
        waited,
        overdue: if due_at_first.is_empty() { waited } else { since(due_at_first)? },
        steps: Steps::off(),
        job: Err(JobError::Damaged),
    })
}

fn read_due(due: &str, now: Millis) -> Option<Millis> {
    if due == "-" { Some(now) } else { due.parse().ok().map(Millis) }
}

/// Which recipients of a mail are tried again, and which were refused for good; by place in the envelope.
/// Those in neither were delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipients {
    /// Tried again.
    pub open: Vec<usize>,
    /// Refused for good.
    pub failed: Vec<usize>,
    /// Of the open, those that the server may have taken, where that is known of each. If the mail is in doubt and nobody
    /// stands here, it is in doubt for all of the open.
    pub in_doubt: Vec<usize>,
    /// Transactions of this mail that the server took: as many copies of it lie in Sent.
    pub taken: u32,
}

impl Recipients {
    /// All of so many are open.
    #[must_use]
    pub fn all(count: usize) -> Self {
        Self { open: (0..count).collect(), ..Self::default() }
    }

    /// `0,3!7!3!1` → open 0 and 3, failed 7, in doubt 3, taken once; empty: `None`, all are open.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('!');
        let mut next = || {
            let places = parts.next().unwrap_or_default().split(',');
            places.filter_map(|place| place.parse().ok()).collect::<Vec<usize>>()
        };
        let (open, failed, in_doubt) = (next(), next(), next());
        let taken = next().first().and_then(|taken| u32::try_from(*taken).ok()).unwrap_or(0);
        if text.is_empty() { None } else { Some(Self { open, failed, in_doubt, taken }) }
    }
}

impl fmt::Display for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = |list: &[usize]| list.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        write!(f, "{}!{}", places(&self.open), places(&self.failed))?;
        if !self.in_doubt.is_empty() || self.taken > 0 {
            write!(f, "!{}", places(&self.in_doubt))?;
        }
        if self.taken > 0 { write!(f, "!{}", self.taken) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_read_as_they_were_written() {
        for (open, failed, in_doubt, taken, text) in [
            (vec![0, 3], vec![7], vec![], 0, "0,3!7"),
            (vec![1], vec![], vec![], 0, "1!"),
            (vec![], vec![2, 4], vec![], 2, "!2,4!!2"),
            (vec![0, 3], vec![7], vec![3], 0, "0,3!7!3"),
        ] {
            let recipients = Recipients { open, failed, in_doubt, taken };
            assert_eq!(recipients.to_string(), text);
            assert_eq!(Recipients::read(text), Some(recipients));
        }
        assert_eq!(Recipients::read(""), None);
    }
}
