//! Every Redis key, what lies there, how long it lives and who deletes it.
//!
//! # The story
//! An **account** belongs to one **shard** (a hash of its address); a mail to its account's shard, which its id tells.
//! All keys of a shard carry one hash tag, `pr:{<shard>}:…`, so that one script may touch them all in a Redis Cluster.
//!
//! A mail lies in two keys while it waits: `mail:<id>`, a small hash with its state, and `job:<id>`, the envelope and
//! the frozen bytes, compressed. Its place is an entry of its **lane**, `lane:<account>:<u|n|b>` (urgent, normal, bulk),
//! or of the sorted set `due` if it waits for a time. Entries of a lane are hints: the hash tells the truth, so a
//! cancelled mail is simply skipped when its entry comes up.
//!
//! `waiting:<u|n|b>` holds the accounts that are not held and have mail of that priority, so that nobody looks into empty
//! lanes.
//! `ring:<u|n|b>` holds the accounts that have mail of that priority and may start work: not held, and with a free
//! **permit** (a right to one connection). Permits lie in `permits:<account>` (session → how many), the jobs under way in
//! `load:<account>` (session → how many). A worker is a **session**: an entry of `sessions` that it keeps renewing, with
//! its jobs in `jobs:<session>` (each with its fence, recipients and account), those of them whose bytes may have left in
//! `begun:<session>`, and the accounts it has permits for in `lanes:<session>`. When a session runs out, the
//! next script of any worker takes back its jobs and permits, a slice at a time. `idle` holds the sessions that found
//! nothing to do: a push publishes to the worker of one of them, on `pr:wake:<worker>`.
//!
//! A mail of a **pool** lies in the lane of one of several accounts, like any other, and is noted in `pooled:` besides, so that
//! it is found when that account may not send. `later` holds accounts to be looked at again at a time, and entries
//! `move <u|n|b> <account>` for such mails that look for another one. See `lua/pools.lua`.
//!
//! Mails are found by sorted sets of their ids by the time they were handed over: `by:s<state>:<reason>` holds those that are
//! scheduled, between two tries, dead, cancelled or discarded; `by:<kind><hash>` those with a recipient (`t`), a tag (`g`) or a
//! `Message-ID` of the app's own (`m`). What is told of a mail for long (far ahead, dead) lies under the capital of its kind, so
//! that the others need not be kept as long. See `lua/index.lua`.
//!
//! # Lives
//! | key | made by | ends |
//! |---|---|---|
//! | `mail:`, `job:`, `log:` | push; settle | `POSTROOM_RETENTION` after the mail was sent, cancelled or discarded (the bytes at once); a dead letter stays until then |
//! | `idem:` | push (of a mail of a request: by the request's key and its place) | 24 hours, or until the mail's deadline if that is later |
//! | `lane:`, `waiting:`, `due`, `ring:` | push, settle, sweep | empty by themselves |
//! | `session:`, `jobs:`, `begun:`, `lanes:`, `permits:`, `load:` | claim | with the session: at its leave, or when it is swept |
//! | `mails` | push | entries older than retention and the longest wait (30 + 30 days) are trimmed by push |
//! | `dead` | settle, claim, sweep, account | entries by retry or discard, or by a late delivery; what passes `POSTROOM_DEAD_RETENTION` or `POSTROOM_DEAD_BYTES` by claim |
//! | `by:s…` | push, settle, sweep, change | entries with the state; of the cancelled and discarded the newest 10,000, until `POSTROOM_RETENTION` after the last of them |
//! | `by:t…`, `by:g…`, `by:m…` | push: the newest 10,000 of a value | after `POSTROOM_MAIL_TTL` and `POSTROOM_RETENTION` without another mail of that value; entries of mails that are gone when a search meets them |
//! | `by:T…`, `by:G…`, `by:M…` | push, of a mail that is told of for longer; whoever buries a mail | the same, after the longest wait, `POSTROOM_DEAD_RETENTION` and `POSTROOM_RETENTION` |
//! | `audit` (in the first shard only) | the API, the command line and the dashboard: what was changed and by whom | entries beyond the newest 10,000 or so by the next one |
//! | `holds`, `later` | whoever holds an account, or finds it at a limit | empty by themselves |
//! | `ledger:` | settle, sweep: what an account sent, in steps of five minutes | entries after 24 hours |
//! | `pooled:` | push, settle, sweep: mails of pools that lie in that lane, by when they came there | entries with their turn, or when they move |
//! | `moving`, `stuck` | whoever finds that an account with such mails may not send; a walk through them, and walks that left some | empty by themselves |
//! | `thread:<pool>:<hash>` | push, and with a mail that moves: the account that sent the last mail of a thread | 30 days after that |
//! | `pr:pools` | `pool put` | `pool remove` |
//! | `told:` | a worker that heard a reply of which the table says what it means after some | a day after the first |
//! | `api-key:`, `api-keys` (in the first shard only; changes are told on the channel `pr:api-keys`) | `key create`, the API | 30 days after the key was revoked or expired |
//! | `account:`, `sealed:`, `pr:accounts` | `account add`; that of test mode (no `sealed:`): push | `account remove`; that of test mode stays |
//! | `service-key:`, `service-users:`, `service-of:` (in the first shard only) | `account add` with a service account | with the last account that uses it; with that account |
//! | `token:`, `token-lock:`, `token-forced:` | whoever refreshes | with the token; after seconds |
//! | `token-rest:` | whoever refreshed in vain: nobody asks again so long | after seconds to minutes; `account add`, `account resume` |
//! | `token-figures:` | whoever refreshes: counters | 90 days after the last of it; `account remove` |
//! | `token-client:<hash>` | whoever refreshes: what is known of an OAuth2 client (docs/tokens.md); all in shard 0 | after an hour at most; `account add`, `account resume` |
//! | `template:<name>`, `templates` (in the first shard only) | `template put`: the versions of a template, and the newest of each | `template remove`; versions beyond the newest 50 by the next put |
//! | `template-numbers` | `template put`: the last number that each name had, so that none is used twice | stays: a number a name |
//! | `pulse` | any sign of life of a worker | half a lease later |
//! | `request:` (in the first shard only) | whoever hands several mails over under one key: the fingerprint of all of them | 24 hours later |
//! | `counts`, `config` | all | stay: one small key a shard |

use std::fmt::Write as _;

use crate::account::AccountId;
use crate::address::Address;
use crate::id::MailId;
use crate::templates::TemplateName;

/// How many shards there are: set at first use, checked ever after. A string key of its own.
pub const SHARDS: &str = "pr:shards";
/// The ids of all accounts: a set.
pub const ACCOUNTS: &str = "pr:accounts";
/// The pools: a hash of names and their accounts (a JSON array).
pub const POOLS: &str = "pr:pools";

/// The channel on which servers hear that an API key was made or revoked: its id.
pub const API_KEYS_CHANNEL: &str = "pr:api-keys";

/// The shard in which lies what belongs to no account: service accounts' keys, API keys, templates. There always is a first one.
pub const SERVICE_SHARD: u16 = 0;

/// Names that scripts know by a constant, and what follows the shard's prefix.
const NAMES: &[(&str, &str)] = &[
    ("MAIL", "mail:"),
    ("JOB", "job:"),
    ("LOG", "log:"),
    ("IDEM", "idem:"),
    ("LANE", "lane:"),
    ("WAITING", "waiting:"),
    ("RING", "ring:"),
    ("DUE", "due"),
    ("DEAD", "dead"),
    ("BY", "by:"),
    ("MAILS", "mails"),
    ("ACCOUNT", "account:"),
    ("TOKEN_REST", "token-rest:"),
    ("TOKEN_FORCED", "token-forced:"),
    ("TOKEN_FIGURES", "token-figures:"),
    ("HOLDS", "holds"),
    ("LATER", "later"),
    ("LEDGER", "ledger:"),
    ("POOLED", "pooled:"),
    ("MOVING", "moving"),
    ("STUCK", "stuck"),
    ("THREAD", "thread:"),
    ("PERMITS", "permits:"),
    ("LOAD", "load:"),
    ("SESSIONS", "sessions"),
    ("SESSION", "session:"),
    ("LOST", "lost"),
    ("JOBS", "jobs:"),
    ("BEGUN", "begun:"),
    ("LANES", "lanes:"),
    ("IDLE", "idle"),
    ("COUNTS", "counts"),
    ("CONFIG", "config"),
    ("PULSE", "pulse"),
    ("SERVICE_KEY", "service-key:"),
    ("SERVICE_USERS", "service-users:"),
    ("SERVICE_OF", "service-of:"),
    ("TEMPLATE", "template:"),
    ("TEMPLATES", "templates"),
    ("TEMPLATE_NUMBERS", "template-numbers"),
    ("API_KEY", "api-key:"),
    ("API_KEYS", "api-keys"),
];

/// The lines that make every name above a local of a Lua script whose `KEYS[1]` is [`ShardKeys::counts`].
#[must_use]
pub fn lua_prelude() -> String {
    let mut lua = "local P = string.match(KEYS[1], '^(pr:{%d+}:)')\n".to_owned();
    for (constant, name) in NAMES {
        let _ = writeln!(lua, "local {constant} = P .. '{name}'");
    }
    lua.push_str("local WAKE = 'pr:wake:'\n");
    // What lets mail go must work in a full Redis too, or it would never get emptier. A script is refused for lack of
    // memory only until its first write; deleting nothing is one that is never refused (nor is PEXPIRE).
    lua.push_str("local function even_if_full() redis.call('DEL', P .. 'nothing') end\n");
    lua
}

/// The channel on which a worker is woken.
#[must_use]
pub fn wake_channel(worker: &str) -> String {
    format!("pr:wake:{worker}")
}

/// The keys of one shard that Rust names itself.
#[derive(Debug, Clone)]
pub struct ShardKeys {
    prefix: String,
}

impl ShardKeys {
    /// The keys of a shard.
    #[must_use]
    pub fn new(shard: u16) -> Self {
        Self { prefix: format!("pr:{{{shard}}}:") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Jobs by state and the sum of the dead letters' bytes: a hash of counters. Every script gets it as `KEYS[1]`, which decides the slot.
    #[must_use]
    pub fn counts(&self) -> String {
        self.key("counts")
    }

    /// One mail's state: a small hash.
    #[must_use]
    pub fn mail(&self, id: MailId) -> String {
        self.key(&format!("mail:{id}"))
    }

    /// One mail's envelope and bytes: a string, see `queue::job`.
    #[must_use]
    pub fn job(&self, id: MailId) -> String {
        self.key(&format!("job:{id}"))
    }

    /// One mail's timeline after it was queued: a list of JSON objects, oldest first.
    #[must_use]
    pub fn log(&self, id: MailId) -> String {
        self.key(&format!("log:{id}"))
    }

    /// The ids of all mails in the order they came: a stream.
    #[must_use]
    pub fn mails(&self) -> String {
        self.key("mails")
    }

    /// What was handed over under one key of several mails, by the hash of that key: a string. In [`SERVICE_SHARD`] only.
    #[must_use]
    pub fn request(&self, hash: &str) -> String {
        self.key(&format!("request:{hash}"))
    }

    /// Dead letters by the time they died: a sorted set.
    #[must_use]
    pub fn dead(&self) -> String {
        self.key("dead")
    }

    /// Mails with one value of a kind, by the time they were handed over: a sorted set of their ids' bytes. `field`: the kind's
    /// letter and the value's hash, see `queue/index.rs`.
    #[must_use]
    pub fn by_value(&self, field: &str) -> String {
        self.key(&format!("by:{field}"))
    }

    /// Mails in a state for a reason (empty: for none), by the time they were handed over: a sorted set of ids.
    #[must_use]
    pub fn by_state(&self, state: &str, reason: &str) -> String {
        self.key(&format!("by:s{state}:{reason}"))
    }

    /// The mail that an idempotency key stands for, by the key's hash: a string.
    #[must_use]
    pub fn idem(&self, hash: &str) -> String {
        self.key(&format!("idem:{hash}"))
    }

    /// What people and programs changed by hand: a stream, see `audit`. In [`SERVICE_SHARD`] only.
    #[must_use]
    pub fn audit(&self) -> String {
        self.key("audit")
    }

    /// Sessions whose lease ran out and whose jobs are not all taken back yet: a set.
    #[must_use]
    pub fn lost(&self) -> String {
        self.key("lost")
    }

    /// The jobs that one session has: a hash by mail.
    #[must_use]
    pub fn jobs(&self, session: &str) -> String {
        self.key(&format!("jobs:{session}"))
    }

    /// Living sessions by the time their lease ends: a sorted set.
    #[must_use]
    pub fn sessions(&self) -> String {
        self.key("sessions")
    }

    /// One session, with its worker's name and since when it lives: a hash.
    #[must_use]
    pub fn session(&self, session: &str) -> String {
        self.key(&format!("session:{session}"))
    }

    /// What workers told of the fleet, such as connections an account: a hash.
    #[must_use]
    pub fn config(&self) -> String {
        self.key("config")
    }

    /// One account: a hash.
    #[must_use]
    pub fn account(&self, account: &AccountId) -> String {
        self.key(&format!("account:{}", account.reveal()))
    }

    /// One account's mails of a priority (`u`, `n`, `b`), in order: a list.
    #[must_use]
    pub fn lane(&self, account: &AccountId, priority: char) -> String {
        self.key(&format!("lane:{}:{priority}", account.reveal()))
    }

    /// One account's mails of pools of a priority, while they lie in that lane: a sorted set.
    #[must_use]
    pub fn pooled(&self, account: &AccountId, priority: char) -> String {
        self.key(&format!("pooled:{}:{priority}", account.reveal()))
    }

    /// What one account sent in the last 24 hours: a list, see `lua/limits.lua`.
    #[must_use]
    pub fn ledger(&self, account: &AccountId) -> String {
        self.key(&format!("ledger:{}", account.reveal()))
    }

    /// How often the replies of a row came to one account: a number that ends by itself.
    #[must_use]
    pub fn told(&self, account: &AccountId, row: &str) -> String {
        self.key(&format!("told:{}:{row}", account.reveal()))
    }

    /// One account's credentials (client id and secret, refresh token; or its service account), sealed: a string.
    #[must_use]
    pub fn sealed(&self, account: &AccountId) -> String {
        self.key(&format!("sealed:{}", account.reveal()))
    }

    /// One service account's private key, sealed, and the key's id: a hash. In [`SERVICE_SHARD`] only, as the next two.
    #[must_use]
    pub fn service_key(&self, email: &str) -> String {
        self.key(&format!("service-key:{email}"))
    }

    /// The accounts that use one service account: a set.
    #[must_use]
    pub fn service_users(&self, email: &Address) -> String {
        self.key(&format!("service-users:{}", email.reveal()))
    }

    /// The service account that an account uses: a set of one.
    #[must_use]
    pub fn service_of(&self, account: &AccountId) -> String {
        self.key(&format!("service-of:{}", account.reveal()))
    }

    /// One template's versions by their numbers: a hash, see `templates/put.lua`. In [`SERVICE_SHARD`] only, as the next one.
    #[must_use]
    pub fn template(&self, name: &TemplateName) -> String {
        self.key(&format!("template:{name}"))
    }

    /// The newest version of each template in few words: a hash by name.
    #[must_use]
    pub fn templates(&self) -> String {
        self.key("templates")
    }

    /// One API key, with the hash of its text: a hash, see `api_keys/stored.rs`. In [`SERVICE_SHARD`] only, as the next one.
    #[must_use]
    pub fn api_key(&self, id: &str) -> String {
        self.key(&format!("api-key:{id}"))
    }

    /// The ids of all API keys by the time their record ends: a sorted set.
    #[must_use]
    pub fn api_keys(&self) -> String {
        self.key("api-keys")
    }

    /// One account's access token, sealed, with its fence and times: a hash that ends with the token.
    #[must_use]
    pub fn token(&self, account: &AccountId) -> String {
        self.key(&format!("token:{}", account.reveal()))
    }

    /// Whoever refreshes an account's token: a string that ends by itself.
    #[must_use]
    pub fn token_lock(&self, account: &AccountId) -> String {
        self.key(&format!("token-lock:{}", account.reveal()))
    }

    /// Set for the 30 s after a forced refresh: a string that ends by itself.
    #[must_use]
    pub fn token_forced(&self, account: &AccountId) -> String {
        self.key(&format!("token-forced:{}", account.reveal()))
    }

    /// Set while nobody shall ask for an account's token, with what it failed with: a string that ends by itself.
    #[must_use]
    pub fn token_rest(&self, account: &AccountId) -> String {
        self.key(&format!("token-rest:{}", account.reveal()))
    }

    /// What was counted of an account's tokens: a hash, see `tokens/fleet_figures.rs`.
    #[must_use]
    pub fn token_figures(&self, account: &AccountId) -> String {
        self.key(&format!("token-figures:{}", account.reveal()))
    }

    /// What is known of an OAuth2 client, by the hash of its id: a string, see `tokens/client_turn.lua`. In shard 0.
    #[must_use]
    pub fn token_client(&self, hash: &str) -> String {
        self.key(&format!("token-client:{hash}"))
    }
}
