//! `postroom key`: the keys of the HTTP API. A key's text is printed once, when it is made.

use std::time::Duration;

use clap::{Args, Subcommand};
use postroom::{AccountId, Millis};
use postroom_shared::api_keys::{ApiKey, ApiKeys, KeyError, KeyId, Mode, NewKey, Scope, Scopes};
use postroom_shared::audit::{Action, Subject};
use serde::Serialize;

use super::output::complain;
use super::table::Table;
use super::values::{account_id, key_id, key_rate, key_scope, quiet, span};
use super::{Context, Failure};

const CREATE_HELP: &str = "\
The key alone goes to standard output, so that it can be captured; it cannot be
shown again. Scopes:
  send     hand mail over, change it, cancel it before it goes
  read     look at mails, dead letters, accounts and the queue
  operate  look; hold and resume accounts, retry and discard dead letters
  admin    everything, also keys and templates

Examples:
  postroom key create ops --admin
  postroom key create shop --account shop@example.com --expires 90d
  key=$(postroom key create ci --test)";

/// Keys.
#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a key and print it, once
    #[command(after_help = CREATE_HELP)]
    Create(Create),
    /// All keys, with those that were revoked or expired in the last 30 days
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key, for good: it is refused at once
    Revoke {
        /// The key's id, as `key list` tells it
        #[arg(value_name = "ID", value_parser = quiet(key_id))]
        id: KeyId,
    },
}

/// What the key shall be.
#[derive(Args)]
pub(crate) struct Create {
    /// What people call it, such as the app that gets it
    name: String,
    /// Its mails go the whole way but never to Gmail
    #[arg(long)]
    test: bool,
    /// What it may do: send, read, operate, admin; several with commas [default: send,read]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = quiet(key_scope))]
    scopes: Vec<Scope>,
    /// It may do everything: the same as --scope admin
    #[arg(long, conflicts_with = "scopes")]
    admin: bool,
    /// Bind it to this account; may be repeated. Default: all accounts
    #[arg(long = "account", value_name = "ADDRESS", value_parser = quiet(account_id))]
    accounts: Vec<AccountId>,
    /// Refuse it after so long: 12h, 90d. Default: never
    #[arg(long, value_name = "SPAN", value_parser = quiet(span))]
    expires: Option<Duration>,
    /// Requests a second that it may make of one server; 0: any number. Default: POSTROOM_API_RATE of the server
    #[arg(long, value_name = "N", value_parser = quiet(key_rate))]
    rate: Option<u32>,
    /// Print one JSON object, with the key as `token`
    #[arg(long)]
    json: bool,
}

/// A key, as `--json` tells it.
#[derive(Serialize)]
struct View<'a> {
    id: &'a KeyId,
    /// The key itself: only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    name: &'a str,
    mode: Mode,
    scopes: &'a Scopes,
    accounts: &'a [AccountId],
    rate: Option<u32>,
    created_at: Millis,
    expires_at: Option<Millis>,
    last_used_at: Option<Millis>,
    revoked_at: Option<Millis>,
}

impl<'a> View<'a> {
    fn of(key: &'a ApiKey, token: Option<&'a str>) -> Self {
        Self {
            id: &key.id,
            token,
            name: &key.name,
            mode: key.mode,
            scopes: &key.scopes,
            accounts: &key.accounts,
            rate: key.rate,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

pub(crate) async fn run(command: Key, context: &mut Context) -> Result<(), Failure> {
    let keys = ApiKeys::new(context.queue().store());
    match command {
        Key::Create(wanted) => create(wanted, &keys, context).await,
        Key::List { json } => list(json, &keys, context).await,
        Key::Revoke { id } => {
            if keys.revoke(&id, Millis::now()).await? {
                context.note(Action::KeyRevoke, Subject::Key(id.clone())).await;
                return context.out.line(format!("key {id} revoked"));
            }
            Err(Failure::failed("there is no such key: see `postroom key list`"))
        }
    }
}

async fn create(wanted: Create, keys: &ApiKeys, context: &mut Context) -> Result<(), Failure> {
    for (place, account) in wanted.accounts.iter().enumerate() {
        if context.queue().account(account).await?.is_none() {
            return Err(Failure::Failed(format!(
                "--account {}: there is no such account: add it with `postroom account add ADDRESS` first",
                place + 1
            )));
        }
    }
    let now = Millis::now();
    let scopes = match (wanted.admin, wanted.scopes.as_slice()) {
        (true, _) => Scopes::from_iter([Scope::Admin]),
        (false, []) => Scopes::from_iter([Scope::Send, Scope::Read]),
        (false, scopes) => scopes.iter().copied().collect(),
    };
    let new = NewKey {
        name: wanted.name,
        mode: if wanted.test { Mode::Test } else { Mode::Live },
        scopes,
        accounts: wanted.accounts,
        expires_at: wanted.expires.map(|span| now.after(span)),
        rate: wanted.rate,
    };
    let (key, secret) = keys.create(new, now).await.map_err(refused)?;
    context.note(Action::KeyCreate, Subject::Key(key.id.clone())).await;
    if wanted.json {
        return context.out.json(&View::of(&key, Some(secret.reveal())));
    }
    context.out.line(secret.reveal())?;
    // The key first: who reads both sees what is explained.
    context.out.flush()?;
    complain(format!(
        "{} key {} for \"{}\": may {}; {}. It is not shown again. Revoke it with `postroom key revoke {}`",
        key.mode,
        key.id,
        super::table::clean(&key.name),
        key.scopes,
        key.expires_at.map_or_else(|| "does not expire".to_owned(), |end| format!("expires at {end}")),
        key.id,
    ));
    Ok(())
}

fn refused(error: KeyError) -> Failure {
    match error {
        KeyError::Faults(faults) => Failure::Misused(faults.to_string()),
        KeyError::TooMany | KeyError::Random(_) | KeyError::Store(_) => Failure::Failed(error.to_string()),
    }
}

async fn list(json: bool, keys: &ApiKeys, context: &mut Context) -> Result<(), Failure> {
    let keys = keys.list().await?;
    if json {
        let views: Vec<View<'_>> = keys.iter().map(|key| View::of(key, None)).collect();
        return context.out.json(&views);
    }
    let now = Millis::now();
    let mut table = Table::new(&["ID", "NAME", "MODE", "MAY", "ACCOUNTS", "CREATED", "LAST USED", "STATE"]);
    for key in &keys {
        let accounts: Vec<&str> = key.accounts.iter().map(AccountId::reveal).collect();
        table.row([
            key.id.to_string(),
            key.name.clone(),
            key.mode.to_string(),
            key.scopes.to_string(),
            if accounts.is_empty() { "all".to_owned() } else { accounts.join(", ") },
            key.created_at.to_string(),
            key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            state(key, now),
        ]);
    }
    table.print(&mut context.out, "")
}

fn state(key: &ApiKey, now: Millis) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked at {at}"),
        (None, Some(at)) if at <= now => format!("expired at {at}"),
        (None, Some(at)) => format!("valid until {at}"),
        (None, None) => "valid".to_owned(),
    }
}
