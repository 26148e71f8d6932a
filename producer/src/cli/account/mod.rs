//! `postroom account`: the Gmail mailboxes that send.
//!
//! Credentials come from the environment, from files or from a prompt; never from an argument's value, which `ps` shows.

mod add;
mod remove;
mod show;
mod tokens;

use std::time::Duration;

use clap::{Args, Subcommand};
use postroom::{AccountId, Reason};
use postroom_shared::account::{AccountKind, Pause};
use postroom_shared::address::Address;
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

Adding an account again renews its credentials and ends its hold; what is not
given stays as it was.

Examples:
  postroom account add shop@example.com --kind workspace
  postroom account add shop@example.com --alias sales@example.com \\
      --keep-credentials
  POSTROOM_REFRESH_TOKEN_FILE=token.txt postroom account add shop@example.com
  postroom account show shop@example.com";

/// Accounts.
#[derive(Subcommand)]
pub(crate) enum Account {
    /// Add an account, or renew it
    #[command(after_help = ADD_HELP)]
    Add(Add),
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
    /// Change an account that is known, without touching its credentials or its hold
    #[arg(long)]
    keep_credentials: bool,
}

pub(crate) async fn run(command: Account, context: &mut Context) -> Result<(), Failure> {
    match command {
        Account::Add(add) => add::run(add, context).await,
        Account::List { json } => show::list(json, context).await,
        Account::Show { which, json } => show::show(&which.id, json, context).await,
        Account::Hold { which, span, note } => hold(&which.id, span, note, context).await,
        Account::Resume { which } => {
            context.queue().resume(&which.id).await?;
            context.out.line(format!("{} may send", which.id.reveal()))
        }
        Account::Remove { which, yes } => remove::run(&which.id, yes, context).await,
    }
}

async fn hold(id: &AccountId, span: Option<Duration>, note: String, context: &mut Context) -> Result<(), Failure> {
    let queue = context.queue();
    // A hold of an operator's takes the place of the one before.
    queue.lift(id, Reason::Operator).await?;
    let pause = span.map_or(Pause::UntilAPerson, |span| Pause::For { least: span, most: span });
    let until = queue.hold(id, Reason::Operator, &note, pause).await?;
    context.out.line(format!("{} is held {}", id.reveal(), lasts(until)))
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        Self::Failed(error.to_string())
    }
}
