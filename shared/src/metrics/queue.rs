//! The gauges of the queue, as the last reading of it had them. They are told by `postroom serve`: told by the workers they
//! would be gone where no worker runs.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Counters, Exemplar, Gauges, Level, Metric, TIMES, histogram, names};
use crate::mail::Priority;
use crate::queue::{AccountFigures, QueueFigures};
use crate::reason::Reason;

/// Accounts that are told one by one.
pub const MOST_ACCOUNTS: usize = 200;
/// States that are told; what is done is no gauge.
const STATES: [&str; 5] = ["ready", "scheduled", "retry", "sending", "dead"];
/// The priority of what is not counted by it.
const ANY: &str = "any";
/// Accounts that may send.
const NOT_HELD: &str = "no";

type OfAccounts = Family<[(&'static str, String); 1], Gauge>;

/// The gauges of the queue.
#[derive(Debug)]
pub struct QueueGauges {
    jobs: Gauges<2>,
    held: Gauges<1>,
    oldest_ready: Gauges<1>,
    oldest_dead: Level,
    schedule_lag: Level,
    slots_wanted: Level,
    accounts: Gauges<1>,
    budget: OfAccounts,
    used: OfAccounts,
    workers: Level,
    redis_up: Level,
    redis_used: Level,
    redis_max: Level,
    read_seconds: HistogramWithExemplars<Exemplar>,
    reads: Counters<1>,
}

fn reasons() -> impl Iterator<Item = &'static str> {
    Reason::ALL.iter().map(|reason| reason.as_str())
}

fn of_accounts(all: &mut Registry, metric: &Metric) -> OfAccounts {
    let family = OfAccounts::default();
    all.register(metric.name, metric.help(), Family::clone(&family));
    family
}

impl QueueGauges {
    pub(super) fn new(all: &mut Registry) -> Self {
        let priorities = || Priority::ALL.into_iter().map(|priority| priority.as_str());
        let ready = priorities().map(|priority| ["ready", priority]);
        let others = STATES.into_iter().skip(1).map(|state| [state, ANY]);
        Self {
            jobs: Gauges::new(all, &names::JOBS, ["state", "priority"], ready.chain(others)),
            held: Gauges::new(all, &names::JOBS_HELD, ["reason"], reasons().map(|reason| [reason])),
            oldest_ready: Gauges::new(all, &names::OLDEST_READY, ["priority"], priorities().map(|it| [it])),
            oldest_dead: Level::new(all, &names::OLDEST_DEAD),
            schedule_lag: Level::new(all, &names::SCHEDULE_LAG),
            slots_wanted: Level::new(all, &names::SLOTS_WANTED),
            accounts: Gauges::new(
                all,
                &names::ACCOUNTS,
                ["held"],
                [NOT_HELD].into_iter().chain(reasons()).map(|it| [it]),
            ),
            budget: of_accounts(all, &names::BUDGET),
            used: of_accounts(all, &names::BUDGET_USED),
            workers: Level::new(all, &names::WORKERS),
            redis_up: Level::new(all, &names::REDIS_UP),
            redis_used: Level::new(all, &names::REDIS_USED),
            redis_max: Level::new(all, &names::REDIS_MAX),
            read_seconds: histogram(all, &names::QUEUE_READ, TIMES),
            reads: Counters::new(all, &names::QUEUE_READS, ["result"], [["ok"], ["failed"]]),
        }
    }

    pub(super) fn not_read(&self) {
        self.redis_up.set(0.0);
        self.reads.inc(["failed"]);
    }

    pub(super) fn read(&self, figures: &QueueFigures, took: Duration) {
        self.redis_up.set(1.0);
        self.reads.inc(["ok"]);
        self.read_seconds.observe(took.as_secs_f64(), None, None);
        self.redis_used.set(figures.redis_used as f64);
        self.redis_max.set(figures.redis_max as f64);
        self.workers.set(figures.workers as f64);
        self.schedule_lag.set(figures.schedule_lag.as_secs_f64());
        self.oldest_dead.set(figures.oldest_dead.as_secs_f64());
        for state in STATES.into_iter().skip(1) {
            self.jobs.set([state, ANY], figures.states.get(state).copied().unwrap_or(0) as f64);
        }
        for (at, priority) in Priority::ALL.into_iter().enumerate() {
            let waiting: u64 = figures.accounts.iter().map(|account| account.waiting[at]).sum();
            self.jobs.set(["ready", priority.as_str()], waiting as f64);
            let oldest = figures.accounts.iter().map(|account| account.oldest[at]).max().unwrap_or_default();
            self.oldest_ready.set([priority.as_str()], oldest.as_secs_f64());
        }
        self.slots_wanted.set(figures.accounts.iter().map(|account| account.slots_wanted).sum::<u64>() as f64);
        self.read_holds(&figures.accounts);
        self.read_budgets(&figures.accounts);
    }

    fn read_holds(&self, accounts: &[AccountFigures]) {
        let mut by_reason: BTreeMap<&'static str, (u64, u64)> =
            reasons().chain([NOT_HELD]).map(|it| (it, (0, 0))).collect();
        for account in accounts {
            let reason = account.held.map_or(NOT_HELD, Reason::as_str);
            let (accounts, mails) = by_reason.entry(reason).or_default();
            *accounts += 1;
            *mails += account.all_waiting();
        }
        for (reason, (accounts, mails)) in by_reason {
            self.accounts.set([reason], accounts as f64);
            if reason != NOT_HELD {
                self.held.set([reason], mails as f64);
            }
        }
    }

    /// Accounts come and go: those that are not told any more are taken out.
    fn read_budgets(&self, accounts: &[AccountFigures]) {
        let mut told: Vec<&AccountFigures> = accounts.iter().filter(|account| account.limit.is_some()).collect();
        told.sort_by_key(|account| std::cmp::Reverse(account.all_waiting()));
        self.budget.clear();
        self.used.clear();
        for account in told.into_iter().take(MOST_ACCOUNTS) {
            let label = [("account", account.account.hashed())];
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.budget.get_or_create(&label).set(number(account.limit.unwrap_or(0)));
            self.used.get_or_create(&label).set(number(account.used));
        }
    }
}
