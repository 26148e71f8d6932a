//! Pages of mails, the newest first, with the id of a mail as the place where one page ends and the next begins.
//!
//! The order is that of the index (`mails`, a stream a shard): mails as they were stored. Only entries beyond the place are
//! read, shard by shard as the merge needs them, so a page costs the same however many mails there are; and mails that come
//! in meanwhile lie before every place, so that none is skipped or shown twice.

use std::collections::{BTreeSet, VecDeque};

use super::Queue;
use super::mails::{Fields, MailState, MailStatus};
use super::session::wrong;
use crate::account::AccountId;
use crate::id::MailId;
use crate::store::StoreError;

/// The most mails on a page.
pub const MOST_ON_PAGE: usize = 100;
/// Entries of the index that one page looks at, at most: with a filter, few may fit.
pub(super) const MOST_READ: usize = 10_000;
/// Entries of a shard, or mails, read at once.
pub(super) const STEP: usize = 500;
/// Entries on each side of its time among which the place of a mail is looked for.
const SOUGHT: usize = 2_000;

/// Which page.
#[derive(Debug, Clone, Default)]
pub struct PageQuery {
    /// Mails on the page: 1 to [`MOST_ON_PAGE`].
    pub limit: usize,
    /// Begin after this mail: older ones.
    pub after: Option<MailId>,
    /// End before this mail: newer ones. Not together with `after`, which wins.
    pub before: Option<MailId>,
    /// Only mails in this state.
    pub state: Option<MailState>,
    /// Only mails of these accounts.
    pub accounts: Option<Vec<AccountId>>,
}

impl PageQuery {
    /// How many mails, from where on, and which way.
    pub(super) fn read(&self) -> (usize, Option<MailId>, Way) {
        let (cursor, way) = match (self.after, self.before) {
            (Some(after), _) => (Some(after), Way::Older),
            (None, Some(before)) => (Some(before), Way::Newer),
            (None, None) => (None, Way::Older),
        };
        (self.limit.clamp(1, MOST_ON_PAGE), cursor, way)
    }

    pub(super) fn fits(&self, fields: &Fields) -> bool {
        let is = |name: &str, word: &str| fields.get(name).is_some_and(|value| value == word);
        self.state.is_none_or(|state| is("s", state.as_str()))
            && self.accounts.as_ref().is_none_or(|accounts| accounts.iter().any(|account| is("a", account.reveal())))
    }
}

/// A page of mails.
#[derive(Clone, Default)]
pub struct Page {
    /// The mails, the newest first, without their timelines.
    pub mails: Vec<MailStatus>,
    /// There are more in the same direction, or there may be: see `next`.
    pub has_more: bool,
    /// Where the next page in the same direction begins. It is the last mail of this page, unless the search was given up
    /// after 10,000 mails that did not fit: then it is the last that was looked at.
    pub next: Option<MailId>,
}

impl Page {
    /// Cuts what was found, in the way of the search, to a page; `given_up`: the last that was looked at when the search was.
    pub(super) fn finish(mut self, limit: usize, way: Way, given_up: Option<MailId>) -> Self {
        self.next = given_up;
        if self.mails.len() > limit {
            self.mails.truncate(limit);
            self.next = self.mails.last().map(|mail| mail.id);
        }
        self.has_more = self.next.is_some();
        if way == Way::Newer {
            self.mails.reverse();
        }
        self
    }
}

/// The place of an entry over all shards: time and number of the stream's entry, then the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    at: u64,
    number: u64,
    shard: u16,
}

impl Spot {
    fn read(entry: &str, shard: u16) -> Result<Self, StoreError> {
        let parts = entry.split_once('-').and_then(|(at, number)| Some((at.parse().ok()?, number.parse().ok()?)));
        let (at, number) = parts.ok_or_else(|| wrong("an entry of the index has no time"))?;
        Ok(Self { at, number, shard })
    }

    /// The bound of a shard's entries beyond this spot, as the commands of streams write it.
    fn bound(self, shard: u16, way: Way) -> String {
        let is_beyond = match way {
            Way::Older => shard < self.shard,
            Way::Newer => shard > self.shard,
        };
        format!("{}{}-{}", if is_beyond { "" } else { "(" }, self.at, self.number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Older,
    Newer,
}

/// What was read of a shard's index and not used yet.
struct Reading {
    shard: u16,
    from: String,
    step: usize,
    entries: VecDeque<(Spot, MailId)>,
    is_at_end: bool,
}

type Entries = Vec<(String, Vec<String>)>;

impl Queue {
    /// One page of mails.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn page(&self, query: &PageQuery) -> Result<Page, StoreError> {
        self.walk(query, |fields| query.fits(fields)).await
    }

    /// One page of the mails that fit, all of them looked through.
    pub(super) async fn walk(&self, query: &PageQuery, fits: impl Fn(&Fields) -> bool) -> Result<Page, StoreError> {
        let (limit, cursor, way) = query.read();
        let mut readings = self.readings(query, cursor, way, limit).await?;
        let mut page = Page::default();
        let (mut seen, mut given_up) = (0, None);
        loop {
            self.read_on(&mut readings, way).await?;
            let wanted = if seen == 0 { limit + 1 } else { STEP };
            let ids = merge(&mut readings, way, wanted.min(MOST_READ - seen));
            let Some(last) = ids.last().copied() else { break };
            seen += ids.len();
            page.mails.extend(self.statuses(&ids, &fits).await?);
            if page.mails.len() > limit {
                break;
            }
            if seen >= MOST_READ {
                given_up = Some(last);
                break;
            }
        }
        Ok(page.finish(limit, way, given_up))
    }

    /// The shards in which mails of a page may lie.
    pub(super) fn shards_of(&self, query: &PageQuery) -> Vec<u16> {
        let shards: BTreeSet<u16> = match &query.accounts {
            Some(accounts) => accounts.iter().map(|account| self.store.shard_of(account)).collect(),
            None => (0..self.store.shards()).collect(),
        };
        shards.into_iter().collect()
    }

    /// The shards to be read, each from the place on.
    async fn readings(
        &self,
        query: &PageQuery,
        cursor: Option<MailId>,
        way: Way,
        limit: usize,
    ) -> Result<Vec<Reading>, StoreError> {
        let spot = match cursor {
            Some(id) => Some(self.spot_of(id).await?),
            None => None,
        };
        let shards = self.shards_of(query);
        let step = (2 * (limit + 1) / shards.len().max(1)).clamp(8, STEP);
        let from = |shard| spot.map_or_else(|| "+".to_owned(), |spot| spot.bound(shard, way));
        let reading = |shard| Reading { shard, from: from(shard), step, entries: VecDeque::new(), is_at_end: false };
        Ok(shards.into_iter().map(reading).collect())
    }

    /// Reads on wherever nothing is left, in one round trip.
    async fn read_on(&self, readings: &mut [Reading], way: Way) -> Result<(), StoreError> {
        let mut pipe = redis::pipe();
        let mut empty: Vec<&mut Reading> =
            readings.iter_mut().filter(|one| one.entries.is_empty() && !one.is_at_end).collect();
        if empty.is_empty() {
            return Ok(());
        }
        for one in &empty {
            let (mut ask, end) = match way {
                Way::Older => (redis::cmd("XREVRANGE"), "-"),
                Way::Newer => (redis::cmd("XRANGE"), "+"),
            };
            ask.arg(self.store.keys(one.shard).mails()).arg(&one.from).arg(end).arg("COUNT").arg(one.step);
            pipe.add_command(ask);
        }
        let answers: Vec<Entries> = pipe.query_async(&mut self.store.connection()).await?;
        for (one, entries) in empty.iter_mut().zip(answers) {
            one.is_at_end = entries.len() < one.step;
            one.step = (one.step * 2).min(STEP);
            if let Some((last, _)) = entries.last() {
                one.from = format!("({last}");
            }
            for (entry, fields) in entries {
                if let Some(id) = fields.get(1).and_then(|id| id.parse().ok()) {
                    one.entries.push_back((Spot::read(&entry, one.shard)?, id));
                }
            }
        }
        Ok(())
    }

    /// The place of a mail in the order of all: its entry in the index, which outlives it. If that is not found near the time
    /// at which it was stored (or its id was made), that time itself.
    async fn spot_of(&self, id: MailId) -> Result<Spot, StoreError> {
        let (keys, shard) = (self.store.keys(id.shard()), id.shard());
        let mut ask = redis::cmd("HGET");
        ask.arg(keys.mail(id)).arg("q");
        let queued: Option<u64> = ask.query_async(&mut self.store.connection()).await?;
        let about = queued.unwrap_or(id.made_at().0);
        let wanted = id.to_string();
        // The script that stored it read the clock a moment before the entry was made.
        let sides = [("XRANGE", format!("{}", about.saturating_sub(1)), "+"), ("XREVRANGE", format!("{about}"), "-")];
        for (command, mut from, end) in sides {
            for _ in 0..SOUGHT / STEP {
                let mut ask = redis::cmd(command);
                ask.arg(keys.mails()).arg(&from).arg(end).arg("COUNT").arg(STEP);
                let entries: Entries = ask.query_async(&mut self.store.connection()).await?;
                if let Some((entry, _)) = entries.iter().find(|(_, fields)| fields.get(1) == Some(&wanted)) {
                    return Spot::read(entry, shard);
                }
                let Some((last, _)) = entries.last().filter(|_| entries.len() == STEP) else { break };
                from = format!("({last}");
            }
        }
        Ok(Spot { at: about, number: 0, shard })
    }
}

/// The next mails over all shards, up to where something must be read first.
fn merge(readings: &mut [Reading], way: Way, wanted: usize) -> Vec<MailId> {
    let mut ids = Vec::new();
    while ids.len() < wanted && readings.iter().all(|one| one.is_at_end || !one.entries.is_empty()) {
        let heads = readings.iter_mut().filter(|one| !one.entries.is_empty());
        let spot = |one: &&mut Reading| one.entries.front().map(|(spot, _)| *spot);
        let next = match way {
            Way::Older => heads.max_by_key(spot),
            Way::Newer => heads.min_by_key(spot),
        };
        let Some((_, id)) = next.and_then(|one| one.entries.pop_front()) else { break };
        ids.push(id);
    }
    ids
}
