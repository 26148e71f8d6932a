//! `postroom doctor`: looks at Redis, clocks, servers, keys, accounts and domains, and says what is wrong and what mends it.
//!
//! Each subject has a module; what things mean is decided by pure functions over what was seen. All looks run at once, each
//! with a limit of time, and one that cannot be made keeps nobody from the others.
//! Nothing in here changes anything, but for a token that is fetched where none lives, and one login an account.

mod access;
mod accounts;
mod clock;
mod consent;
mod dialogue;
mod dns;
mod finding;
mod ids;
mod keys;
mod network;
mod redis;
mod report;
mod resolve;
mod settings;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use postroom_shared::account::{Account, AccountId};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{DeadFilter, Queue, Standing};
use postroom_shared::store::StoreError;
use postroom_shared::tokens::examine::{Sealed, examine as examine_sealed};
use postroom_shared::tokens::{SealError, Sealer, probe};

use access::Access;
use dns::Traffic;
use finding::Finding;
use ids::Id;
use network::Which;
use resolve::Resolver;

pub(crate) use finding::Severity;
pub(crate) use report::{Report, markdown};
pub(crate) use settings::DoctorSettings;

/// For one check.
const LIMIT: Duration = Duration::from_secs(30);
/// Accounts and domains that are looked at side by side.
const AT_ONCE: usize = 8;
/// Dead letters are counted up to here.
const MOST_DEAD: usize = 10_000;
const DAY: Duration = Duration::from_secs(86_400);

/// What is to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Only this account; all of them by default.
    pub(crate) account: Option<AccountId>,
    /// Ask even where a hold, or a token that lives, speaks against it.
    pub(crate) insist: bool,
    /// Who is asked for DNS records; by default the system's resolvers.
    pub(crate) resolver: Option<SocketAddr>,
    /// Under which name the domain's DKIM key lies.
    pub(crate) selector: String,
}

/// The accounts to be looked at.
#[derive(Default)]
struct Patients {
    /// All that there are: what befell one befell others, too.
    all: Vec<Account>,
    standings: Vec<Standing>,
}

/// Looks at everything.
pub(crate) async fn examine(settings: &DoctorSettings, options: &Options) -> Report {
    let keys = Sealer::from_settings(&settings.base.tokens);
    let mut findings = vec![keys::judge(&keys)];
    let mut patients = Patients::default();
    let queue = match connect(settings).await {
        Ok(queue) => Some(queue),
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    if let Some(queue) = &queue {
        match limited("the list of accounts", read_patients(queue, options)).await {
            Ok(Ok((read, told))) => {
                patients = read;
                findings.extend(told);
            }
            Ok(Err(error)) => findings.push(redis::unreachable(&error.to_string())),
            Err(late) => findings.push(late),
        }
    }
    let (mut around, inside, domains) = tokio::join!(
        surroundings(settings),
        async {
            match &queue {
                Some(queue) => look_inside(queue, settings, options, keys, &patients).await,
                None => Vec::new(),
            }
        },
        domains(options, &patients.standings),
    );
    findings.append(&mut around);
    findings.extend(inside);
    findings.extend(domains);
    Report::new(findings)
}

/// Runs a check; if it takes too long, says so in its place.
async fn limited<T>(what: &str, check: impl Future<Output = T>) -> Result<T, Finding> {
    let late =
        |_| Finding::warning(Id::CheckUnfinished, format!("{what}: nothing came of it in {} s", LIMIT.as_secs()));
    tokio::time::timeout(LIMIT, check).await.map_err(late)
}

/// As [`limited`], for a check that comes to findings.
async fn findings_of(what: &str, check: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    limited(what, check).await.unwrap_or_else(|late| vec![late])
}

async fn connect(settings: &DoctorSettings) -> Result<Queue, Finding> {
    let connecting = Queue::connect(&settings.base.redis, settings.base.limits.clone());
    limited("the connection to Redis", connecting).await?.map_err(|error| redis::unreachable(&error.to_string()))
}

async fn read_patients(queue: &Queue, options: &Options) -> Result<(Patients, Vec<Finding>), StoreError> {
    let mut all = queue.accounts().await?;
    // Nothing of that of test mode lies at Gmail.
    all.retain(|account| !account.id.is_test());
    let is_meant = |account: &&Account| options.account.as_ref().is_none_or(|only| *only == account.id);
    let ids: Vec<AccountId> = all.iter().filter(is_meant).map(|account| account.id.clone()).collect();
    let mut told = Vec::new();
    match &options.account {
        Some(only) if only.is_test() => {
            let what = "the account of test mode is built in: it has nothing that could be examined";
            told.push(Finding::note(Id::AccountsNone, what).about(only.reveal()));
        }
        Some(only) if ids.is_empty() => {
            told.push(Finding::error(Id::AccountUnknown, "there is no such account").about(only.reveal()));
        }
        None if ids.is_empty() => told.push(Finding::note(Id::AccountsNone, "there is no account")),
        Some(_) | None => {}
    }
    let mut standings = Vec::with_capacity(ids.len());
    for id in &ids {
        // An account may be removed meanwhile.
        standings.extend(queue.standing(id).await?);
    }
    Ok((Patients { all, standings }, told))
}

/// Servers, and the clock of one of them.
async fn surroundings(settings: &DoctorSettings) -> Vec<Finding> {
    let checks = [Which::Smtp, Which::Imap, Which::Token];
    let servers = join_all(checks.map(|which| findings_of("a server", network::check(which, settings))));
    let clock = findings_of("the clock", async {
        let tokens = &settings.base.tokens;
        vec![match probe(tokens, &settings.tls()).await.map(|probed| (probed.date, probed.own)) {
            Ok((Some(date), own)) => clock::judge(Id::ClockServer, date, own),
            Ok((None, _)) => Finding::note(Id::ClockUnknown, "the token endpoint's answer has no Date"),
            Err(error) => Finding::note(Id::ClockUnknown, error),
        }]
    });
    let (servers, clock) = tokio::join!(servers, clock);
    servers.into_iter().flatten().chain(clock).collect()
}

/// Redis and the accounts.
async fn look_inside(
    queue: &Queue,
    settings: &DoctorSettings,
    options: &Options,
    keys: Result<Sealer, SealError>,
    patients: &Patients,
) -> Vec<Finding> {
    let sealer = keys.ok().map(Arc::new);
    let mut findings = Vec::new();
    let access = sealer.as_ref().and_then(|sealer| match Access::new(queue, sealer, settings, options.insist) {
        Ok(access) => Some(access),
        Err(error) => {
            findings.push(Finding::error(Id::TlsFailed, error));
            None
        }
    });
    let ward = Ward { queue, sealer, access, all: &patients.all };
    let accounts = futures::stream::iter(&patients.standings)
        .map(|standing| ward.check(standing))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    let (vitals, accounts) = tokio::join!(findings_of("Redis", vitals(queue, patients)), accounts);
    findings.extend(vitals);
    findings.extend(accounts.into_iter().flatten());
    findings
}

async fn vitals(queue: &Queue, patients: &Patients) -> Vec<Finding> {
    let vitals = queue.store().vitals().await;
    let mut findings = redis::judge(&vitals);
    if let Some((theirs, own)) = vitals.clocks {
        findings.push(clock::judge(Id::ClockRedis, theirs, own));
    }
    let waiting = patients.standings.iter().flat_map(|standing| standing.waiting).sum();
    match queue.stats().await {
        Ok(stats) => findings.push(redis::workers(stats.workers, waiting)),
        Err(error) => findings.push(redis::unreachable(&error.to_string())),
    }
    findings
}

/// What the checks of accounts share.
struct Ward<'a> {
    queue: &'a Queue,
    sealer: Option<Arc<Sealer>>,
    access: Option<Access>,
    all: &'a [Account],
}

impl Ward<'_> {
    /// Everything about one account.
    async fn check(&self, standing: &Standing) -> Vec<Finding> {
        let mut findings = accounts::standing(standing, self.all);
        let dead = findings_of("dead letters", self.dead(&standing.account.id));
        let access = self.credentials_and_login(standing);
        let (dead, access) = tokio::join!(dead, access);
        findings.extend(access);
        findings.extend(dead);
        findings.into_iter().map(|finding| finding.about(standing.account.id.reveal())).collect()
    }

    async fn dead(&self, id: &AccountId) -> Vec<Finding> {
        let since = Millis(Millis::now().0.saturating_sub(u64::try_from(DAY.as_millis()).unwrap_or(0)));
        let filter =
            DeadFilter { account: Some(id.clone()), died_from: Some(since), limit: MOST_DEAD, ..DeadFilter::default() };
        vec![match self.queue.count_dead(&filter).await {
            Ok(summary) => accounts::dead(&summary),
            Err(error) => Finding::warning(Id::CheckUnfinished, error.to_string()),
        }]
    }

    async fn credentials_and_login(&self, standing: &Standing) -> Vec<Finding> {
        // What is wrong with the keys is said once, not for each account.
        let (Some(sealer), Some(access)) = (&self.sealer, &self.access) else { return Vec::new() };
        let id = &standing.account.id;
        let others: Vec<AccountId> =
            self.all.iter().map(|account| account.id.clone()).filter(|other| other != id).collect();
        let looked = limited("credentials", examine_sealed(self.queue.store(), sealer, id, &others)).await;
        let sealed = match looked {
            Ok(Ok(sealed)) => sealed,
            Ok(Err(error)) => return vec![Finding::warning(Id::CheckUnfinished, error.to_string())],
            Err(late) => return vec![late],
        };
        let mut findings = vec![accounts::sealed(&sealed, sealer.key_ids().next().map(|id| id.to_string()).as_deref())];
        if matches!(sealed, Sealed::Opens(_)) {
            findings.extend(findings_of("token and login", access.check(standing, self.all)).await);
        }
        findings
    }
}

/// The domains from which the accounts send.
async fn domains(options: &Options, standings: &[Standing]) -> Vec<Finding> {
    let mut traffic: BTreeMap<String, Traffic> = BTreeMap::new();
    for standing in standings {
        let own = traffic.entry(accounts::domain(&standing.account).to_owned()).or_default();
        own.used += standing.budget.messages.used;
        own.bulk_waits |= standing.waiting[2] > 0;
        for alias in &standing.account.aliases {
            traffic.entry(alias.domain().to_lowercase()).or_default();
        }
    }
    let resolver = match Resolver::new(options.resolver) {
        Ok(resolver) => resolver,
        Err(error) if traffic.is_empty() => return vec![Finding::warning(Id::DnsUnanswered, error)],
        Err(error) => {
            let unanswered = |domain: &String| Finding::warning(Id::DnsUnanswered, error.clone()).about(domain);
            return traffic.keys().map(unanswered).collect();
        }
    };
    let resolver = &resolver;
    let look = async |(domain, traffic): (String, Traffic)| -> Vec<Finding> {
        if dns::OWN.contains(&domain.as_str()) {
            return vec![Finding::ok(Id::DomainGoogle, "its records are Google's").about(&domain)];
        }
        let found =
            findings_of("DNS", async { dns::judge(&resolver.records(&domain, &options.selector).await, traffic) });
        found.await.into_iter().map(|finding| finding.about(&domain)).collect()
    };
    let found: Vec<Vec<Finding>> = futures::stream::iter(traffic).map(look).buffer_unordered(AT_ONCE).collect().await;
    found.into_iter().flatten().collect()
}
