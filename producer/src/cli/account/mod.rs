//! `postroom account`: the Gmail mailboxes that send.
//!
//! Credentials come from the environment, from files or from a prompt; never from an argument's value, which `ps` shows.

mod add;
mod key_file;
mod login;
mod remove;
mod reseal;
mod show;
mod tokens;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use postroom::{AccountId, Reason};
use postroom_shared::account::{AccountKind, Pause};
use postroom_shared::address::Address;
use postroom_shared::audit::{Action, Subject};
use postroom_shared::queue::AccountError;

use super::values::{account_id, address, quiet, rate, span};
use super::{Context, Failure};

use show::lasts;
pub(super) use show::{then, when};

const ADD_HELP: &str = "\
Credentials come from the environment (or with _FILE, the path of a file that
holds one), else they are asked for at the terminal:
  POSTROOM_CLIENT_ID      the OAuth2 client's id
  POSTROOM_CLIENT_SECRET  its secret
  POSTROOM_REFRESH_TOKEN  what the person's consent gave, for the scope
                          https://mail.google.com/
They are sealed with POSTROOM_SECRET_KEY. Make one with:
  head -c 32 /dev/urandom | base64

Without a person, for users of a Workspace domain: --service-account with the
JSON key file of a service account to which the domain has delegated the scope.
All accounts of a service account use the key that was given last.

Adding an account again renews its credentials and ends its hold; what is not
given stays as it was.

Examples:
  postroom account add shop@example.com --kind workspace
  postroom account add shop@example.com --alias sales@example.com \\
      --keep-credentials
  POSTROOM_REFRESH_TOKEN_FILE=token.txt postroom account add shop@example.com
  postroom account add shop@example.com --service-account key.json
  postroom account show shop@example.com";

const LOGIN_HELP: &str = "\
A browser opens on Google's consent page; choose the account there and allow
access to its mail. Then Gmail is asked at once whether that opens the mailbox,
and the account is stored, as `account add` does it: its limits and aliases stay
as they were, and its hold ends.

The OAuth2 client, of the type \"Desktop app\", comes from --client, or from the
environment (or with _FILE, the path of a file that holds one), else it is asked
for at the terminal:
  POSTROOM_CLIENT_ID      its id
  POSTROOM_CLIENT_SECRET  its secret
What the consent gives is sealed with POSTROOM_SECRET_KEY.

Where no browser runs, such as on a server, say --no-browser: open the address in
a browser of another machine, and either forward the port to this one before you
consent (ssh -L PORT:127.0.0.1:PORT HOST), or paste the address to which the
browser was sent in vain.

Examples:
  postroom account login shop@example.com --client client_secret.json
  postroom account login shop@example.com --kind workspace
  postroom account login shop@example.com --no-browser --port 8765";

const RESEAL_HELP: &str = "\
To change the key, without a stop (docs/security.md):
  1. append the new key everywhere:      POSTROOM_SECRET_KEY=old,new
  2. then make it the first everywhere:  POSTROOM_SECRET_KEY=new,old
  3. postroom account reseal
  4. when no record needs the old key, take it out everywhere

Exit code 1 if a record could not be opened; it stays as it was.";

/// Accounts.
#[derive(Subcommand)]
pub(crate) enum Account {
    /// Add an account, or renew it
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// Add an account, or renew it, by consenting in a browser
    #[command(after_help = LOGIN_HELP)]
    Login(Login),
    /// All accounts
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// One account: its limits, its hold, what waits for it
    Show {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Keep an account from sending; its mails keep their place
    #[command(after_help = "Example:\n  postroom account hold shop@example.com --for 2h --note 'password changed'")]
    Hold {
        #[command(flatten)]
        which: Which,
        /// For how long; without it, until `account resume`
        #[arg(long = "for", value_name = "SPAN", value_parser = quiet(span))]
        span: Option<Duration>,
        /// What others are told
        #[arg(long, value_name = "TEXT", default_value = "held by an operator")]
        note: String,
    },
    /// End an account's hold
    Resume {
        #[command(flatten)]
        which: Which,
    },
    /// Seal everything anew with the first key of POSTROOM_SECRET_KEY, while mail goes on
    #[command(after_help = RESEAL_HELP)]
    Reseal {
        /// Only tell what would be moved, and how many records need which key
        #[arg(long)]
        dry_run: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove an account with its credentials; mails that wait for it become dead letters
    Remove {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which account.
#[derive(Args)]
pub(crate) struct Which {
    /// The account's address
    #[arg(value_name = "ADDRESS", value_parser = quiet(account_id))]
    id: AccountId,
}

/// `account add`
#[derive(Args)]
pub(crate) struct Add {
    #[command(flatten)]
    which: Which,
    /// What sort of mailbox it is, which decides its limit: consumer (500 a day), workspace (2000) or relay (10000)
    #[arg(long)]
    kind: Option<AccountKind>,
    /// Messages in any 24 hours, instead of what its kind allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Recipients in any 24 hours, instead of what its kind allows (with --limit alone: any number)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    recipients: Option<u32>,
    /// Per cent of the limits that only urgent mail may use
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    urgent_share: Option<u32>,
    /// Mails a second over all workers, such as 2 or 0.5
    #[arg(long, value_name = "N", value_parser = quiet(rate))]
    rate: Option<f64>,
    /// Mails that may go at once after a pause, where there is a --rate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    burst: Option<u32>,
    /// Connections at once over all workers, instead of POSTROOM_ACCOUNT_CONNECTIONS
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    connections: Option<u32>,
    /// A further address that Gmail lets this account send as; may be repeated, and replaces those declared before
    #[arg(long = "alias", value_name = "ADDRESS", value_parser = quiet(address))]
    aliases: Vec<Address>,
    /// Forget the aliases that were declared before
    #[arg(long, conflicts_with = "aliases")]
    no_alias: bool,
    /// Get tokens by a service account with domain-wide delegation: the path of Google's JSON key file
    #[arg(long, value_name = "FILE", conflicts_with = "keep_credentials")]
    service_account: Option<PathBuf>,
    /// Change an account that is known, without touching its credentials or its hold
    #[arg(long)]
    keep_credentials: bool,
}

/// `account login`
#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    which: Which,
    /// What sort of mailbox it is, which decides its limit: consumer (500 a day), workspace (2000) or relay (10000)
    #[arg(long)]
    kind: Option<AccountKind>,
    /// The OAuth2 client's file, as Google Cloud's console hands it out
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,
    /// Do not open a browser: print the address, and let its answer be pasted
    #[arg(long)]
    no_browser: bool,
    /// The port of 127.0.0.1 on which the browser's answer is awaited; without it, a free one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// How long the answer is awaited
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = quiet(span))]
    timeout: Duration,
}

pub(crate) async fn run(command: Account, context: &mut Context) -> Result<(), Failure> {
    refuse_built_in(&command)?;
    match command {
        Account::Add(add) => add::run(add, context).await,
        Account::Login(login) => login::run(login, context).await,
        Account::List { json } => show::list(json, context).await,
        Account::Show { which, json } => show::show(&which.id, json, context).await,
        Account::Hold { which, span, note } => hold(&which.id, span, note, context).await,
        Account::Resume { which } => {
            context.queue().resume(&which.id).await?;
            context.note(Action::AccountResume, Subject::Account(which.id.clone())).await;
            context.out.line(format!("{} may send", which.id.reveal()))
        }
        Account::Reseal { dry_run, json } => reseal::run(dry_run, json, context).await,
        Account::Remove { which, yes } => remove::run(&which.id, yes, context).await,
    }
}

/// The account of test mode is nobody's to add or to remove; it may be held and resumed as any other.
fn refuse_built_in(command: &Account) -> Result<(), Failure> {
    let which = match command {
        Account::Add(Add { which, .. }) | Account::Login(Login { which, .. }) | Account::Remove { which, .. } => which,
        Account::List { .. }
        | Account::Show { .. }
        | Account::Hold { .. }
        | Account::Resume { .. }
        | Account::Reseal { .. } => return Ok(()),
    };
    if !which.id.is_test() {
        return Ok(());
    }
    Err(Failure::failed(
        "this account is built in: it belongs to test mode, comes by itself with the first test mail, needs no credentials \
         and cannot be removed; see docs/test-mode.md",
    ))
}

async fn hold(id: &AccountId, span: Option<Duration>, note: String, context: &mut Context) -> Result<(), Failure> {
    let queue = context.queue();
    // A hold of an operator's takes the place of the one before.
    queue.lift(id, Reason::Operator).await?;
    let pause = span.map_or(Pause::UntilAPerson, |span| Pause::For { least: span, most: span });
    let until = queue.hold(id, Reason::Operator, &note, pause).await?;
    context.note(Action::AccountHold, Subject::Account(id.clone())).await;
    context.out.line(format!("{} is held {}", id.reveal(), lasts(until)))
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        Self::Failed(error.to_string())
    }
}
