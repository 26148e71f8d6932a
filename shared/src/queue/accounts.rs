//! Accounts in the queue: put, look up, hold, resume, remove. Their secrets lie elsewhere (`tokens`).

use std::collections::HashMap;
use std::time::Duration;

use super::Queue;
use super::session::wrong;
use crate::account::{Account, AccountId, AccountKind, Hold, Pause};
use crate::clock::Millis;
use crate::clock::millis;
use crate::reason::Reason;
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

/// What an attempt showed of its account.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// Why it is held.
    pub reason: Reason,
    /// For how long.
    pub pause: Pause,
    /// Whether the server finds its connections too many: it has one fewer, at least one, for an hour or until a person
    /// resumes it. What several connections are told at once counts once.
    pub fewer: bool,
}

/// What became of a hold because of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It ends by itself, at that time.
    Until(Millis),
    /// It ends when a person acts.
    UntilAPerson,
    /// The account was resumed or added anew after the attempt had begun: it is not held.
    Outdated,
}

/// What the script answered.
enum Answer {
    Done(String),
    Outdated,
}

impl Queue {
    /// Adds an account, or renews it: its holds end, and it is tried with one mail first. So are those of the other accounts
    /// of its client that were held because of the client.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn put_account(&self, account: &Account) -> Result<(), AccountError> {
        self.store_account("put", account).await?;
        self.lift_client(account).await
    }

    /// Changes what is known of an account. Its holds stay: nothing that led to them has changed.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn change_account(&self, account: &Account) -> Result<(), AccountError> {
        self.store_account("change", account).await
    }

    async fn store_account(&self, verb: &str, account: &Account) -> Result<(), AccountError> {
        let aliases = serde_json::to_string(&account.aliases).map_err(wrong)?;
        let text = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
        let (messages, recipients) = account.budget();
        let details = [
            account.kind.as_str().to_owned(),
            aliases,
            text(account.connections),
            text(account.limit),
            text(account.recipients),
            account.urgent_share.to_string(),
            account.rate.map(|rate| rate.to_string()).unwrap_or_default(),
            text(account.burst),
            account.client.clone().unwrap_or_default(),
            text(messages),
            text(recipients),
        ];
        self.call_account(verb, &account.id, &details).await?;
        let mut connection = self.store.connection();
        let added = redis::cmd("SADD").arg(ACCOUNTS).arg(account.id.reveal()).query_async::<()>(&mut connection).await;
        Ok(added.map_err(StoreError::from)?)
    }

    /// Makes the built-in account of test mails. One that is there already stays as it is.
    pub(super) async fn make_test_account(&self) -> Result<(), StoreError> {
        let account = Account { kind: AccountKind::Test, ..Account::new(AccountId::of_test_mode()) };
        // Listed first: nobody would list it later if what follows were the last thing that was done.
        let mut connection = self.store.connection();
        redis::cmd("SADD").arg(ACCOUNTS).arg(account.id.reveal()).query_async::<()>(&mut connection).await?;
        match self.change_account(&account).await {
            Ok(()) => Ok(()),
            Err(AccountError::Store(error)) => Err(error),
            Err(error @ AccountError::Unknown) => Err(wrong(error)),
        }
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

    /// Keeps an account from sending, besides what keeps it already; its mails keep their place and lose nothing. A hold of
    /// the same reason that still lasts is not made longer. Answers until when this reason holds; `None`: until a person
    /// acts.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn hold(
        &self,
        id: &AccountId,
        reason: Reason,
        note: &str,
        pause: Pause,
    ) -> Result<Option<Millis>, AccountError> {
        match self.call_hold(id, Finding { reason, pause, fewer: false }, note, None).await? {
            Held::Until(until) => Ok(Some(until)),
            Held::UntilAPerson | Held::Outdated => Ok(None),
        }
    }

    /// [`hold`](Self::hold) because of what an attempt showed that began so long ago: not if the account was resumed or
    /// added anew since, for the attempt says nothing of what a person has mended.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn hold_after_attempt(
        &self,
        id: &AccountId,
        finding: Finding,
        note: &str,
        age: Duration,
    ) -> Result<Held, AccountError> {
        self.call_hold(id, finding, note, Some(age)).await
    }

    async fn call_hold(
        &self,
        id: &AccountId,
        finding: Finding,
        note: &str,
        age: Option<Duration>,
    ) -> Result<Held, AccountError> {
        let (least, most) = match finding.pause {
            Pause::UntilAPerson => ("-1".to_owned(), "0".to_owned()),
            Pause::For { least, most } => (millis(least).to_string(), millis(most).to_string()),
        };
        let age = age.map(|age| millis(age).to_string()).unwrap_or_default();
        let fewer = u8::from(finding.fewer).to_string();
        let details = [finding.reason.as_str().to_owned(), note.to_owned(), least, most, age, fewer];
        match self.call_account("hold", id, &details).await? {
            Answer::Done(until) => Ok(until
                .parse()
                .ok()
                .filter(|until| *until > 0)
                .map_or(Held::UntilAPerson, |it| Held::Until(Millis(it)))),
            Answer::Outdated => Ok(Held::Outdated),
        }
    }

    /// Holds every account of this account's OAuth2 client, because an attempt that began so long ago showed that the client
    /// itself is refused. Answers how many: none, if the account was resumed since.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn hold_client(&self, id: &AccountId, note: &str, age: Duration) -> Result<usize, AccountError> {
        let known = self.account(id).await?.ok_or(AccountError::Unknown)?;
        let finding = Finding { reason: Reason::Client, pause: Pause::UntilAPerson, fewer: false };
        let hold = |id: AccountId| async move { self.hold_after_attempt(&id, finding, note, age).await };
        if hold(id.clone()).await? == Held::Outdated {
            return Ok(0);
        }
        let mut held = 1;
        for other in self.siblings(&known).await? {
            match hold(other).await {
                Ok(Held::Outdated) | Err(AccountError::Unknown) => {}
                Ok(Held::Until(_) | Held::UntilAPerson) => held += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Gmail refused for a used-up quota earlier than we counted: somebody else uses the mailbox, or its limit is lower.
    /// The ledger says so until the next delivery.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn correct_ledger(&self, id: &AccountId) -> Result<(), AccountError> {
        self.call_account("used_up", id, &[]).await.map(|_| ())
    }

    /// Ends all holds of an account; it is tried with one mail first. Ends the holds because of its client for the client's
    /// other accounts, too.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn resume(&self, id: &AccountId) -> Result<(), AccountError> {
        self.call_account("resume", id, &[String::new()]).await?;
        let known = self.account(id).await?.ok_or(AccountError::Unknown)?;
        self.lift_client(&known).await
    }

    /// Ends an account's hold of one reason, if there is one.
    ///
    /// # Errors
    /// If there is no such account or Redis did not do it.
    pub async fn lift(&self, id: &AccountId, reason: Reason) -> Result<(), AccountError> {
        self.call_account("resume", id, &[reason.as_str().to_owned()]).await.map(|_| ())
    }

    async fn lift_client(&self, account: &Account) -> Result<(), AccountError> {
        if let Some(client) = &account.client {
            // Its tokens are asked for again, too.
            let known = self.store.keys(0).token_client(client);
            let mut connection = self.store.connection();
            redis::cmd("DEL").arg(known).query_async::<()>(&mut connection).await.map_err(StoreError::from)?;
        }
        for other in self.siblings(account).await? {
            match self.lift(&other, Reason::Client).await {
                Ok(()) | Err(AccountError::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The other accounts of an account's client.
    async fn siblings(&self, account: &Account) -> Result<Vec<AccountId>, StoreError> {
        if account.client.is_none() {
            return Ok(Vec::new());
        }
        let all = self.accounts().await?;
        let others = all.into_iter().filter(|other| other.id != account.id && other.client == account.client);
        Ok(others.map(|other| other.id).collect())
    }

    /// Whether the account may log in now, which counts as a login; else how long to wait: its mails are not handed out so
    /// long. See `lua/login.lua` for the rule.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn may_log_in(&self, id: &AccountId) -> Result<Option<Duration>, StoreError> {
        let keys = self.store.keys_of(id);
        let mut call = self.scripts.login.call(&keys);
        call.arg(id.reveal()).arg(self.limits.login_burst).arg(millis(self.limits.login_interval));
        let pause: u64 = call.invoke_async(&mut self.store.connection()).await?;
        Ok((pause > 0).then(|| Duration::from_millis(pause)))
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
            let words: Vec<String> = call.invoke_async(&mut self.store.connection()).await?;
            if words.first().is_none_or(|word| word != "more") {
                break;
            }
        }
        let mut connection = self.store.connection();
        redis::cmd("SREM").arg(ACCOUNTS).arg(id.reveal()).query_async::<()>(&mut connection).await?;
        Ok(())
    }

    async fn call_account(&self, what: &str, id: &AccountId, details: &[String]) -> Result<Answer, AccountError> {
        let keys = self.store.keys_of(id);
        let mut call = self.scripts.account.call(&keys);
        call.arg(what).arg(id.reveal());
        for detail in details {
            call.arg(detail.as_str());
        }
        let answer: Result<Vec<String>, _> = call.invoke_async(&mut self.store.connection()).await;
        let answer = answer.map_err(StoreError::from)?;
        match answer.first().map(String::as_str) {
            Some("ok") => Ok(Answer::Done(answer.get(1).cloned().unwrap_or_default())),
            Some("outdated") => Ok(Answer::Outdated),
            Some("no_account") => Err(AccountError::Unknown),
            other => Err(wrong(format!("{other:?} to a change of an account")).into()),
        }
    }
}

pub(super) fn read_account(id: AccountId, fields: &HashMap<String, String>) -> Result<Account, StoreError> {
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|text| !text.is_empty());
    let number = |name: &str| field(name).map(str::parse::<u32>).transpose().map_err(wrong);
    let causes: HashMap<String, Hold> =
        field("hold").map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default();
    let now = Millis::now();
    let mut holds: Vec<Hold> = causes.into_values().filter(|hold| hold.until.is_none_or(|until| until > now)).collect();
    holds.sort_by_key(|hold| hold.since);
    Ok(Account {
        id,
        kind: AccountKind::from_stored(field("kind").unwrap_or_default()).map_err(wrong)?,
        aliases: field("aliases").map(serde_json::from_str).transpose().map_err(wrong)?.unwrap_or_default(),
        connections: number("connections")?,
        limit: number("limit")?,
        recipients: number("recipients")?,
        urgent_share: number("share")?.unwrap_or(0),
        rate: field("rate").map(str::parse).transpose().map_err(wrong)?,
        burst: number("burst")?,
        client: field("client").map(str::to_owned),
        consented: field("consented").and_then(|at| at.parse().ok()).map(Millis),
        fewer: field("fewer").and_then(read_fewer).filter(|(_, until)| *until > now),
        holds,
    })
}

/// `connections until`
fn read_fewer(text: &str) -> Option<(u32, Millis)> {
    let (connections, until) = text.split_once(' ')?;
    Some((connections.parse().ok()?, Millis(until.parse().ok()?)))
}
