//! The newest mails, and what a listing shows of any.
//!
//! Of each record only the first part is read: the bytes of a mail are no part of a listing.

use super::Queue;
use super::head::{HEAD_BYTES, decode_head};
use super::mails::{Fields, MailState, MailStatus, read_status};
use crate::account::AccountId;
use crate::id::MailId;
use crate::store::StoreError;

/// Which mails a listing shows.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only mails in this state.
    pub state: Option<MailState>,
    /// Only mails of this account.
    pub account: Option<AccountId>,
    /// At most so many.
    pub limit: usize,
}

/// Index entries read at once, and at most, for one listing.
const PAGE: usize = 500;
const MOST_READ: usize = 50_000;
/// Records read at once.
const RECORDS: usize = 25;

impl Queue {
    /// The newest mails that fit, without their timelines.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn list(&self, filter: &ListFilter) -> Result<Vec<MailStatus>, StoreError> {
        let mut found = Vec::new();
        for shard in 0..self.store.shards() {
            self.list_shard(shard, filter, &mut found).await?;
        }
        found.sort_by_key(|status| std::cmp::Reverse(status.id));
        found.truncate(filter.limit);
        Ok(found)
    }

    async fn list_shard(&self, shard: u16, filter: &ListFilter, found: &mut Vec<MailStatus>) -> Result<(), StoreError> {
        let keys = self.store.keys(shard);
        let (mut end, mut seen, start) = ("+".to_owned(), 0, found.len());
        while found.len() - start < filter.limit && seen < MOST_READ {
            let entries: Vec<(String, Vec<String>)> = redis::cmd("XREVRANGE")
                .arg(keys.mails())
                .arg(&end)
                .arg("-")
                .arg("COUNT")
                .arg(PAGE)
                .query_async(&mut self.store.connection())
                .await?;
            let Some((last, _)) = entries.last() else { break };
            end = format!("({last}");
            seen += entries.len();
            let ids = entries.iter().filter_map(|(_, fields)| fields.get(1)?.parse().ok()).collect::<Vec<MailId>>();
            found.extend(self.statuses(&ids, |fields| fits(fields, filter)).await?);
        }
        Ok(())
    }

    /// The statuses of mails in the order of their ids, without timelines; those that are gone or do not fit are left out.
    pub(super) async fn statuses(
        &self,
        ids: &[MailId],
        fits: impl Fn(&Fields) -> bool,
    ) -> Result<Vec<MailStatus>, StoreError> {
        let rows = ids.iter().copied().zip(self.fields_of(ids).await?);
        let chosen: Vec<_> = rows.filter(|(_, fields)| !fields.is_empty() && fits(fields)).collect();
        self.with_heads(&chosen).await
    }

    /// What the hashes of mails say, in the order of their ids; nothing of those that are gone.
    pub(super) async fn fields_of(&self, ids: &[MailId]) -> Result<Vec<Fields>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(self.store.keys(id.shard()).mail(*id));
        }
        Ok(pipe.query_async(&mut self.store.connection()).await?)
    }

    /// The statuses of mails whose hashes were read.
    pub(super) async fn with_heads(&self, rows: &[(MailId, Fields)]) -> Result<Vec<MailStatus>, StoreError> {
        let mut statuses = Vec::with_capacity(rows.len());
        for some in rows.chunks(RECORDS) {
            let mut pipe = redis::pipe();
            for (id, _) in some {
                pipe.cmd("GETRANGE").arg(self.store.keys(id.shard()).job(*id)).arg(0).arg(HEAD_BYTES - 1);
            }
            let heads: Vec<Vec<u8>> = pipe.query_async(&mut self.store.connection()).await?;
            for ((id, fields), head) in some.iter().zip(heads) {
                statuses.push(read_status(*id, fields, decode_head(&head), &[])?);
            }
        }
        Ok(statuses)
    }
}

pub(super) fn fits(fields: &Fields, filter: &ListFilter) -> bool {
    filter.state.is_none_or(|state| fields.get("s").is_some_and(|word| word == state.as_str()))
        && filter.account.as_ref().is_none_or(|id| fields.get("a").is_some_and(|account| account == id.reveal()))
}
