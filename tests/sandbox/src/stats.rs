//! Counters of what clients did. They only ever count: no decision of the server depends on them,
//! but for the number of open sessions of an account, which its limit is held against.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use crate::state::lock;

/// Verbs that are counted, in the order of [`Verb`].
const VERBS: [&str; 14] = [
    "EHLO", "HELO", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "HELP", "VRFY", "STARTTLS", "OTHER",
];

#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Ehlo,
    Helo,
    Auth,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
    Starttls,
    Other,
}

/// Everything counted since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// TCP connections accepted by the SMTP side.
    pub connections: u64,
    /// SMTP connections open now.
    pub open_connections: u64,
    /// Most SMTP connections open at once.
    pub max_connections: u64,
    /// Logins accepted.
    pub logins_ok: u64,
    /// Logins refused, for whatever reason.
    pub logins_refused: u64,
    /// Mails accepted and stored.
    pub mails_accepted: u64,
    /// Bytes of all accepted mails.
    pub bytes_accepted: u64,
    /// Different pairs of recipient and Message-ID among the accepted mails.
    pub distinct: u64,
    /// Deliveries to a recipient of a Message-ID that the recipient already had.
    pub doubled: u64,
    /// Accepted mails that had no Message-ID; they count in neither of the two above.
    pub without_message_id: u64,
    /// Times a client without leave sent commands ahead (PIPELINING not offered).
    pub pipelining_violations: u64,
    /// SMTP refusals by reply code (4xx and 5xx).
    pub refused: BTreeMap<u16, u64>,
    /// SMTP commands by verb.
    pub commands: BTreeMap<String, u64>,
    /// Requests at the token endpoint.
    pub token_requests: u64,
    /// Access tokens issued.
    pub tokens_issued: u64,
    /// TCP connections accepted by the IMAP side.
    pub imap_connections: u64,
    /// IMAP connections open now.
    pub imap_open_connections: u64,
    /// IMAP logins accepted.
    pub imap_logins_ok: u64,
    /// IMAP logins refused, for whatever reason.
    pub imap_logins_refused: u64,
    /// Searches that were answered with OK.
    pub imap_searches: u64,
    /// Of these, those that found a mail.
    pub imap_found: u64,
    /// By account, addresses in lower case.
    pub accounts: BTreeMap<String, AccountStats>,
}

impl Stats {
    /// The counters of one account; all zero if it was never seen.
    #[must_use]
    pub fn account(&self, address: &str) -> AccountStats {
        self.accounts.get(&address.to_ascii_lowercase()).cloned().unwrap_or_default()
    }

    /// How often a verb such as `MAIL` was seen.
    #[must_use]
    pub fn command(&self, verb: &str) -> u64 {
        self.commands.get(verb).copied().unwrap_or_default()
    }
}

/// What one account did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccountStats {
    /// Mails accepted from it.
    pub mails: u64,
    /// Logged-in connections open now.
    pub open_sessions: u64,
    /// Most logged-in connections open at once.
    pub max_sessions: u64,
    /// Logins accepted.
    pub logins_ok: u64,
    /// Logins refused, for whatever reason.
    pub logins_refused: u64,
    /// Of the refused logins, those over the limit of simultaneous connections.
    pub logins_over_limit: u64,
    /// Requests for an access token that named this account.
    pub token_requests: u64,
    /// Access tokens issued to it.
    pub tokens_issued: u64,
    /// IMAP logins accepted.
    pub imap_logins_ok: u64,
    /// Searches over IMAP that were answered with OK.
    pub imap_searches: u64,
}

#[derive(Debug, Default)]
pub(crate) struct AccountCounters {
    pub(crate) mails: AtomicU64,
    open_sessions: AtomicU64,
    max_sessions: AtomicU64,
    pub(crate) logins_ok: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) logins_over_limit: AtomicU64,
    pub(crate) token_requests: AtomicU64,
    pub(crate) tokens_issued: AtomicU64,
    pub(crate) imap_logins_ok: AtomicU64,
    pub(crate) imap_searches: AtomicU64,
}

impl AccountCounters {
    fn snapshot(&self) -> AccountStats {
        AccountStats {
            mails: self.mails.load(Relaxed),
            open_sessions: self.open_sessions.load(Relaxed),
            max_sessions: self.max_sessions.load(Relaxed),
            logins_ok: self.logins_ok.load(Relaxed),
            logins_refused: self.logins_refused.load(Relaxed),
            logins_over_limit: self.logins_over_limit.load(Relaxed),
            token_requests: self.token_requests.load(Relaxed),
            tokens_issued: self.tokens_issued.load(Relaxed),
            imap_logins_ok: self.imap_logins_ok.load(Relaxed),
            imap_searches: self.imap_searches.load(Relaxed),
        }
    }

    fn clear(&self) {
        let zeroed = [
            &self.mails,
            &self.logins_ok,
            &self.logins_refused,
            &self.logins_over_limit,
            &self.token_requests,
            &self.tokens_issued,
            &self.imap_logins_ok,
            &self.imap_searches,
        ];
        for counter in zeroed {
            counter.store(0, Relaxed);
        }
        self.max_sessions.store(self.open_sessions.load(Relaxed), Relaxed);
    }
}

/// One logged-in connection, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) account: Arc<AccountCounters>,
    has_left: bool,
}

impl OpenSession {
    /// Counts a session in, unless the account already has `limit` of them (0: no limit).
    pub(crate) fn open(account: Arc<AccountCounters>, limit: u64) -> Option<Self> {
        let counted = account
            .open_sessions
            .fetch_update(Relaxed, Relaxed, |open| (limit == 0 || open < limit).then_some(open + 1));
        let before = counted.ok()?;
        account.max_sessions.fetch_max(before + 1, Relaxed);
        Some(Self { account, has_left: false })
    }

    /// The client hung up: counted no longer, though the server may still be busy with what it sent.
    pub(crate) fn leave(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            self.account.open_sessions.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One TCP connection, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counters: Arc<ConnectionCounters>,
    /// Which connection it is, from 1.
    pub(crate) number: u64,
}

impl OpenConnection {
    fn open(counters: &Arc<ConnectionCounters>) -> Self {
        let number = counters.total.fetch_add(1, Relaxed) + 1;
        let open = counters.open.fetch_add(1, Relaxed) + 1;
        counters.max.fetch_max(open, Relaxed);
        Self { counters: Arc::clone(counters), number }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, Default)]
struct ConnectionCounters {
    total: AtomicU64,
    open: AtomicU64,
    max: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    connections: Arc<ConnectionCounters>,
    imap_connections: Arc<ConnectionCounters>,
    pub(crate) imap_logins_ok: AtomicU64,
    pub(crate) imap_logins_refused: AtomicU64,
    pub(crate) imap_searches: AtomicU64,
    pub(crate) imap_found: AtomicU64,
    pub(crate) logins_ok: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
    pub(crate) pipelining_violations: AtomicU64,
    pub(crate) token_requests: AtomicU64,
    pub(crate) tokens_issued: AtomicU64,
    commands: [AtomicU64; VERBS.len()],
    refused: Mutex<BTreeMap<u16, u64>>,
    accounts: Mutex<HashMap<String, Arc<AccountCounters>>>,
}

impl Counters {
    pub(crate) fn connection(&self) -> OpenConnection {
        OpenConnection::open(&self.connections)
    }

    pub(crate) fn imap_connection(&self) -> OpenConnection {
        OpenConnection::open(&self.imap_connections)
    }

    pub(crate) fn command(&self, verb: Verb) {
        if let Some(counter) = self.commands.get(verb as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn refused(&self, code: u16) {
        *lock(&self.refused).entry(code).or_default() += 1;
    }

    pub(crate) fn account(&self, address: &str) -> Arc<AccountCounters> {
        Arc::clone(lock(&self.accounts).entry(address.to_owned()).or_default())
    }

    /// All but what the store knows.
    pub(crate) fn snapshot(&self) -> Stats {
        let commands = VERBS.iter().zip(&self.commands).map(|(verb, seen)| ((*verb).to_owned(), seen.load(Relaxed)));
        let accounts = lock(&self.accounts).iter().map(|(name, account)| (name.clone(), account.snapshot())).collect();
        Stats {
            connections: self.connections.total.load(Relaxed),
            open_connections: self.connections.open.load(Relaxed),
            max_connections: self.connections.max.load(Relaxed),
            logins_ok: self.logins_ok.load(Relaxed),
            logins_refused: self.logins_refused.load(Relaxed),
            pipelining_violations: self.pipelining_violations.load(Relaxed),
            refused: lock(&self.refused).clone(),
            commands: commands.filter(|(_, seen)| *seen > 0).collect(),
            token_requests: self.token_requests.load(Relaxed),
            tokens_issued: self.tokens_issued.load(Relaxed),
            imap_connections: self.imap_connections.total.load(Relaxed),
            imap_open_connections: self.imap_connections.open.load(Relaxed),
            imap_logins_ok: self.imap_logins_ok.load(Relaxed),
            imap_logins_refused: self.imap_logins_refused.load(Relaxed),
            imap_searches: self.imap_searches.load(Relaxed),
            imap_found: self.imap_found.load(Relaxed),
            accounts,
            ..Stats::default()
        }
    }

    /// Back to zero, but for what is open now.
    pub(crate) fn clear(&self) {
        let zeroed = [
            &self.connections.total,
            &self.logins_ok,
            &self.logins_refused,
            &self.pipelining_violations,
            &self.token_requests,
            &self.tokens_issued,
            &self.imap_connections.total,
            &self.imap_logins_ok,
            &self.imap_logins_refused,
            &self.imap_searches,
            &self.imap_found,
        ];
        for counter in zeroed.into_iter().chain(&self.commands) {
            counter.store(0, Relaxed);
        }
        self.connections.max.store(self.connections.open.load(Relaxed), Relaxed);
        lock(&self.refused).clear();
        for account in lock(&self.accounts).values() {
            account.clear();
        }
    }
}
