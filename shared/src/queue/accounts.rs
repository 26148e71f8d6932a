//! Accounts in the queue: put, look up, hold, resume, remove. Their secrets lie elsewhere (`tokens`).

use std::collections::HashMap;

use super::Queue;
use super::session::wrong;
use crate::account::{Account, AccountId, Hold};
use crate::store::StoreError;
use crate::store::keys::ACCOUNTS;

/// Accounts read in one go.
const SLICE: usize = 500;

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such account.
    #[error("there is no such account: see `postroom account list`, or add it with `postroom account add ADDRESS`")]
    Unknown,
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Queue {
    /// Adds an account, or changes it and ends its hold. Mail that waits for it may go at once.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn put_account(&self, account: &Account) -> Result<(), AccountError> {
        let aliases = serde_json::to_string(&account.aliases).map_err(wrong)?;
        let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
        let details = [account.kind.as_str().to_owned(), aliases, number(account.connections), number(account.limit)];
        self.change_account("put", &account.id, &details).await?;
        let mut connection = self.store.connection();
        let added = redis::cmd("SADD").arg(ACCOUNTS).arg(account.id.reveal()).query_async::<()>(&mut connection).await;
        Ok(added.map_err(StoreError::from)?)
    }

    /// One account.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.read_accounts(std::slice::from_ref(id)).await?.pop())
    }

    /// All accounts, by address.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let mut ids: Vec<String> =
            redis::cmd("SMEMBERS").arg(ACCOUNTS).query_async(&mut self.store.connection()).await?;
        ids.sort();
        let ids: Vec<AccountId> = ids.iter().map(|id| id.parse().map_err(wrong)).collect::<Result<_, _>>()?;
        let mut accounts = Vec::with_capacity(ids.len());
        for slice in ids.chunks(SLICE) {
            accounts.append(&mut self.read_accounts(slice).await?);
        }
        Ok(accounts)
    }

    async fn read_accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HGETALL").arg(self.store.keys_of(id).account(id));
        }
        let rows: Vec<HashMap<String, String>> = pipe.query_async(&mut self.store.connection()).await?;
        let known = ids.iter().zip(rows).filter(|(_, fields)| fields.contains_key("kind"));
        known.map(|(id, fields)| read_account(id.clone(), &fields)).collect()
    }

    /// Keeps an account from sending. Its mails keep their place and lose nothing.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn hold(&self, id: &AccountId, hold: &Hold) -> Result<(), AccountError> {
        let json = serde_json::to_string(hold).map_err(wrong)?;
        let until = hold.until.map_or(0, |until| until.0).to_string();
        self.change_account("hold", id, &[json, until]).await
    }

    /// Ends an account's hold.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn resume(&self, id: &AccountId) -> Result<(), AccountError> {
        self.change_account("resume", id, &[]).await
    }

    /// Removes an account; mails that wait for it become dead letters.
    ///
    /// # Errors
    /// If Redis did not do it; doing it again goes on where it stopped.
    pub async fn remove_account(&self, id: &AccountId) -> Result<(), StoreError> {
        let keys = self.store.keys_of(id);
        loop {
            let mut call = self.scripts.account.call(&keys);
            call.arg("remove").arg(id.reveal());
            let word: String = call.invoke_async(&mut self.store.connection()).await?;
            if word != "more" {
                break;
            }
        }
        let mut connection = self.store.connection();
        redis::cmd("SREM").arg(ACCOUNTS).arg(id.reveal()).query_async::<()>(&mut connection).await?;
        Ok(())
    }

    async fn change_account(&self, what: &str, id: &AccountId, details: &[String]) -> Result<(), AccountError> {
        let keys = self.store.keys_of(id);
        let mut call = self.scripts.account.call(&keys);
        call.arg(what).arg(id.reveal());
        for detail in details {
            call.arg(detail.as_str());
        }
        let answer: Result<String, _> = call.invoke_async(&mut self.store.connection()).await;
        match answer.map_err(StoreError::from)?.as_str() {
            "ok" => Ok(()),
            "no_account" => Err(AccountError::Unknown),
            other => Err(wrong(format!("{other:?} to a change of an account")).into()),
        }
    }
}

fn read_account(id: AccountId, fields: &HashMap<String, String>) -> Result<Account, StoreError> {
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| field(name).map(str::parse::<u32>).transpose().map_err(wrong);
    let hold: Option<Hold> = field("hold").map(serde_json::from_str).transpose().map_err(wrong)?;
    Ok(Account {
        id,
        kind: field("kind").unwrap_or_default().parse().map_err(wrong)?,
        aliases: field("aliases").map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default(),
        connections: number("connections")?,
        limit: number("limit")?,
        hold,
    })
}
