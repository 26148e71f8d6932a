//! Going through the dead letters page by page, the newest first, shard by shard.
//!
//! The place is kept as the last entry seen (time and id), not as a number: entries that come or go meanwhile make it
//! neither skip nor repeat one. Records are read only where a filter or a listing needs them, a few MiB at once.

use super::super::Queue;
use super::super::job::Job;
use super::super::mails::{Fields, MailState, MailStatus, read_status};
use super::DeadFilter;
use crate::id::MailId;
use crate::reason::Reason;
use crate::store::StoreError;

/// Entries of the index read at once.
const PAGE: usize = 500;
/// Records read at once: so many, or so many bytes; a single large one is read alone.
const RECORDS: usize = 100;
const RECORD_BYTES: u64 = 4 << 20;

/// A walk over the dead letters that fit a filter.
pub struct DeadWalk<'a> {
    queue: &'a Queue,
    filter: DeadFilter,
    shard: u16,
    /// The entry of this shard's index that was seen last: when it died, and its id.
    last: Option<(u64, String)>,
    /// Entries of that same time that were seen and must be passed over.
    offset: usize,
    /// How many of this shard fitted so far.
    fitted: usize,
    /// How many may still be shown.
    left: usize,
    /// How many entries may still be looked at, and whether there were more.
    most: usize,
    is_cut: bool,
}

impl<'a> DeadWalk<'a> {
    pub(super) fn new(queue: &'a Queue, filter: DeadFilter) -> Self {
        let left = filter.limit;
        Self { queue, filter, shard: 0, last: None, offset: 0, fitted: 0, left, most: usize::MAX, is_cut: false }
    }

    /// The same walk, which ends after so many entries.
    pub(super) fn among(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// It ended before it had looked at all.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next of those that fit, at least one; `None` at the end. Without timelines, and without what stands in the
    /// record unless the filter needs it.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<MailStatus>>, StoreError> {
        self.next_with_records(0).await
    }

    /// As [`DeadWalk::next`], with the records of the newest `wanted` of each shard.
    pub(super) async fn next_with_records(&mut self, wanted: usize) -> Result<Option<Vec<MailStatus>>, StoreError> {
        while self.left > 0 && self.shard < self.queue.store.shards() {
            let Some(ids) = self.entries().await? else {
                self.shard += 1;
                (self.last, self.offset, self.fitted) = (None, 0, 0);
                continue;
            };
            let mails = self.states(&ids).await?;
            let needed = self.filter.needs_record();
            let with_record = if needed { mails.len() } else { wanted.saturating_sub(self.fitted).min(mails.len()) };
            let mut page = self.read(&mails, with_record).await?;
            page.truncate(self.left);
            self.left -= page.len();
            self.fitted += page.len();
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The next entries of this shard's index; `None` if there are no more.
    async fn entries(&mut self) -> Result<Option<Vec<MailId>>, StoreError> {
        let bound = |at: Option<u64>, open: &str| at.map_or_else(|| open.to_owned(), |at| at.to_string());
        loop {
            let until = self.last.as_ref().map(|(at, _)| *at).or(self.filter.died_until.map(|at| at.0));
            let rows: Vec<(String, f64)> = redis::cmd("ZREVRANGEBYSCORE")
                .arg(self.queue.store.keys(self.shard).dead())
                .arg(bound(until, "+inf"))
                .arg(bound(self.filter.died_from.map(|at| at.0), "-inf"))
                .arg("WITHSCORES")
                .arg("LIMIT")
                .arg(self.offset)
                .arg(PAGE)
                .query_async(&mut self.queue.store.connection())
                .await?;
            if rows.is_empty() {
                return Ok(None);
            }
            if self.most == 0 {
                self.is_cut = true;
                return Ok(None);
            }
            self.most = self.most.saturating_sub(rows.len());
            let read = rows.len();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
            let rows = rows.into_iter().map(|(id, at)| (at as u64, id));
            let fresh: Vec<_> = rows.filter(|row| self.last.as_ref().is_none_or(|last| row < last)).collect();
            let ids = fresh.iter().filter_map(|(_, id)| id.parse().ok()).collect();
            match fresh.into_iter().next_back() {
                Some(last) => {
                    (self.last, self.offset) = (Some(last), 0);
                    return Ok(Some(ids));
                }
                // More died in one millisecond than a page holds.
                None => self.offset += read,
            }
        }
    }

    /// The states of those that fit, as far as a state can tell.
    async fn states(&self, ids: &[MailId]) -> Result<Vec<(MailId, Fields)>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.queue.store.keys(self.shard);
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(keys.mail(*id));
        }
        let rows: Vec<Fields> = pipe.query_async(&mut self.queue.store.connection()).await?;
        Ok(ids.iter().copied().zip(rows).filter(|(_, fields)| self.filter.fits_state(fields)).collect())
    }

    /// The statuses of mails, the first of them with their records, and only those that fit.
    async fn read(&self, mails: &[(MailId, Fields)], with_record: usize) -> Result<Vec<MailStatus>, StoreError> {
        let keys = self.queue.store.keys(self.shard);
        let (with, without) = mails.split_at(with_record);
        let mut found = Vec::with_capacity(mails.len());
        let mut rest = with;
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(slice_of(rest));
            rest = after;
            let mut get = redis::cmd("MGET");
            for (id, _) in slice {
                get.arg(keys.job(*id));
            }
            let records: Vec<Option<Vec<u8>>> = get.query_async(&mut self.queue.store.connection()).await?;
            for ((id, fields), record) in slice.iter().zip(records) {
                let job = record.and_then(|record| Job::decode(&record).ok());
                let status = read_status(*id, fields, job, &[])?;
                if self.filter.fits_record(&status) {
                    found.push(status);
                }
            }
        }
        for (id, fields) in without {
            found.push(read_status(*id, fields, None, &[])?);
        }
        Ok(found)
    }
}

/// How many of these mails' records are read at once.
fn slice_of(mails: &[(MailId, Fields)]) -> usize {
    let mut bytes = 0;
    let fits = |(_, fields): &&(MailId, Fields)| {
        bytes += fields.get("b").and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
        bytes <= RECORD_BYTES
    };
    mails.iter().take(RECORDS).take_while(fits).count().max(1)
}

impl DeadFilter {
    fn needs_record(&self) -> bool {
        self.domain.is_some() || self.tag.is_some()
    }

    fn fits_state(&self, fields: &Fields) -> bool {
        let is = |name: &str, word: &str| fields.get(name).is_some_and(|value| value == word);
        is("s", MailState::Dead.as_str())
            && self.reason.map(Reason::as_str).is_none_or(|reason| is("r", reason))
            && self.account.as_ref().is_none_or(|account| is("a", account.reveal()))
    }

    fn fits_record(&self, status: &MailStatus) -> bool {
        let has_domain = |domain: &String| {
            let mut left_out = status.recipients.iter().filter(|one| one.fate != "delivered");
            left_out.any(|one| one.address.domain().to_lowercase() == domain.to_lowercase())
        };
        let has_tag = |wanted: &super::TagFilter| status.tags.iter().any(|tag| wanted.fits(tag));
        self.domain.as_ref().is_none_or(has_domain) && self.tag.as_ref().is_none_or(has_tag)
    }
}
