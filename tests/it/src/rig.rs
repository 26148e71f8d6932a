//! A whole Postroom for a test: Redis, the sandbox that stands in for Gmail, accounts, workers, and a queue to look into.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, Config, Sandbox};
use postroom_shared::account::{Account, AccountId, client_hash};
use postroom_shared::queue::Queue;
use postroom_shared::settings::{LimitSettings, RedisSettings, Source, TokenSettings};
use postroom_shared::store::Store;
use postroom_shared::tokens::{Credentials, Sealer, credentials};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Finder, Finished, Persistence, Process, RedisServer, run};

/// The first key of a rig.
pub const SECRET_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// Another key, for rotation.
pub const OTHER_SECRET_KEY: &str = "Wm9XdWVsUXk1dEJtM1JhOEtlN1ZpMExzNkhvMUNmNEQ=";

/// How a rig is built.
pub struct RigOptions {
    /// The stand-in's settings.
    pub sandbox: Config,
    /// What Redis keeps.
    pub persistence: Persistence,
    /// A Redis that runs already, instead of a private one.
    pub given_redis: Option<String>,
    /// Further settings of every process.
    pub settings: Vec<(String, String)>,
}

impl Default for RigOptions {
    fn default() -> Self {
        Self { sandbox: Config::default(), persistence: Persistence::None, given_redis: None, settings: Vec::new() }
    }
}

/// Redis, the sandbox, and the environment that leads to them.
pub struct Rig {
    /// The private Redis.
    pub redis: RedisServer,
    /// The stand-in for Gmail.
    pub sandbox: Sandbox,
    /// The environment of every process.
    pub environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Rig {
    /// Starts one with the defaults.
    ///
    /// # Errors
    /// If anything cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(RigOptions::default()).await
    }

    /// Starts one.
    ///
    /// # Errors
    /// If anything cannot be started.
    pub async fn start_with(options: RigOptions) -> anyhow::Result<Self> {
        let redis = match &options.given_redis {
            Some(url) => RedisServer::given(url).await?,
            None => RedisServer::start(options.persistence).await?,
        };
        let sandbox = Sandbox::start(options.sandbox).await?;
        let folder = tempfile::tempdir()?;
        sandbox.write_dir(folder.path())?;
        let mut environment = sandbox.env(folder.path());
        let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
        set("POSTROOM_REDIS_URL", &redis.url());
        set("POSTROOM_SECRET_KEY", SECRET_KEY);
        set("POSTROOM_EHLO_NAME", "worker.test.example");
        // A free port each; the log says which.
        set("POSTROOM_PROBE_LISTEN", "127.0.0.1:0");
        // The stand-in indexes at once.
        set("POSTROOM_SENT_ALLOWANCE", "1s");
        set("PATH", &std::env::var_os("PATH").unwrap_or_default().to_string_lossy());
        environment.extend(options.settings);
        Ok(Self { redis, sandbox, environment, folder })
    }

    /// A folder for a test's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The environment with further settings, which win.
    #[must_use]
    pub fn with(&self, further: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| further.iter().all(|(other, _)| other != name));
        environment.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        environment
    }

    fn source(&self) -> Source {
        Source::from_pairs(self.environment.iter().cloned())
    }

    /// The queue.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn queue(&self) -> anyhow::Result<Queue> {
        let mut source = self.source();
        Ok(Queue::connect(&RedisSettings::read(&mut source), LimitSettings::read(&mut source)).await?)
    }

    /// Redis as our own code reaches it.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::connect(&RedisSettings::read(&mut self.source())).await?)
    }

    /// Adds an account that the sandbox knows, as `postroom account add` would.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn add_account(&self, address: &str) -> anyhow::Result<AccountId> {
        self.add_account_of(address, CLIENT_ID).await
    }

    /// As [`Rig::add_account`], with this OAuth2 client; the sandbox refuses every client but its own.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn add_account_of(&self, address: &str, client_id: &str) -> anyhow::Result<AccountId> {
        let id: AccountId = address.parse()?;
        let sealer = Sealer::from_settings(&TokenSettings::read(&mut self.source()))?;
        let credentials = Credentials::Consent {
            client_id: client_id.to_owned(),
            client_secret: CLIENT_SECRET.to_owned().into(),
            refresh_token: Sandbox::refresh_token(address).into(),
        };
        credentials::save(&self.store().await?, &sealer, &id, &credentials).await?;
        // Most tests send more than a consumer's mailbox may in 24 hours.
        let client = Some(client_hash(client_id));
        let account = Account { limit: Some(1_000_000), client, ..Account::new(id.clone()) };
        self.queue().await?.put_account(&account).await?;
        Ok(id)
    }

    /// Looks for all secrets of this rig: every access token that was issued, the refresh tokens of these accounts, the
    /// client's secret, and the keys that seal.
    #[must_use]
    pub fn secrets<'a>(&self, accounts: impl IntoIterator<Item = &'a str>) -> Finder {
        let mut finder = Finder::default();
        for issued in self.sandbox.issued_tokens() {
            finder.add("an access token", issued.token.as_bytes());
        }
        for account in accounts {
            finder.add("a refresh token", Sandbox::refresh_token(account).as_bytes());
        }
        finder.add("the client's secret", CLIENT_SECRET.as_bytes());
        for key in [SECRET_KEY, OTHER_SECRET_KEY] {
            // Its base64 is found as well.
            finder.add("a key that seals", &STANDARD.decode(key).unwrap_or_default());
        }
        finder
    }

    /// Starts a worker process with further settings.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn worker(&self, further: &[(&str, &str)]) -> anyhow::Result<Process> {
        Process::start("postroom-worker", &[], &self.with(further))
    }

    /// Runs `postroom` with arguments.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn postroom(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        self.postroom_with(arguments, b"").await
    }

    /// Runs `postroom` with arguments and standard input.
    ///
    /// # Errors
    /// If it cannot be run.
    pub async fn postroom_with(&self, arguments: &[&str], input: &[u8]) -> anyhow::Result<Finished> {
        run("postroom", arguments, &self.environment, input).await
    }
}

/// A plain mail as JSON.
#[must_use]
pub fn mail_json(from: &str, to: &str, subject: &str) -> Value {
    json!({ "from": from, "to": to, "subject": subject, "text": "Hello,\nthis is a test.\n" })
}
