//! The groups of settings that both binaries read. Each field names its variable, default and unit.

use std::fs;
use std::str::FromStr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretString;
use url::Url;

use super::Source;

const DAY: Duration = Duration::from_secs(86_400);
/// A script's answer is awaited for seconds, not for the library's half a second: a slow Redis is not a failed one.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Connections of an account where nobody said how many; `lua/limits.lua` falls back on the same number.
pub(crate) const ACCOUNT_CONNECTIONS: u32 = 3;

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `POSTROOM_REDIS_URL` (or `_FILE`): `redis://` or `rediss://`, `redis+sentinel://` or `redis+cluster://`; it may
    /// hold a password. Default `redis://127.0.0.1:6379`.
    pub url: SecretString,
    /// `POSTROOM_SHARDS`: shards of the queue, 1 to 1,024, fixed at first use. Default: what Redis says, else 1.
    pub shards: Option<u16>,
    /// `POSTROOM_REDIS_EVICTION_OK`: `yes` if the programs shall start on a Redis that throws keys away when its memory is full.
    /// Default `no`.
    pub eviction_ok: bool,
    /// How long an answer is awaited, 15 s; `postroom serve` awaits none for longer than its own callers wait.
    pub answer_within: Duration,
}

impl RedisSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let url = source.secret("POSTROOM_REDIS_URL").unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned().into());
        let set = source.text("POSTROOM_SHARDS").is_some();
        let shards = source.number("POSTROOM_SHARDS", 1, 1, 1_024);
        let shards = if set { u16::try_from(shards).ok() } else { None };
        let eviction_ok = match source.text("POSTROOM_REDIS_EVICTION_OK").as_deref() {
            None | Some("no") => false,
            Some("yes") => true,
            Some(_) => {
                source.fault("POSTROOM_REDIS_EVICTION_OK", "must be yes or no");
                false
            }
        };
        Self { url, shards, eviction_ok, answer_within: ANSWER_WITHIN }
    }
}

/// What a mail may expect when it says nothing itself.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// `POSTROOM_MAIL_TTL`: until when after its `send_at` a mail is tried. Default 24 h.
    pub mail_ttl: Duration,
    /// `POSTROOM_RETENTION`: how long the timeline of a mail that was sent or cancelled is kept, and the answer for its
    /// idempotency key at least 24 h. Default 7 d.
    pub retention: Duration,
    /// `POSTROOM_ACCOUNT_CONNECTIONS`: connections an account may have at once over the whole fleet. Default 3:
    /// Gmail refuses logins from about 16 at once (gmail.md, "Limits").
    pub account_connections: u32,
    /// `POSTROOM_LOGIN_BURST`: logins of an account that may follow each other at once, over the whole fleet. Default 10:
    /// Gmail refuses logins from about 16 at once, and for long after some 78 (gmail.md, "Limits").
    pub login_burst: u32,
    /// `POSTROOM_LOGIN_INTERVAL`: after that many, one login in so long; mails that were delivered earn logins, too. Default
    /// 6 s.
    pub login_interval: Duration,
    /// `POSTROOM_DEAD_RETENTION`: how long a dead letter is kept. Default 90 d.
    pub dead_retention: Duration,
    /// `POSTROOM_DEAD_BYTES`: what the records of all dead letters of a shard may take in Redis; beyond it the oldest are
    /// thrown away. In bytes; default 1 GiB.
    pub dead_bytes: u64,
}

impl LimitSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        Self {
            mail_ttl: source.span("POSTROOM_MAIL_TTL", DAY, Duration::from_secs(1), 30 * DAY),
            retention: source.span("POSTROOM_RETENTION", 7 * DAY, Duration::from_secs(60), 365 * DAY),
            account_connections: source.number("POSTROOM_ACCOUNT_CONNECTIONS", ACCOUNT_CONNECTIONS, 1, 100),
            login_burst: source.number("POSTROOM_LOGIN_BURST", 10, 1, 10_000),
            login_interval: source.span(
                "POSTROOM_LOGIN_INTERVAL",
                Duration::from_secs(6),
                Duration::from_millis(1),
                Duration::from_secs(3_600),
            ),
            dead_retention: source.span("POSTROOM_DEAD_RETENTION", 90 * DAY, Duration::from_secs(60), 3_650 * DAY),
            dead_bytes: source.bytes("POSTROOM_DEAD_BYTES", 1 << 30, 1 << 10, 1 << 40),
        }
    }
}

/// How to get access tokens, and what seals the stored ones.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `POSTROOM_SECRET_KEY` (or `_FILE`): one or more keys, 32 bytes each in base64, separated by commas; the first seals,
    /// all open.
    pub keys: Option<SecretString>,
    /// `POSTROOM_TOKEN_URL`: the token endpoint. Default Google's. `http://` is allowed on loopback only.
    pub token_url: Url,
}

impl TokenSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let keys = source.secret("POSTROOM_SECRET_KEY");
        let token_url = google_url(source, "POSTROOM_TOKEN_URL", "https://oauth2.googleapis.com/token");
        Self { keys, token_url }
    }
}

/// Where a person consents.
#[derive(Debug, Clone)]
pub struct ConsentSettings {
    /// `POSTROOM_AUTH_URL`: the authorisation endpoint, the page on which a person consents. Default Google's. `http://` is
    /// allowed on loopback only.
    pub auth_url: Url,
}

impl ConsentSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        Self { auth_url: google_url(source, "POSTROOM_AUTH_URL", "https://accounts.google.com/o/oauth2/v2/auth") }
    }
}

/// The address of one of Google's services, or of one that stands in for it.
fn google_url(source: &mut Source, name: &str, default: &str) -> Url {
    let text = source.text(name).unwrap_or_else(|| default.to_owned());
    match Url::parse(&text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => return url,
        Ok(_) => source.fault(name, "must begin with https:// (http:// only for 127.0.0.1): secrets go there"),
        Err(error) => source.fault(name, &format!("is no URL: {error}")),
    }
    google(default)
}

#[expect(clippy::expect_used, reason = "parses a constant")]
fn google(default: &str) -> Url {
    Url::parse(default).expect("a constant URL")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// `POSTROOM_TLS_CA_FILE`: PEM file with roots trusted beside the public ones. Default none.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl TlsSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        const NAME: &str = "POSTROOM_TLS_CA_FILE";
        let Some(path) = source.text(NAME) else { return Self::default() };
        let parsed = fs::read(&path).map_err(|error| error.to_string()).and_then(|pem| {
            CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())
        });
        match parsed {
            Ok(roots) if !roots.is_empty() => return Self { extra_roots: roots },
            Ok(_) => source.fault(NAME, &format!("{path} holds no certificate in PEM form")),
            Err(error) => source.fault(NAME, &format!("{path} cannot be read: {error}")),
        }
        Self::default()
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a collector: one JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is no log format: use text or json")),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `POSTROOM_LOG`: a level, or a filter such as `info,postroom_worker=debug`. Default `info`.
    pub filter: String,
    /// `POSTROOM_LOG_FORMAT`: `text` or `json`. Default `text`.
    pub format: LogFormat,
}

impl LogSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        Self {
            filter: source.text("POSTROOM_LOG").unwrap_or_else(|| "info".to_owned()),
            format: source.parse("POSTROOM_LOG_FORMAT", LogFormat::Text),
        }
    }
}
