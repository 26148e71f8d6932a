//! Dead letters: what failed for good, with its bytes: which there are, and how many fit a filter.
//!
//! They are read in pages, so that any number of them takes the memory of one, and Redis is never held up.

mod walk;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;

use super::Queue;
use super::mails::MailStatus;
use crate::account::AccountId;
use crate::clock::Millis;
use crate::mail::Tag;
use crate::reason::Reason;
use crate::store::StoreError;

pub use walk::DeadWalk;

/// Which dead letters are meant: those that fit all that is given.
#[derive(Debug, Clone)]
pub struct DeadFilter {
    /// Only those that died of this.
    pub reason: Option<Reason>,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Only those that died at this time or later.
    pub died_from: Option<Millis>,
    /// Only those that died at this time or earlier.
    pub died_until: Option<Millis>,
    /// Only those with a recipient at this domain that did not get it.
    pub domain: Option<String>,
    /// Only those with this tag.
    pub tag: Option<TagFilter>,
    /// At most so many, the newest of a shard first.
    pub limit: usize,
}

impl Default for DeadFilter {
    /// All of them.
    fn default() -> Self {
        Self {
            reason: None,
            account: None,
            died_from: None,
            died_until: None,
            domain: None,
            tag: None,
            limit: usize::MAX,
        }
    }
}

/// A tag by its name, or by name and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// Its name.
    pub name: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
}

impl TagFilter {
    /// Whether a tag is one of those that are meant.
    #[must_use]
    pub fn fits(&self, tag: &Tag) -> bool {
        tag.name == self.name && self.value.as_ref().is_none_or(|value| *value == tag.value)
    }
}

impl FromStr for TagFilter {
    type Err = String;

    /// `name` or `name=value`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
        if name.is_empty() {
            return Err("a tag without a name: write name or name=value".to_owned());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// How many dead letters fit a filter. Serialises with addresses in the clear: for the operator, never for a log.
#[derive(Clone, Default, Serialize)]
pub struct DeadSummary {
    /// How many.
    pub total: u64,
    /// What their records take in Redis.
    pub bytes: u64,
    /// How many of them died of `uncertain`: the server may have taken them, and a retry may send them a second time.
    pub may_double: u64,
    /// How many by reason.
    pub by_reason: BTreeMap<String, u64>,
    /// How many by account.
    pub by_account: BTreeMap<AccountId, u64>,
    /// When the newest of them died.
    #[serde(skip)]
    pub newest: Option<Millis>,
}

impl DeadSummary {
    fn add(&mut self, status: &MailStatus) {
        self.total += 1;
        self.bytes += status.bytes.unwrap_or(0);
        self.may_double += u64::from(status.may_double);
        let reason = status.reason.map_or("unknown", Reason::as_str);
        *self.by_reason.entry(reason.to_owned()).or_default() += 1;
        *self.by_account.entry(status.account.clone()).or_default() += 1;
        self.newest = self.newest.max(Some(status.at));
    }
}

/// The dead letters that fit a filter.
pub struct DeadList {
    /// All that fit.
    pub summary: DeadSummary,
    /// The newest of them, as many as the filter's limit allows, without timelines.
    pub mails: Vec<MailStatus>,
    /// There are dead letters that were not looked at.
    pub is_cut: bool,
}

impl Queue {
    /// The dead letters that fit: all are counted, the newest are shown.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn dead(&self, filter: &DeadFilter) -> Result<DeadList, StoreError> {
        self.dead_among(filter, usize::MAX).await
    }

    /// As [`Queue::dead`], but looks at so many dead letters at most, the newest of each shard: a bound for whoever is not
    /// asked for all of them.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn dead_among(&self, filter: &DeadFilter, most: usize) -> Result<DeadList, StoreError> {
        let mut list = DeadList { summary: DeadSummary::default(), mails: Vec::new(), is_cut: false };
        let mut walk = DeadWalk::new(self, DeadFilter { limit: usize::MAX, ..filter.clone() }).among(most);
        while let Some(page) = walk.next_with_records(filter.limit).await? {
            page.iter().for_each(|status| list.summary.add(status));
            list.mails.extend(page);
            list.mails.sort_by_key(|status| std::cmp::Reverse(status.at));
            list.mails.truncate(filter.limit);
        }
        list.is_cut = walk.is_cut();
        Ok(list)
    }

    /// How many died at this time or later.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn died_since(&self, from: Millis) -> Result<u64, StoreError> {
        let mut pipe = redis::pipe();
        for shard in 0..self.store.shards() {
            pipe.cmd("ZCOUNT").arg(self.store.keys(shard).dead()).arg(from.0).arg("+inf");
        }
        let counts: Vec<u64> = pipe.query_async(&mut self.store.connection()).await?;
        Ok(counts.iter().sum())
    }

    /// How many dead letters fit, the filter's limit counted in.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn count_dead(&self, filter: &DeadFilter) -> Result<DeadSummary, StoreError> {
        let mut summary = DeadSummary::default();
        let mut walk = self.walk_dead(filter);
        while let Some(page) = walk.next().await? {
            page.iter().for_each(|status| summary.add(status));
        }
        Ok(summary)
    }

    /// All dead letters that fit, page by page. What it has shown may be retried or discarded meanwhile.
    #[must_use]
    pub fn walk_dead(&self, filter: &DeadFilter) -> DeadWalk<'_> {
        DeadWalk::new(self, filter.clone())
    }
}
