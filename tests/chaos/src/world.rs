//! What a run plays on: Redis, the stand-in, the accounts, the workers, and what is counted on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postroom::DirectClient;
use postroom_it::{Gate, Persistence, Process, RedisServer, Rig, RigOptions, until};
use postroom_sandbox::{Action, Config, Fault, Stage};
use postroom_shared::account::{Account, AccountId};
use postroom_shared::queue::Queue;
use tokio::sync::Mutex as Turn;

use crate::clocks::Clocks;
use crate::mails::{BLOCKED, GONE};
use crate::options::Options;
use crate::producer::Accepted;

/// How long something that must happen may take: against hanging, never a measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
/// Connections that an account may have at once (`POSTROOM_ACCOUNT_CONNECTIONS`, its default).
pub(crate) const CAP: u64 = 3;
/// Messages in 24 hours of the account with the small limit.
pub(crate) const SMALL_LIMIT: u32 = 10;
/// `POSTROOM_SENT_ALLOWANCE`: longer than a stopped worker can be late, see docs/reliability.md.
pub(crate) const ALLOWANCE_MS: u64 = 4_000;
/// After a worker goes on, so long may connections stand for which it has no permits any more.
const WAKES_WITHIN: Duration = Duration::from_secs(3);

const SETTINGS: [(&str, &str); 10] = [
    ("POSTROOM_LEASE", "2s"),
    ("POSTROOM_SENT_ALLOWANCE", "4s"),
    ("POSTROOM_RETRY_BASE", "50ms"),
    ("POSTROOM_RETRY_CAP", "1s"),
    ("POSTROOM_LOGIN_BURST", "1000"),
    ("POSTROOM_LOGIN_INTERVAL", "100ms"),
    ("POSTROOM_SMTP_TIMEOUT", "2s"),
    ("POSTROOM_DRAIN_SECONDS", "3s"),
    ("POSTROOM_CONCURRENCY", "8"),
    ("POSTROOM_LOG", "debug"),
];

/// A day's limit that is over after a second.
const ROWS: &str = r#"
[[row]]
name = "chaos-quota"
code = 550
enhanced = "5.4.5"
class = "quota"
reason = "quota"
floor = "1s"
hold = "1s"
scope = "account"
means = "A quota that is over soon."
do = "Nothing."
source = "seen: in chaos runs"
"#;

/// Everything that runs.
pub(crate) struct World {
    pub(crate) rig: Rig,
    pub(crate) client: DirectClient,
    /// The accounts, the one with the small limit last.
    pub(crate) accounts: Vec<AccountId>,
    /// A worker that a fault has in hand is locked.
    pub(crate) workers: Vec<Turn<Process>>,
    /// Locked while Redis is away, stalled or replaced.
    pub(crate) redis: Turn<()>,
    pub(crate) clocks: Clocks,
    /// What everybody takes for Redis.
    gate: Gate,
    replica: RedisServer,
    lasting: BTreeSet<u64>,
    tally: Mutex<BTreeMap<String, u64>>,
    logs: Mutex<String>,
    stopped: Mutex<Stopped>,
    in_vain: Mutex<Vec<Accepted>>,
}

/// Workers that are stopped or cut off from Redis, and the last time that one went on.
#[derive(Default)]
struct Stopped {
    now: u64,
    last: Option<Instant>,
}

impl World {
    pub(crate) async fn build(options: &Options, seed: u64) -> anyhow::Result<Self> {
        let sandbox = Config { seed, ..Config::default() };
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let persistence = Persistence::Always;
        let mut rig = Rig::start_with(RigOptions { sandbox, persistence, settings, ..RigOptions::default() }).await?;
        let (gate, replica) = stand_by(&mut rig).await?;
        let clocks = Clocks::find(rig.folder());
        let rows = rig.folder().join("rows.toml");
        std::fs::write(&rows, ROWS)?;
        rig.environment.push(("POSTROOM_REPLIES_FILE".to_owned(), rows.display().to_string()));
        let mut lasting = BTreeSet::new();
        for fault in [
            Fault::new(Stage::Rcpt, Action::reply("550 5.1.1 The account does not exist. - gsmtp")).recipient(GONE),
            Fault::new(Stage::Final, Action::reply("552 5.7.0 This message was blocked. - gsmtp")).subject(BLOCKED),
        ] {
            lasting.insert(rig.sandbox.add_fault(fault)?);
        }
        let mut accounts = Vec::new();
        for number in 1..=options.accounts {
            accounts.push(rig.add_account(&format!("chaos{number}@chaos.example")).await?);
        }
        let small = rig.add_account("small@chaos.example").await?;
        let client = DirectClient::over(rig.queue().await?);
        client.queue().put_account(&Account { limit: Some(SMALL_LIMIT), ..Account::new(small.clone()) }).await?;
        accounts.push(small);
        let mut world = Self {
            rig,
            client,
            accounts,
            workers: Vec::new(),
            redis: Turn::default(),
            clocks,
            gate,
            replica,
            lasting,
            tally: Mutex::default(),
            logs: Mutex::default(),
            stopped: Mutex::default(),
            in_vain: Mutex::default(),
        };
        for place in 0..options.workers {
            let worker = world.start_worker(usize::try_from(place)?)?;
            world.workers.push(Turn::new(worker));
        }
        Ok(world)
    }

    pub(crate) fn queue(&self) -> &Queue {
        self.client.queue()
    }

    /// The account with the small limit.
    pub(crate) fn small(&self) -> &AccountId {
        &self.accounts[self.accounts.len() - 1]
    }

    pub(crate) fn start_worker(&self, place: usize) -> anyhow::Result<Process> {
        let mut further = self.clocks.environment(place)?;
        further.push(("POSTROOM_WORKER_NAME".to_owned(), format!("chaos-{place}")));
        let further: Vec<_> = further.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.rig.worker(&further)
    }

    /// Redis gives its place to its replica, or takes it back.
    pub(crate) async fn redis_moves(&self, away: bool) -> anyhow::Result<()> {
        let (from, to) = if away { (&self.rig.redis, &self.replica) } else { (&self.replica, &self.rig.redis) };
        from.fail_over().await?;
        self.gate.lead_to(to.port()?);
        Ok(())
    }

    /// Keeps what a worker wrote before another takes its place.
    pub(crate) fn keep_log(&self, worker: &Process) {
        lock(&self.logs).push_str(&worker.log());
    }

    /// All that workers wrote which have ended.
    pub(crate) fn logs(&self) -> String {
        lock(&self.logs).clone()
    }

    /// A push whose answer was lost and that was not there when it was looked for: it may come all the same.
    pub(crate) fn note_in_vain(&self, accepted: Accepted) {
        lock(&self.in_vain).push(accepted);
    }

    /// Those pushes.
    pub(crate) fn in_vain(&self) -> Vec<Accepted> {
        lock(&self.in_vain).clone()
    }

    /// Counts something.
    pub(crate) fn count(&self, what: impl Into<String>, times: u64) {
        *lock(&self.tally).entry(what.into()).or_default() += times;
    }

    /// How often something was counted.
    pub(crate) fn counted(&self, what: &str) -> u64 {
        lock(&self.tally).get(what).copied().unwrap_or(0)
    }

    /// All counts.
    pub(crate) fn tally(&self) -> BTreeMap<String, u64> {
        lock(&self.tally).clone()
    }

    /// Takes a fault back and counts how often it fired.
    pub(crate) fn retire(&self, id: u64, what: &str) {
        self.count(what, self.fired(id));
        self.rig.sandbox.remove_fault(id);
    }

    /// How often a fault fired.
    pub(crate) fn fired(&self, id: u64) -> u64 {
        self.rig.sandbox.faults().iter().find(|view| view.id == id).map_or(0, |view| view.fired)
    }

    /// Takes all faults back but those that belong to the mails.
    pub(crate) fn clear_faults(&self) {
        for view in self.rig.sandbox.faults() {
            if !self.lasting.contains(&view.id) {
                self.rig.sandbox.remove_fault(view.id);
            }
        }
    }

    /// How often recipients and mails were refused for good.
    pub(crate) fn refused_for_good(&self) -> u64 {
        let views = self.rig.sandbox.faults();
        views.iter().filter(|view| self.lasting.contains(&view.id)).map(|view| view.fired).sum()
    }

    /// A worker was stopped or all were cut off from Redis, or that is over.
    pub(crate) fn stopped(&self, stops: bool) {
        let mut stopped = lock(&self.stopped);
        stopped.now = if stops { stopped.now + 1 } else { stopped.now.saturating_sub(1) };
        stopped.last = Some(Instant::now());
    }

    /// Whether connections may stand that belong to a worker that was stopped, or cut off from Redis beyond its lease.
    pub(crate) fn anybody_stopped(&self) -> bool {
        let stopped = lock(&self.stopped);
        stopped.now > 0 || stopped.last.is_some_and(|last| last.elapsed() < WAKES_WITHIN)
    }

    /// Asks again until there is an answer: Redis may be away.
    pub(crate) async fn insist<T, E: Display, F>(&self, what: &str, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
    where
        F: Future<Output = Result<T, E>>,
    {
        until(what, PATIENCE, || {
            let asked = ask();
            async { Ok(asked.await.ok()) }
        })
        .await
    }

    /// Adds an account anew, which ends its holds. Not for the one with the small limit.
    pub(crate) async fn add_anew(&self, account: &AccountId) -> anyhow::Result<()> {
        self.insist("an account to be added", || self.rig.add_account(account.reveal())).await.map(drop)
    }
}

/// A replica of the rig's Redis, and a gate before the two that every process goes through from now on.
async fn stand_by(rig: &mut Rig) -> anyhow::Result<(Gate, RedisServer)> {
    let port = rig.redis.port()?;
    let replica =
        RedisServer::start_with(Persistence::Always, &["--replicaof", "127.0.0.1", &port.to_string()]).await?;
    let gate = Gate::open(port).await?;
    rig.environment.retain(|(name, _)| name != "POSTROOM_REDIS_URL");
    rig.environment.push(("POSTROOM_REDIS_URL".to_owned(), format!("redis://127.0.0.1:{}/0", gate.port())));
    Ok((gate, replica))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
