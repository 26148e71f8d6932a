//! Pools: put, look up, remove; and what a mail of one carries into the scripts (`lua/pools.lua`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Queue;
use super::push::digest;
use super::session::wrong;
use crate::account::AccountId;
use crate::pool::{Pool, PoolName};
use crate::store::StoreError;
use crate::store::keys::POOLS;

/// What a mail of a pool carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooled {
    /// Its pool.
    pub pool: PoolName,
    /// The accounts that may send it: of the mail's shard, and ones that Gmail lets send with its From.
    pub accounts: Vec<AccountId>,
    /// What its thread is known by: the Message-ID at the root of it, if it answers another mail, then its own.
    pub thread: Vec<String>,
}

impl Pooled {
    /// As it stands in the field `g` of a mail; empty for a mail without a pool.
    pub(super) fn written(pooled: Option<&Self>) -> String {
        let Some(Self { pool, accounts, thread }) = pooled else { return String::new() };
        let hashes: Vec<String> = thread.iter().map(|id| digest(&[id.as_bytes()])).collect();
        let mut text = format!("{pool}\n{}", hashes.join(" "));
        for account in accounts {
            // An address has no line break (RFC 5321).
            let _ = write!(text, "\n{}", account.reveal());
        }
        text
    }
}

/// The pool in the field `g` of a mail.
pub(super) fn pool_of(text: &str) -> Option<PoolName> {
    text.lines().next()?.parse().ok()
}

impl Queue {
    /// Stores a pool, in place of one of the same name. Mails that wait keep the accounts that they were handed over with.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn put_pool(&self, pool: &Pool) -> Result<(), StoreError> {
        let accounts = serde_json::to_string(&pool.accounts).map_err(wrong)?;
        let mut command = redis::cmd("HSET");
        command.arg(POOLS).arg(pool.name.as_str()).arg(accounts);
        Ok(command.query_async::<()>(&mut self.store.connection()).await?)
    }

    /// All pools, by name.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        let rows: BTreeMap<String, String> =
            redis::cmd("HGETALL").arg(POOLS).query_async(&mut self.store.connection()).await?;
        let read = |(name, accounts): (String, String)| {
            let accounts = serde_json::from_str(&accounts).map_err(wrong)?;
            Ok(Pool { name: name.parse().map_err(wrong)?, accounts })
        };
        rows.into_iter().map(read).collect()
    }

    /// Removes a pool; mails that wait go on as they are. Answers whether there was one.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn remove_pool(&self, name: &PoolName) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HDEL");
        command.arg(POOLS).arg(name.as_str());
        Ok(command.query_async::<u64>(&mut self.store.connection()).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_a_line_for_each() {
        let pooled = Pooled {
            pool: "shop".parse().unwrap(),
            accounts: vec!["a@example.com".parse().unwrap(), "b@example.com".parse().unwrap()],
            thread: vec!["<1@x>".to_owned(), "<2@x>".to_owned()],
        };
        let text = Pooled::written(Some(&pooled));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], &lines[2..]), ("shop", &["a@example.com", "b@example.com"][..]));
        assert_eq!(lines[1].split(' ').map(str::len).collect::<Vec<_>>(), [32, 32]);
        assert_eq!(pool_of(&text), Some(pooled.pool));
        assert_eq!((Pooled::written(None).as_str(), pool_of("")), ("", None));
    }
}
