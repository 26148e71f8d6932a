//! The commands of `postroom`, what they share, and how they fail.
//!
//! Lists and answers go to standard output, all else to standard error; nothing in here prints in another way.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod dead;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod key;
pub(crate) mod mail;
pub(crate) mod output;
pub(crate) mod pool;
mod prompt;
pub(crate) mod queue;
pub(crate) mod send;
pub(crate) mod serve;
mod table;
pub(crate) mod template;
mod values;

use clap::{Parser, Subcommand};
use postroom::settings::Settings;
use postroom::{DirectClient, StoreError};
use postroom_shared::queue::Queue;
use postroom_shared::settings::SettingsError;
use postroom_shared::telemetry::start_logging;

use output::Out;

const ABOUT: &str = "Hand mail to Postroom, which sends it through Gmail, and see where it is.";

const AFTER: &str = "\
Environment, or the same names in the TOML file that POSTROOM_CONFIG names
(secrets also with _FILE, the path of a file that holds one):
  POSTROOM_REDIS_URL   where the queue is; default redis://127.0.0.1:6379
  POSTROOM_SECRET_KEY  seals the accounts' credentials (account add, login, reseal)
  POSTROOM_MAIL_TTL    how long a mail is tried that does not say so itself; default 24h
  POSTROOM_RETENTION   how long a mail that is done can be looked up; default 7d
  POSTROOM_LOG         what is logged to standard error; default info

Exit codes: 0 done; 1 refused or failed, and standard error says why and what
to do; 2 wrong use.

Examples:
  postroom account login shop@example.com --kind workspace
  postroom send mail.json --wait
  postroom mail list --state retry
  postroom queue stats";

/// What was typed.
#[derive(Parser)]
#[command(name = "postroom", version, about = ABOUT, after_help = AFTER)]
pub(crate) struct Cli {
    /// What shall be done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The groups of commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// The HTTP API
    Serve(serve::Serve),
    /// Hand mails over: JSON, JSON Lines or .eml
    Send(send::Send),
    /// Look at mails and cancel them
    #[command(subcommand)]
    Mail(mail::Mail),
    /// The Gmail accounts that send
    #[command(subcommand)]
    Account(account::Account),
    /// Accounts that send for each other
    #[command(subcommand)]
    Pool(pool::Pool),
    /// What mails are made of: put, look, try out
    #[command(subcommand)]
    Template(template::Template),
    /// What failed for good: look, retry, discard
    #[command(subcommand)]
    Dead(dead::Dead),
    /// Keys of the HTTP API
    #[command(subcommand)]
    Key(key::Key),
    /// The queue at a glance
    #[command(subcommand)]
    Queue(queue::Queue),
    /// What was changed by hand, and by whom
    #[command(after_help = audit::HELP)]
    Audit(audit::Audit),
    /// What is wrong, why it matters, what mends it
    Doctor(doctor::Doctor),
    /// What a reply of Gmail means, and what to do
    Explain(explain::Explain),
}

/// What every command works with.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) client: DirectClient,
    pub(crate) out: Out,
}

impl Context {
    /// Reads the settings and connects.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let settings = read_settings()?;
        let client = DirectClient::with_settings(&settings.redis, settings.limits.clone()).await?;
        Ok(Self { settings, client, out: Out::new() })
    }

    /// The queue, for what an operator does.
    fn queue(&self) -> &Queue {
        self.client.queue()
    }
}

/// Reads the settings and begins to log.
pub(crate) fn read_settings() -> Result<Settings, Failure> {
    let settings = Settings::from_process()?;
    start_logging(&settings.log).map_err(Failure::Failed)?;
    Ok(settings)
}

/// Why a command ends early.
pub(crate) enum Failure {
    /// Nobody reads our output any more (`postroom mail list | head`): not worth a word.
    Closed,
    /// It failed, and standard error says why already.
    Told,
    /// It was used wrongly, or something has to be said first: exit code 2.
    Misused(String),
    /// It failed, for this reason.
    Failed(String),
}

impl Failure {
    fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Failed(error.to_string())
    }
}
