//! `postroom pool`: several accounts under one name, of which any may send a mail.

use clap::{Args, Subcommand};
use postroom::{AccountId, PoolName};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::mail::unknown;
use postroom_shared::pool;
use serde::Serialize;

use super::account::when;
use super::table::Table;
use super::values::{account_id, pool_name, quiet};
use super::{Context, Failure};

const PUT_HELP: &str = "\
A mail that names the pool is sent by the account that has most of its budget
left; by one whose address or declared alias is the mail's From.

Examples:
  postroom pool put shop a@example.com b@example.com
  postroom send newsletter.jsonl --pool shop";

/// Pools.
#[derive(Subcommand)]
pub(crate) enum Pool {
    /// Make a pool of accounts, or change which accounts it has
    #[command(after_help = PUT_HELP)]
    Put {
        #[command(flatten)]
        which: Which,
        /// Its accounts
        #[arg(value_name = "ADDRESS", required = true, value_parser = quiet(account_id))]
        accounts: Vec<AccountId>,
    },
    /// All pools
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// One pool: what each of its accounts has left, and what keeps it
    Show {
        #[command(flatten)]
        which: Which,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Remove a pool; its accounts and the mails that wait stay
    Remove {
        #[command(flatten)]
        which: Which,
    },
}

/// Which pool.
#[derive(Args)]
pub(crate) struct Which {
    /// The pool's name
    #[arg(value_name = "NAME", value_parser = quiet(pool_name))]
    name: PoolName,
}

/// An account of a pool, as `--json` tells it.
#[derive(Serialize)]
struct Member {
    id: AccountId,
    /// There is such an account.
    known: bool,
    held: Option<&'static str>,
    /// Messages that it may still send; null: any number, or it is not known.
    left: Option<u64>,
    /// Entries in its lane.
    waiting: u64,
    shard: u16,
}

pub(crate) async fn run(command: Pool, context: &mut Context) -> Result<(), Failure> {
    match command {
        Pool::Put { which, accounts } => put(which.name, accounts, context).await,
        Pool::List { json } => list(json, context).await,
        Pool::Show { which, json } => show(&which.name, json, context).await,
        Pool::Remove { which } => {
            if context.queue().remove_pool(&which.name).await? {
                context.note(Action::PoolRemove, Subject::Pool(which.name.to_string())).await;
                return context.out.line(format!("pool {} removed", which.name));
            }
            Err(no_such(&which.name, context).await?)
        }
    }
}

async fn put(name: PoolName, accounts: Vec<AccountId>, context: &mut Context) -> Result<(), Failure> {
    let mut members: Vec<AccountId> = Vec::with_capacity(accounts.len());
    for (place, account) in accounts.into_iter().enumerate() {
        if account.is_test() {
            return Err(Failure::failed("the account of test mode sends nothing: a pool is made of real accounts"));
        }
        if context.queue().account(&account).await?.is_none() {
            return Err(Failure::Failed(format!(
                "address {}: there is no such account: add it with `postroom account add ADDRESS` first",
                place + 1
            )));
        }
        if !members.contains(&account) {
            members.push(account);
        }
    }
    let said = format!("pool {name} has {} accounts", members.len());
    let subject = Subject::Pool(name.to_string());
    context.queue().put_pool(&pool::Pool { name, accounts: members }).await?;
    context.note(Action::PoolPut, subject).await;
    context.out.line(said)
}

async fn list(json: bool, context: &mut Context) -> Result<(), Failure> {
    let pools = context.queue().pools().await?;
    if json {
        return context.out.json(&pools);
    }
    let mut table = Table::new(&["NAME", "ACCOUNTS"]);
    for pool in &pools {
        let members: Vec<&str> = pool.accounts.iter().map(AccountId::reveal).collect();
        table.row([pool.name.to_string(), members.join(", ")]);
    }
    table.print(&mut context.out, "")
}

async fn show(name: &PoolName, json: bool, context: &mut Context) -> Result<(), Failure> {
    let pools = context.queue().pools().await?;
    let Some(pool) = pools.into_iter().find(|pool| pool.name == *name) else {
        return Err(no_such(name, context).await?);
    };
    let mut table = Table::new(&["ACCOUNT", "LEFT", "WAITING", "HELD"]);
    let mut members = Vec::with_capacity(pool.accounts.len());
    for id in pool.accounts {
        let standing = context.queue().standing(&id).await?;
        let hold = standing.as_ref().and_then(|standing| standing.account.hold());
        let left = standing.as_ref().and_then(|standing| standing.budget.messages.left);
        let waiting = standing.as_ref().map_or(0, |standing| standing.waiting.iter().sum());
        let held = match (&standing, hold) {
            (None, _) => "no such account (any more)".to_owned(),
            (Some(_), None) => "no".to_owned(),
            (Some(_), Some(hold)) => format!("{}, {}", hold.reason.as_str(), when(hold)),
        };
        let left_words = left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        table.row([id.reveal().to_owned(), left_words, waiting.to_string(), held]);
        let shard = context.queue().store().shard_of(&id);
        let (known, held) = (standing.is_some(), hold.map(|hold| hold.reason.as_str()));
        members.push(Member { id, known, held, left, waiting, shard });
    }
    if json {
        return context.out.json(&serde_json::json!({ "name": name, "accounts": members }));
    }
    table.print(&mut context.out, "")
}

async fn no_such(name: &PoolName, context: &Context) -> Result<Failure, Failure> {
    let pools = context.queue().pools().await?;
    let known: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
    Ok(Failure::Failed(if known.is_empty() {
        "there is no pool: put one with `postroom pool put NAME ADDRESS...`".to_owned()
    } else {
        unknown("pool", name.as_str(), &known)
    }))
}
