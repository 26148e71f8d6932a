//! Dead letters: what failed for good, with its bytes, to be retried or discarded.

use std::time::Duration;

use super::Queue;
use super::mails::{MailState, MailStatus};
use super::push::millis;
use super::timeline::What;
use crate::account::AccountId;
use crate::id::MailId;
use crate::reason::Reason;
use crate::store::StoreError;

/// Which dead letters are meant.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Only those that died of this.
    pub reason: Option<Reason>,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// At most so many.
    pub limit: usize,
}

const PAGE: usize = 500;

impl Queue {
    /// The dead letters that fit, newest first, without timelines.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn dead(&self, filter: &DeadFilter) -> Result<Vec<MailStatus>, StoreError> {
        let mut found = Vec::new();
        for shard in 0..self.store.shards() {
            let (mut from, start) = (0, found.len());
            while found.len() - start < filter.limit {
                let ids: Vec<String> = redis::cmd("ZREVRANGE")
                    .arg(self.store.keys(shard).dead())
                    .arg(from)
                    .arg(from + PAGE - 1)
                    .query_async(&mut self.store.connection())
                    .await?;
                if ids.is_empty() {
                    break;
                }
                from += ids.len();
                let ids: Vec<MailId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
                let fits = |fields: &std::collections::HashMap<String, String>| {
                    let is = |name: &str, word: &str| fields.get(name).is_some_and(|value| value == word);
                    is("s", MailState::Dead.as_str())
                        && filter.reason.is_none_or(|reason| is("r", reason.as_str()))
                        && filter.account.as_ref().is_none_or(|account| is("a", account.reveal()))
                };
                found.extend(self.statuses(shard, &ids, fits).await?);
            }
        }
        found.sort_by_key(|status| std::cmp::Reverse(status.at));
        found.truncate(filter.limit);
        Ok(found)
    }

    /// Puts a dead letter back into the queue, with a new deadline, for the recipients that are open.
    /// `None`: no such mail; `Some(Err)`: it is not dead but in this state.
    ///
    /// # Errors
    /// If Redis did not do it, or its account is gone.
    pub async fn retry_dead(&self, id: MailId, ttl: Duration) -> Result<Option<Result<(), MailState>>, StoreError> {
        self.change(id, "retry", What::Retried, millis(ttl)).await
    }

    /// Throws a dead letter away; its timeline is kept for `POSTROOM_RETENTION`. Answers as [`Queue::retry_dead`].
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn discard_dead(&self, id: MailId) -> Result<Option<Result<(), MailState>>, StoreError> {
        self.change(id, "discard", What::Discarded, 0).await
    }
}
