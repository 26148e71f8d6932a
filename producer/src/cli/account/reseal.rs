//! `postroom account reseal`: moves all that is sealed to the first key, and says which keys are still needed.
//!
//! Tells accounts masked: this is run by jobs, whose output is kept.

use std::collections::BTreeSet;

use postroom::AccountId;
use postroom_shared::address::Address;
use postroom_shared::tokens::reseal::{self, End, Resealed};
use postroom_shared::tokens::{KeyId, Purpose, Sealer, service_keys};
use serde::Serialize;

use crate::cli::table::Table;
use crate::cli::{Context, Failure};

/// Records that could not be opened and are told one by one.
const TOLD: usize = 50;

/// What was done, as one JSON object.
#[derive(Serialize)]
struct Report {
    dry_run: bool,
    accounts: usize,
    moved: Count,
    due: Count,
    there: Count,
    failed: Count,
    keys: Vec<Needed>,
    failures: Vec<Failed>,
}

/// Records by what they hold.
#[derive(Serialize, Clone, Copy, Default)]
struct Count {
    credentials: u64,
    access_tokens: u64,
    service_keys: u64,
}

/// How many records need a key now.
#[derive(Serialize)]
struct Needed {
    #[serde(serialize_with = "as_text")]
    key: KeyId,
    /// Its place in `POSTROOM_SECRET_KEY`, from 1; `None`: it is not there.
    place: Option<usize>,
    #[serde(flatten)]
    records: Count,
}

/// A record that stayed as it was.
#[derive(Serialize)]
struct Failed {
    /// Masked.
    account: String,
    hash: String,
    record: &'static str,
    why: String,
}

impl Count {
    fn add(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Credentials => self.credentials += 1,
            Purpose::Access => self.access_tokens += 1,
            Purpose::ServiceKey => self.service_keys += 1,
        }
    }

    fn sum(self) -> u64 {
        self.credentials + self.access_tokens + self.service_keys
    }
}

pub(super) async fn run(dry_run: bool, json: bool, context: &mut Context) -> Result<(), Failure> {
    let sealer = Sealer::from_settings(&context.settings.tokens)?;
    let accounts: Vec<AccountId> = context.queue().accounts().await?.into_iter().map(|account| account.id).collect();
    let mut report = Report::new(&sealer, accounts.len(), dry_run);
    let (store, mut services) = (context.queue().store(), BTreeSet::new());
    for slice in accounts.chunks(reseal::SLICE) {
        for resealed in reseal::reseal(store, &sealer, slice, dry_run).await? {
            report.add(&resealed);
        }
        services.append(&mut service_keys::of_all(store, slice).await?);
    }
    for resealed in reseal::reseal_service_keys(store, &sealer, &services, dry_run).await? {
        report.add(&resealed);
    }
    if json {
        context.out.json(&report)?;
    } else {
        report.print(context)?;
    }
    context.out.flush()?;
    match report.failed.sum() {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!(
            "{failed} records could not be opened and stay as they were: do what is said beside each, then run it again"
        ))),
    }
}

impl Report {
    fn new(sealer: &Sealer, accounts: usize, dry_run: bool) -> Self {
        let keys = sealer.key_ids().zip(1..);
        let keys = keys.map(|(key, place)| Needed { key, place: Some(place), records: Count::default() }).collect();
        let none = Count::default();
        Self { dry_run, accounts, moved: none, due: none, there: none, failed: none, keys, failures: Vec::new() }
    }

    fn add(&mut self, resealed: &Resealed) {
        let Resealed { account, purpose, key, end } = resealed;
        let why = match end {
            End::There => return self.count(*purpose, *key, |report| &mut report.there),
            End::Moved => return self.count(*purpose, *key, |report| &mut report.moved),
            End::Due => return self.count(*purpose, *key, |report| &mut report.due),
            End::Unopened(error) => error.to_string(),
            End::Busy => "others kept changing it: run this again".to_owned(),
        };
        self.count(*purpose, *key, |report| &mut report.failed);
        let then = match purpose {
            Purpose::Credentials if matches!(end, End::Unopened(error) if error.is_of_the_record()) => {
                "; store the credentials again with `postroom account add`"
            }
            Purpose::Access => "; workers fetch another token in its place",
            Purpose::ServiceKey if matches!(end, End::Unopened(error) if error.is_of_the_record()) => {
                "; give its key file again with `postroom account add --service-account`"
            }
            Purpose::Credentials | Purpose::ServiceKey => "",
        };
        self.failures.push(Failed {
            account: account.reveal().parse::<Address>().map(|address| address.to_string()).unwrap_or_default(),
            hash: account.hashed(),
            record: purpose.as_str(),
            why: format!("{why}{then}"),
        });
    }

    fn count(&mut self, purpose: Purpose, key: Option<KeyId>, which: impl Fn(&mut Self) -> &mut Count) {
        which(self).add(purpose);
        let Some(key) = key else { return };
        match self.keys.iter_mut().find(|needed| needed.key == key) {
            Some(needed) => needed.records.add(purpose),
            None => {
                let mut records = Count::default();
                records.add(purpose);
                self.keys.push(Needed { key, place: None, records });
            }
        }
    }

    fn print(&self, context: &mut Context) -> Result<(), Failure> {
        let (there, failed) = (self.there.sum(), self.failed.sum());
        let done = if self.dry_run {
            format!("{} would be moved", records(self.due))
        } else {
            format!("{} moved", records(self.moved))
        };
        context
            .out
            .line(format!("{done}, {there} were sealed with the first key already, {failed} cannot be opened"))?;
        let mut table =
            Table::new(&["KEY", "IN POSTROOM_SECRET_KEY", "CREDENTIALS", "ACCESS TOKENS", "SERVICE KEYS", "NEEDED"]);
        for Needed { key, place, records } in &self.keys {
            let place = match place {
                Some(1) => "the first: seals".to_owned(),
                Some(place) => format!("number {place}: opens"),
                None => "no".to_owned(),
            };
            let needed = if records.sum() > 0 || self.keys.first().is_some_and(|first| first.key == *key) {
                "yes"
            } else {
                "no, once every process seals with the first"
            };
            table.row([
                key.to_string(),
                place,
                records.credentials.to_string(),
                records.access_tokens.to_string(),
                records.service_keys.to_string(),
                needed.to_owned(),
            ]);
        }
        table.print(&mut context.out, "")?;
        let mut table = Table::new(&["ACCOUNT", "IN LOGS", "RECORD", "WHY NOT"]);
        for failed in self.failures.iter().take(TOLD) {
            table.row([&failed.account, &failed.hash, failed.record, &failed.why]);
        }
        table.print(&mut context.out, "")?;
        match self.failures.len().checked_sub(TOLD) {
            Some(more) if more > 0 => context.out.line(format!("and {more} more: see --json")),
            Some(_) | None => Ok(()),
        }
    }
}

/// `12 records (7 credentials, 4 access tokens, 1 keys of service accounts)`
fn records(count: Count) -> String {
    let Count { credentials, access_tokens, service_keys } = count;
    format!(
        "{} records ({credentials} credentials, {access_tokens} access tokens, {service_keys} keys of service accounts)",
        count.sum()
    )
}

fn as_text<S: serde::Serializer>(key: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}
