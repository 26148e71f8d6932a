//! Reading several sorted sets of mails as one: newest first, or oldest first from a place on.
//!
//! The place is kept as the last entry seen (time and id), not as a number: entries that come or go meanwhile make it neither
//! skip nor repeat one.

use std::collections::{HashMap, VecDeque};

use super::super::Queue;
use super::super::mails::Fields;
use super::super::page::{STEP, Way};
use crate::id::MailId;
use crate::store::StoreError;

/// The place of a mail in the order of all: when it was handed over, then its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    at: u64,
    id: MailId,
}

impl Spot {
    pub(super) fn of(id: MailId, fields: &Fields) -> Self {
        Self { at: fields.get("q").and_then(|at| at.parse().ok()).unwrap_or(id.made_at().0), id }
    }

    pub(super) fn id(self) -> MailId {
        self.id
    }

    pub(super) fn is_beyond(self, other: Self, way: Way) -> bool {
        match way {
            Way::Older => self < other,
            Way::Newer => self > other,
        }
    }
}

/// One sorted set, and what was read of it and not used yet.
pub(super) struct Source {
    shard: u16,
    key: String,
    /// Its entries are the bytes of ids, not their texts.
    has_bytes: bool,
    from: Option<Spot>,
    step: usize,
    entries: VecDeque<Spot>,
    is_at_end: bool,
}

type Rows = Vec<(Vec<u8>, f64)>;

impl Source {
    pub(super) fn new(shard: u16, key: String, has_bytes: bool) -> Self {
        Self { shard, key, has_bytes, from: None, step: 0, entries: VecDeque::new(), is_at_end: false }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn begin_at(&mut self, spot: Spot) {
        self.from = Some(spot);
    }

    fn member(&self, id: MailId) -> Vec<u8> {
        if self.has_bytes { id.as_bytes().to_vec() } else { id.to_string().into_bytes() }
    }

    fn read(&self, member: &[u8]) -> Option<MailId> {
        if self.has_bytes { MailId::from_bytes(member) } else { std::str::from_utf8(member).ok()?.parse().ok() }
    }

    fn ask(&self, way: Way) -> redis::Cmd {
        let (command, open, end) = match way {
            Way::Older => ("ZREVRANGEBYSCORE", "+inf", "-inf"),
            Way::Newer => ("ZRANGEBYSCORE", "-inf", "+inf"),
        };
        let from = self.from.map_or_else(|| open.to_owned(), |spot| spot.at.to_string());
        let mut ask = redis::cmd(command);
        ask.arg(&self.key).arg(from).arg(end).arg("WITHSCORES").arg("LIMIT").arg(0).arg(self.step);
        ask
    }

    /// Takes what was read. Entries of the very time of the last one were seen before, or lie beyond it.
    fn take(&mut self, rows: Rows, way: Way) {
        self.is_at_end = rows.len() < self.step;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
        let spots = rows.iter().filter_map(|(member, at)| Some(Spot { at: *at as u64, id: self.read(member)? }));
        self.entries = spots.filter(|spot| self.from.is_none_or(|from| spot.is_beyond(from, way))).collect();
        self.from = self.entries.back().copied().or(self.from);
        // More than a step's mails may have been handed over in one millisecond.
        self.step = if self.entries.is_empty() { self.step * 2 } else { (self.step * 2).clamp(1, STEP.max(self.step)) };
    }
}

impl Queue {
    /// Reads on wherever nothing is left.
    pub(super) async fn refill(&self, sources: &mut [Source], way: Way, first: usize) -> Result<(), StoreError> {
        loop {
            let is_empty = |source: &&mut Source| source.entries.is_empty() && !source.is_at_end;
            let mut empty: Vec<&mut Source> = sources.iter_mut().filter(is_empty).collect();
            if empty.is_empty() {
                return Ok(());
            }
            let mut pipe = redis::pipe();
            for source in &mut empty {
                source.step = source.step.max(first);
                pipe.add_command(source.ask(way));
            }
            let answers: Vec<Rows> = pipe.query_async(&mut self.store.connection()).await?;
            for (source, rows) in empty.into_iter().zip(answers) {
                source.take(rows, way);
            }
        }
    }

    /// The place of a mail: the time at which it was handed over, as it says itself or a set does; else that of its id.
    pub(super) async fn spot(&self, id: MailId, sources: &[Source]) -> Result<Spot, StoreError> {
        let mut pipe = redis::pipe();
        pipe.cmd("HGET").arg(self.store.keys(id.shard()).mail(id)).arg("q");
        for source in sources.iter().filter(|source| source.shard == id.shard()) {
            pipe.cmd("ZSCORE").arg(&source.key).arg(source.member(id));
        }
        let known: Vec<Option<f64>> = pipe.query_async(&mut self.store.connection()).await?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
        let at = known.into_iter().flatten().next().map_or(id.made_at().0, |at| at as u64);
        Ok(Spot { at, id })
    }

    /// Takes entries of mails that are gone out of the sets that named them.
    pub(super) async fn forget(
        &self,
        sources: &[Source],
        gone: &HashMap<usize, Vec<MailId>>,
    ) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for (source, ids) in gone.iter().filter_map(|(place, ids)| Some((sources.get(*place)?, ids))) {
            for ids in ids.chunks(STEP) {
                let members: Vec<Vec<u8>> = ids.iter().map(|id| source.member(*id)).collect();
                pipe.cmd("ZREM").arg(&source.key).arg(members).ignore();
            }
        }
        Ok(pipe.query_async(&mut self.store.connection()).await?)
    }
}

/// The next mails over all sources, each with the number of its source, up to where something must be read first. A mail that
/// stands in two sources is told once.
pub(super) fn merge(sources: &mut [Source], way: Way, wanted: usize) -> Vec<(usize, Spot)> {
    let mut found: Vec<(usize, Spot)> = Vec::new();
    while found.len() < wanted && sources.iter().all(|one| one.is_at_end || !one.entries.is_empty()) {
        let heads = sources.iter().enumerate().filter_map(|(place, one)| Some((place, *one.entries.front()?)));
        let next = match way {
            Way::Older => heads.max_by_key(|(_, spot)| *spot),
            Way::Newer => heads.min_by_key(|(_, spot)| *spot),
        };
        let Some((place, spot)) = next else { break };
        sources[place].entries.pop_front();
        if found.last().is_none_or(|(_, last)| *last != spot) {
            found.push((place, spot));
        }
    }
    found
}
