//! What a sandbox starts with ([`Config`]) and what may change while it runs ([`ConfigChange`]).
//! Reads no environment and no file: the binary and the tests hand everything in.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is kept of the bytes of each accepted mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// All bytes: for tests and by hand.
    #[default]
    All,
    /// Only size and hash: for benchmarks.
    None,
}

/// How a sandbox starts. In every limit 0 means "no limit".
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the simulated SMTP server listens. Port 0 takes a free one.
    pub smtp: SocketAddr,
    /// Where token endpoint, API and page listen. Port 0 takes a free one.
    pub http: SocketAddr,
    /// Where the simulated IMAP server listens. Port 0 takes a free one.
    pub imap: SocketAddr,
    /// How long an access token lives.
    pub token_life: Duration,
    /// Wait before each flight of SMTP replies: a slow server.
    pub latency: Duration,
    /// Mails on one connection before the next MAIL is answered with 421.
    pub mails_per_connection: u64,
    /// Simultaneous logged-in connections of one account; one more is answered with 421 at AUTH.
    pub connections_per_account: u64,
    /// What is kept of each mail.
    pub keep: Keep,
    /// Offer CHUNKING and take BDAT.
    pub chunking: bool,
    /// Offer PIPELINING; without it, commands sent ahead are a protocol violation.
    pub pipelining: bool,
    /// End a session with 421 once its access token has expired.
    pub close_sessions_at_expiry: bool,
    /// How long after its acceptance a mail is found in Sent over IMAP.
    pub index_delay: Duration,
    /// Offer Gmail's own search over IMAP (X-GM-EXT-1).
    pub gmail_search: bool,
    /// Offer XOAUTH2 over SMTP.
    pub xoauth2: bool,
    /// Seed of the faults that fire by probability.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            smtp: any_port,
            http: any_port,
            imap: any_port,
            token_life: Duration::from_secs(3599),
            latency: Duration::ZERO,
            mails_per_connection: 0,
            connections_per_account: 0,
            keep: Keep::All,
            chunking: true,
            pipelining: true,
            close_sessions_at_expiry: false,
            index_delay: Duration::ZERO,
            gmail_search: true,
            xoauth2: true,
            seed: 1,
        }
    }
}

/// A change of the running sandbox; a field that is absent stays as it was. In every limit 0 means "no limit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigChange {
    /// Milliseconds before each flight of SMTP replies.
    pub latency_ms: Option<u64>,
    /// Milliseconds that an access token issued from now on lives.
    pub token_life_ms: Option<u64>,
    /// Mails on one connection.
    pub mails_per_connection: Option<u64>,
    /// Simultaneous logged-in connections of one account.
    pub connections_per_account: Option<u64>,
    /// Offer CHUNKING.
    pub chunking: Option<bool>,
    /// Offer PIPELINING.
    pub pipelining: Option<bool>,
    /// End sessions whose token has expired.
    pub close_sessions_at_expiry: Option<bool>,
    /// Milliseconds from a mail's acceptance until it is found in Sent over IMAP.
    pub index_delay_ms: Option<u64>,
    /// Offer Gmail's own search over IMAP.
    pub gmail_search: Option<bool>,
    /// Offer XOAUTH2 over SMTP.
    pub xoauth2: Option<bool>,
    /// Milliseconds that the `Date` of the HTTP side is ahead of the clock; below 0: behind it.
    pub date_ahead_ms: Option<i64>,
}

/// The settings in force, read on every command without a lock.
#[derive(Debug)]
pub(crate) struct Settings {
    latency_ms: AtomicU64,
    token_life_ms: AtomicU64,
    mails_per_connection: AtomicU64,
    connections_per_account: AtomicU64,
    chunking: AtomicBool,
    pipelining: AtomicBool,
    close_sessions_at_expiry: AtomicBool,
    index_delay_ms: AtomicU64,
    gmail_search: AtomicBool,
    xoauth2: AtomicBool,
    date_ahead_ms: AtomicI64,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            latency_ms: AtomicU64::new(millis(config.latency)),
            token_life_ms: AtomicU64::new(millis(config.token_life)),
            mails_per_connection: AtomicU64::new(config.mails_per_connection),
            connections_per_account: AtomicU64::new(config.connections_per_account),
            chunking: AtomicBool::new(config.chunking),
            pipelining: AtomicBool::new(config.pipelining),
            close_sessions_at_expiry: AtomicBool::new(config.close_sessions_at_expiry),
            index_delay_ms: AtomicU64::new(millis(config.index_delay)),
            gmail_search: AtomicBool::new(config.gmail_search),
            xoauth2: AtomicBool::new(config.xoauth2),
            date_ahead_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn change(&self, change: &ConfigChange) {
        let numbers = [
            (&self.latency_ms, change.latency_ms),
            (&self.token_life_ms, change.token_life_ms),
            (&self.mails_per_connection, change.mails_per_connection),
            (&self.connections_per_account, change.connections_per_account),
            (&self.index_delay_ms, change.index_delay_ms),
        ];
        for (setting, value) in numbers {
            if let Some(value) = value {
                setting.store(value, Ordering::Relaxed);
            }
        }
        let switches = [
            (&self.chunking, change.chunking),
            (&self.pipelining, change.pipelining),
            (&self.close_sessions_at_expiry, change.close_sessions_at_expiry),
            (&self.gmail_search, change.gmail_search),
            (&self.xoauth2, change.xoauth2),
        ];
        for (setting, value) in switches {
            if let Some(value) = value {
                setting.store(value, Ordering::Relaxed);
            }
        }
        if let Some(ahead) = change.date_ahead_ms {
            self.date_ahead_ms.store(ahead, Ordering::Relaxed);
        }
    }

    /// Everything in force, in the shape in which it is changed.
    pub(crate) fn in_force(&self) -> ConfigChange {
        ConfigChange {
            latency_ms: Some(self.latency_ms.load(Ordering::Relaxed)),
            token_life_ms: Some(self.token_life_ms.load(Ordering::Relaxed)),
            mails_per_connection: Some(self.mails_per_connection()),
            connections_per_account: Some(self.connections_per_account()),
            chunking: Some(self.chunking()),
            pipelining: Some(self.pipelining()),
            close_sessions_at_expiry: Some(self.close_sessions_at_expiry()),
            index_delay_ms: Some(self.index_delay_ms()),
            gmail_search: Some(self.gmail_search()),
            xoauth2: Some(self.xoauth2()),
            date_ahead_ms: Some(self.date_ahead_ms()),
        }
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn token_life(&self) -> Duration {
        Duration::from_millis(self.token_life_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn mails_per_connection(&self) -> u64 {
        self.mails_per_connection.load(Ordering::Relaxed)
    }

    pub(crate) fn connections_per_account(&self) -> u64 {
        self.connections_per_account.load(Ordering::Relaxed)
    }

    pub(crate) fn chunking(&self) -> bool {
        self.chunking.load(Ordering::Relaxed)
    }

    pub(crate) fn pipelining(&self) -> bool {
        self.pipelining.load(Ordering::Relaxed)
    }

    pub(crate) fn close_sessions_at_expiry(&self) -> bool {
        self.close_sessions_at_expiry.load(Ordering::Relaxed)
    }

    pub(crate) fn index_delay_ms(&self) -> u64 {
        self.index_delay_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn xoauth2(&self) -> bool {
        self.xoauth2.load(Ordering::Relaxed)
    }

    pub(crate) fn date_ahead_ms(&self) -> i64 {
        self.date_ahead_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn gmail_search(&self) -> bool {
        self.gmail_search.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
