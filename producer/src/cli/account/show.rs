//! `postroom account list` and `show`: what is known of accounts, and what a person can do about a hold.

use postroom::{AccountId, Millis, Priority, Reason};
use postroom_shared::account::{Account, Hold};
use postroom_shared::queue::{Budget, Standing, Use};
use postroom_shared::tokens::FleetFigures;
use postroom_shared::tokens::service_keys::{self, ServiceUse};
use serde::Serialize;
use std::collections::BTreeMap;

use super::tokens;
use crate::cli::output::Out;
use crate::cli::table::Table;
use crate::cli::{Context, Failure};

/// An account and its lane, as one JSON object.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a Account,
    /// What stands for it in logs.
    hash: String,
    budget: &'a Budget,
    waiting: BTreeMap<&'static str, u64>,
    permits: u64,
    service_account: Option<Service>,
    tokens: &'a FleetFigures,
}

/// The service account that gets its tokens; an address like any other is masked.
#[derive(Serialize)]
struct Service {
    email: String,
    key_id: String,
    accounts: u64,
}

impl From<ServiceUse> for Service {
    fn from(found: ServiceUse) -> Self {
        Self { email: found.email.to_string(), key_id: found.key_id, accounts: found.accounts }
    }
}

pub(super) async fn list(json: bool, context: &mut Context) -> Result<(), Failure> {
    let accounts = context.queue().accounts().await?;
    if json {
        return context.out.json(&accounts);
    }
    let mut table = Table::new(&["ADDRESS", "KIND", "LIMIT", "CONNECTIONS", "HELD", "ALIASES"]);
    for account in &accounts {
        let held = account.hold().map(|hold| format!("{}, {}", hold.reason.as_str(), when(hold)));
        table.row([
            account.id.reveal().to_owned(),
            kind(account),
            if account.id.is_test() { "none".to_owned() } else { or_default(account.limit) },
            or_default(account.connections),
            held.unwrap_or_else(|| "no".to_owned()),
            aliases(account),
        ]);
    }
    table.print(&mut context.out, "")
}

pub(super) async fn show(id: &AccountId, json: bool, context: &mut Context) -> Result<(), Failure> {
    let Some(standing) = context.queue().standing(id).await? else {
        return Err(Failure::failed("there is no such account: see `postroom account list`"));
    };
    let service = service_keys::in_use(context.queue().store(), id).await?.into_iter().next().map(Service::from);
    let tokens = FleetFigures::read(context.queue().store(), id).await?;
    if json {
        let Standing { account, budget, permits, .. } = &standing;
        let waiting = Priority::ALL.map(Priority::as_str).into_iter().zip(standing.waiting).collect();
        let hash = account.id.hashed();
        return context.out.json(&Shown {
            account,
            hash,
            budget,
            waiting,
            permits: *permits,
            service_account: service,
            tokens: &tokens,
        });
    }
    print(&standing, service.as_ref(), &tokens, &mut context.out)
}

fn print(standing: &Standing, service: Option<&Service>, tokens: &FleetFigures, out: &mut Out) -> Result<(), Failure> {
    let account = &standing.account;
    let mut table = Table::plain();
    table.pair("Account", account.id.reveal());
    table.pair("In logs", account.id.hashed());
    table.pair("Kind", kind(account));
    table.pair("Aliases", aliases(account));
    if let Some(Service { email, key_id, accounts }) = service {
        table.pair("Tokens", format!("by service account {email}, key {key_id}, for {accounts} accounts"));
    }
    table.pair("Connections", format!("{} at once", or_default(account.connections)));
    if let Some((connections, until)) = account.fewer {
        table.pair("", format!("the server found them too many: {connections} until {until}"));
    }
    print_budget(&standing.budget, &mut table);
    if account.holds.is_empty() {
        table.pair("Held", "no");
    }
    for hold in &account.holds {
        table.pair("Held", format!("{}: {}", hold.reason.as_str(), hold.reason.help()));
        table.pair("", &hold.note);
        table.pair("", format!("since {}, {}", hold.since, when(hold)));
        table.pair("", then(hold));
    }
    let [urgent, normal, bulk] = standing.waiting;
    table.pair("Waiting", format!("{urgent} urgent, {normal} normal, {bulk} bulk"));
    table.pair("Permits", format!("{} held by workers", standing.permits));
    tokens::print(tokens, &mut table);
    table.print(out, "")
}

fn print_budget(budget: &Budget, table: &mut Table) {
    table.pair("Messages", used(&budget.messages));
    table.pair("Recipients", used(&budget.recipients));
    if budget.urgent_share > 0 {
        table.pair("", format!("{} % of both are kept for urgent mail", budget.urgent_share));
    }
    if let Some(at) = budget.frees_at {
        table.pair("", format!("the next of them are free again at {at}"));
    }
    let rate =
        budget.rate.map(|rate| format!("{} mails a second, {} at once after a pause", rate.per_second, rate.burst));
    table.pair("Rate", rate.unwrap_or_else(|| "as quickly as they go".to_owned()));
    let trial = if budget.proven {
        "no, it proved lately that it may send"
    } else {
        "yes, it has sent nothing lately: it is tried with one mail first, then with twice as many each second"
    };
    table.pair("Trial", trial);
}

/// `3 of 500 used in 24 hours, 1 in hand, 496 left`
fn used(it: &Use) -> String {
    let limit = it.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let elsewhere = match it.elsewhere {
        0 => String::new(),
        count => format!(", {count} counted elsewhere by Gmail"),
    };
    let left = it.left.map_or_else(|| "no limit".to_owned(), |left| format!("{left} left"));
    format!("{}{limit} used in 24 hours, {} in hand{elsewhere}, {left}", it.used, it.in_hand)
}

fn kind(account: &Account) -> String {
    let built_in = if account.id.is_test() { " (built in)" } else { "" };
    format!("{}{built_in}", account.kind.as_str())
}

fn or_default(number: Option<u32>) -> String {
    number.map_or_else(|| "default".to_owned(), |number| number.to_string())
}

fn aliases(account: &Account) -> String {
    let aliases: Vec<&str> = account.aliases.iter().map(postroom_shared::address::Address::reveal).collect();
    if aliases.is_empty() { "-".to_owned() } else { aliases.join(", ") }
}

/// Until when a hold lasts.
pub(in crate::cli) fn when(hold: &Hold) -> String {
    lasts(hold.until)
}

/// Until when something lasts that may wait for a person.
pub(super) fn lasts(until: Option<Millis>) -> String {
    until.map_or_else(|| "until a person acts".to_owned(), |until| format!("until {until}"))
}

/// What a person can do about a hold.
pub(in crate::cli) fn then(hold: &Hold) -> &'static str {
    match hold.reason {
        Reason::Consent => {
            "To do: have the person consent again: `postroom account login`, or `account add` with a new refresh token"
        }
        Reason::Client | Reason::Config if hold.until.is_some() => {
            "To do: correct what it names; it is tried again by itself, or at once with `postroom account resume`"
        }
        Reason::Client => {
            "To do: correct the OAuth2 client's id or secret, or the service account's key, with `postroom account add`"
        }
        Reason::Config => "To do: correct what it names, then `postroom account resume`",
        Reason::Operator => "To do: `postroom account resume` ends it",
        Reason::Delivered
        | Reason::ServerBusy
        | Reason::Quota
        | Reason::LoginLimit
        | Reason::Reputation
        | Reason::SenderAuth
        | Reason::TokenRefused
        | Reason::RecipientBusy
        | Reason::RecipientFull
        | Reason::Split
        | Reason::Policy
        | Reason::Size
        | Reason::Connection
        | Reason::Uncertain
        | Reason::Found
        | Reason::LeaseLost
        | Reason::HandedBack
        | Reason::TokenUnavailable
        | Reason::Recipient
        | Reason::Message
        | Reason::Expired
        | Reason::Panic
        | Reason::Stuck
        | Reason::Poison
        | Reason::Unreadable
        | Reason::NoAccount => {
            if hold.until.is_some() {
                "To do: nothing, it ends by itself; `postroom account resume` ends it now"
            } else {
                "To do: `postroom account resume` when its cause is gone"
            }
        }
    }
}
