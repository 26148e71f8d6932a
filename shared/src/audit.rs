//! The audit log: what was changed by hand, who did it, and how it ended.
//!
//! One stream for the whole queue, in the first shard, capped at some 10,000 entries. An entry holds no mail address: a mail
//! stands in it by its id, an account by the hash that logs have of it. What an app does with its own mail is told by the mail's
//! timeline and not here.

use std::fmt;

use serde::Serialize;

use crate::account::AccountId;
use crate::api_keys::{ApiKey, KeyId};
use crate::clock::Millis;
use crate::id::MailId;
use crate::store::keys::SERVICE_SHARD;
use crate::store::{Store, StoreError};

/// Entries that are kept, or a few more.
const MOST: usize = 10_000;
/// The most entries on a page.
pub const MOST_ON_PAGE: usize = 1_000;
/// Who works at the command line.
const CLI: &str = "cli";

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[doc = $doc])+ $variant,)+ }

        impl Action {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the log.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

actions! {
    /// A mail was cancelled.
    MailCancel = "mail.cancel",
    /// A mail got another time.
    MailReschedule = "mail.reschedule",
    /// Dead letters were put back into the queue, with a new deadline.
    DeadRetry = "dead.retry",
    /// Dead letters were thrown away.
    DeadDiscard = "dead.discard",
    /// An account was added or changed.
    AccountAdd = "account.add",
    /// An account got a new consent.
    AccountLogin = "account.login",
    /// An account was held.
    AccountHold = "account.hold",
    /// An account may send again.
    AccountResume = "account.resume",
    /// An account was removed.
    AccountRemove = "account.remove",
    /// A pool was made or changed.
    PoolPut = "pool.put",
    /// A pool was removed.
    PoolRemove = "pool.remove",
    /// A template got a new version.
    TemplatePut = "template.put",
    /// A template was removed.
    TemplateRemove = "template.remove",
    /// An API key was made.
    KeyCreate = "key.create",
    /// An API key was revoked.
    KeyRevoke = "key.revoke",
    /// Somebody logged in at the dashboard.
    SessionLogin = "session.login",
    /// Somebody logged out of the dashboard.
    SessionLogout = "session.logout",
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
    /// It failed, and some of it may have been done.
    Failed,
}

impl Outcome {
    /// The word in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The id of the API key, or `cli`.
    pub id: String,
    /// What people call the key; empty at the command line.
    pub name: String,
    /// What it may do.
    pub role: String,
}

impl Actor {
    /// Whoever works at the command line: it may do everything.
    #[must_use]
    pub fn cli() -> Self {
        Self { id: CLI.to_owned(), name: String::new(), role: CLI.to_owned() }
    }

    /// Whoever has this key, in a role that follows from it.
    #[must_use]
    pub fn of_key(key: &ApiKey, role: impl Into<String>) -> Self {
        Self { id: key.id.to_string(), name: key.name.clone(), role: role.into() }
    }
}

/// What it was done to. Prints without addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Nothing that has a name.
    None,
    /// One mail.
    Mail(MailId),
    /// So many mails.
    Mails(u64),
    /// One account.
    Account(AccountId),
    /// One API key.
    Key(KeyId),
    /// One template, by its name.
    Template(String),
    /// So many templates.
    Templates(usize),
    /// One pool, by its name.
    Pool(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Mail(id) => write!(f, "mail {id}"),
            Self::Mails(count) => write!(f, "{count} mails"),
            Self::Account(account) => write!(f, "account {}", account.hashed()),
            Self::Key(id) => write!(f, "key {id}"),
            Self::Template(name) => write!(f, "template {name}"),
            Self::Templates(count) => write!(f, "{count} templates"),
            Self::Pool(name) => write!(f, "pool {name}"),
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Names its place in the log.
    pub id: String,
    /// When, by the clock of Redis.
    pub at: Millis,
    /// Who.
    pub actor: Actor,
    /// What, such as `dead.retry`: a word of [`Action`], or of a later version's.
    pub action: String,
    /// To what.
    pub subject: String,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
}

/// Entries, the newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins: give it as `after`. `None`: there are no more.
    pub next: Option<String>,
}

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    store: Store,
}

impl Audit {
    /// The log in this Redis.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If Redis did not store it.
    pub async fn record(
        &self,
        actor: &Actor,
        action: Action,
        subject: &Subject,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let mut add = redis::cmd("XADD");
        add.arg(self.store.keys(SERVICE_SHARD).audit()).arg("MAXLEN").arg("~").arg(MOST).arg("*");
        add.arg("who").arg(&actor.id).arg("name").arg(&actor.name).arg("role").arg(&actor.role);
        add.arg("action").arg(action.as_str()).arg("subject").arg(subject.to_string());
        add.arg("outcome").arg(outcome.as_str());
        Ok(add.query_async(&mut self.store.connection()).await?)
    }

    /// A page of the log, the newest first: at most `limit` entries that are older than the one named `after`.
    ///
    /// # Errors
    /// If `after` is no entry's id, or Redis did not answer.
    pub async fn page(&self, limit: usize, after: Option<&str>) -> Result<AuditPage, StoreError> {
        let limit = limit.clamp(1, MOST_ON_PAGE);
        let from = match after {
            None => "+".to_owned(),
            Some(id) if read_id(id).is_some() => format!("({id}"),
            Some(_) => return Err(StoreError::Wrong("that is no entry of the audit log: take one's id".to_owned())),
        };
        let mut ask = redis::cmd("XREVRANGE");
        ask.arg(self.store.keys(SERVICE_SHARD).audit()).arg(from).arg("-").arg("COUNT").arg(limit + 1);
        let rows: Vec<(String, Vec<String>)> = ask.query_async(&mut self.store.connection()).await?;
        let has_more = rows.len() > limit;
        let entries: Vec<Entry> = rows.iter().take(limit).map(|(id, fields)| read(id, fields)).collect();
        let next = entries.last().filter(|_| has_more).map(|entry| entry.id.clone());
        Ok(AuditPage { entries, next })
    }
}

/// The time in an entry's id, which is `<milliseconds>-<number>`.
fn read_id(id: &str) -> Option<Millis> {
    let (at, number) = id.split_once('-')?;
    number.parse::<u64>().ok()?;
    Some(Millis(at.parse().ok()?))
}

fn read(id: &str, fields: &[String]) -> Entry {
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        pairs.find(|pair| pair[0] == name).map(|pair| pair[1].clone()).unwrap_or_default()
    };
    Entry {
        id: id.to_owned(),
        at: read_id(id).unwrap_or_default(),
        actor: Actor { id: field("who"), name: field("name"), role: field("role") },
        action: field("action"),
        subject: field("subject"),
        outcome: field("outcome"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_never_prints_an_address() {
        let account: AccountId = "shop@example.com".parse().unwrap();
        assert_eq!(Subject::Account(account.clone()).to_string(), format!("account {}", account.hashed()));
        let id = MailId::new(0, Millis(1));
        assert_eq!(Subject::Mail(id).to_string(), format!("mail {id}"));
        assert_eq!(Subject::Mails(3).to_string(), "3 mails");
    }

    #[test]
    fn every_action_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(words.len(), Action::ALL.len());
    }

    #[test]
    fn the_id_of_an_entry_tells_its_time() {
        assert_eq!(read_id("1700000000000-3"), Some(Millis(1_700_000_000_000)));
        for text in ["", "+", "17", "x-1", "1-x", "(1-1"] {
            assert_eq!(read_id(text), None, "{text}");
        }
    }
}
