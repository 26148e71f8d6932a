//! `/accounts`: who sends, what is left of each one's limits, and what keeps it from sending.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use postroom_shared::account::{Account, AccountId, Hold, Pause};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::queue::{AccountError, Standing, Use};
use postroom_shared::reason::Reason;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::emails::shape::time;
use crate::serve::error::{ApiError, ErrorBody};

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(hold)).routes(routes!(resume))
}

/// Why an account may not send now.
#[derive(Serialize, ToSchema)]
pub(super) struct HoldBody {
    /// Why, one word of the closed list of reasons.
    reason: &'static str,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// Until when; absent: until a person acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    until: Option<String>,
    /// The server's words, or the operator's note.
    note: String,
    /// What it means and what to do.
    help: &'static str,
}

impl From<&Hold> for HoldBody {
    fn from(hold: &Hold) -> Self {
        Self {
            reason: hold.reason.as_str(),
            since: time(hold.since),
            until: hold.until.map(time),
            note: hold.note.clone(),
            help: hold.reason.help(),
        }
    }
}

/// One account.
#[derive(Serialize, ToSchema)]
struct AccountBody {
    /// Its address, which names it.
    account: String,
    /// `consumer`, `workspace` or `relay`.
    kind: &'static str,
    /// Further addresses that it may send as.
    aliases: Vec<String>,
    /// All that keeps it from sending; empty: nothing.
    holds: Vec<HoldBody>,
}

impl From<&Account> for AccountBody {
    fn from(account: &Account) -> Self {
        Self {
            account: account.id.reveal().to_owned(),
            kind: account.kind.as_str(),
            aliases: account.aliases.iter().map(|alias| alias.reveal().to_owned()).collect(),
            holds: account.holds.iter().map(HoldBody::from).collect(),
        }
    }
}

/// The accounts.
#[derive(Serialize, ToSchema)]
struct AccountList {
    /// Always `list`.
    object: &'static str,
    /// By address.
    data: Vec<AccountBody>,
}

/// One account as it stands.
#[derive(Serialize, ToSchema)]
struct StandingBody {
    #[serde(flatten)]
    account: AccountBody,
    /// Messages in any 24 hours.
    messages: UseBody,
    /// Recipients in any 24 hours.
    recipients: UseBody,
    /// Mails that wait for it: urgent, normal and bulk together.
    waiting: u64,
    /// Connections that workers hold now, and how many there may be.
    permits: u64,
    /// Connections it may have at once in the whole fleet.
    connections: u32,
}

/// What is used and left of a limit of 24 hours.
#[derive(Serialize, ToSchema)]
struct UseBody {
    /// The limit; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// How much is used.
    used: u64,
    /// How much is left; absent: there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
}

impl From<&Use> for UseBody {
    fn from(counted: &Use) -> Self {
        Self { limit: counted.limit, used: counted.used, left: counted.left }
    }
}

impl From<Standing> for StandingBody {
    fn from(standing: Standing) -> Self {
        Self {
            account: AccountBody::from(&standing.account),
            messages: UseBody::from(&standing.budget.messages),
            recipients: UseBody::from(&standing.budget.recipients),
            waiting: standing.waiting.iter().sum(),
            permits: standing.permits,
            connections: standing.connections,
        }
    }
}

/// The accounts
#[utoipa::path(get, path = "/accounts", tag = "accounts", operation_id = "listAccounts",
    responses((status = 200, description = "The accounts that this key may use.", body = AccountList)))]
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<AccountList>, ApiError> {
    caller.demand(Scope::Read)?;
    let accounts = app.client.queue().accounts().await?;
    let data = accounts.iter().filter(|account| caller.sees(&account.id)).map(AccountBody::from).collect();
    Ok(Json(AccountList { object: "list", data }))
}

/// One account: what is used and left, what waits, what keeps it
#[utoipa::path(get, path = "/accounts/{account}", tag = "accounts", operation_id = "getAccount",
    params(("account" = String, Path, description = "Its address")),
    responses(
        (status = 200, description = "How it stands.", body = StandingBody),
        (status = 404, description = "There is no such account, or this key may not use it.", body = ErrorBody),
    ))]
async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(account): Path<String>,
) -> Result<Json<StandingBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let account = named(&account, &caller)?;
    standing(&app, &account).await
}

/// Keep an account from sending
///
/// Its mails keep their place and lose no attempt. A worker finishes what it has in hand.
#[utoipa::path(post, path = "/accounts/{account}/hold", tag = "accounts", operation_id = "holdAccount",
    params(("account" = String, Path, description = "Its address")),
    responses(
        (status = 200, description = "It is held until somebody resumes it.", body = StandingBody),
        (status = 404, description = "There is no such account, or this key may not use it.", body = ErrorBody),
    ))]
async fn hold(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(account): Path<String>,
) -> Result<Json<StandingBody>, ApiError> {
    caller.demand(Scope::Operate)?;
    let account = named(&account, &caller)?;
    let note = format!("by the API key {}", caller.key_id());
    app.client.queue().hold(&account, Reason::Operator, &note, Pause::UntilAPerson).await?;
    app.note(&caller, Action::AccountHold, Subject::Account(account.clone())).await;
    standing(&app, &account).await
}

/// Let an account send again
///
/// Ends all that keeps it; it is tried with one mail first.
#[utoipa::path(post, path = "/accounts/{account}/resume", tag = "accounts", operation_id = "resumeAccount",
    params(("account" = String, Path, description = "Its address")),
    responses(
        (status = 200, description = "Nothing keeps it any more.", body = StandingBody),
        (status = 404, description = "There is no such account, or this key may not use it.", body = ErrorBody),
    ))]
async fn resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(account): Path<String>,
) -> Result<Json<StandingBody>, ApiError> {
    caller.demand(Scope::Operate)?;
    let account = named(&account, &caller)?;
    app.client.queue().resume(&account).await?;
    app.note(&caller, Action::AccountResume, Subject::Account(account.clone())).await;
    standing(&app, &account).await
}

async fn standing(app: &App, account: &AccountId) -> Result<Json<StandingBody>, ApiError> {
    let standing = app.client.queue().standing(account).await?;
    standing.map(|standing| Json(standing.into())).ok_or_else(|| ApiError::not_found("Account"))
}

/// The account of a path, if this caller may use it.
fn named(account: &str, caller: &Caller) -> Result<AccountId, ApiError> {
    let account: Option<AccountId> = account.parse().ok();
    account.filter(|account| caller.sees(account)).ok_or_else(|| ApiError::not_found("Account"))
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::not_found("Account"),
            AccountError::Store(error) => error.into(),
        }
    }
}
