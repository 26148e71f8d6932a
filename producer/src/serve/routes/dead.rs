//! `/dead`: what failed for good: look at it, put it back into the queue, throw it away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use postroom_shared::account::AccountId;
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::time_to_live;
use postroom_shared::queue::{DeadFilter, DeadSummary, MailState, Queue, ViaError};
use postroom_shared::reason::Reason;
use postroom_shared::store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::emails::found::EmailSummary;
use crate::serve::emails::visible;
use crate::serve::error::{ApiError, ErrorBody};

/// Dead letters that one call changes at most.
const MOST: usize = 1_000;
/// Failures that are told one by one.
const TOLD: usize = 20;

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(discard))
}

/// Which dead letters are meant: those that fit all that is given.
#[derive(Debug, Clone, Default, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeadQuery {
    /// Only those that died of this, such as `recipient` or `expired`.
    reason: Option<String>,
    /// Only those of this account.
    account: Option<String>,
    /// Only those that died at this time or later, RFC 3339.
    died_from: Option<String>,
    /// Only those that died at this time or earlier, RFC 3339.
    died_until: Option<String>,
    /// Only those that a recipient at this domain did not get.
    domain: Option<String>,
    /// Only those with this tag: its name, or `name=value`.
    tag: Option<String>,
    /// At most so many, the newest; default 20, at most 100 in a listing and 1,000 in a change.
    limit: Option<usize>,
}

impl DeadQuery {
    fn read(&self, caller: &Caller, limit: usize, most: usize) -> Result<DeadFilter, ApiError> {
        let account = self.account.as_deref().map(str::parse::<AccountId>).transpose();
        let account = account.map_err(|_| wrong("account", "give an account's address"))?;
        let account = match caller.narrowed_to(account)?.as_deref() {
            None => None,
            Some([one]) => Some(one.clone()),
            Some(_) => return Err(wrong("account", "this key is bound to several accounts: name one of them")),
        };
        Ok(DeadFilter {
            reason: parsed("reason", self.reason.as_deref(), str::parse::<Reason>)?,
            account,
            died_from: parsed("died_from", self.died_from.as_deref(), time)?,
            died_until: parsed("died_until", self.died_until.as_deref(), time)?,
            domain: self.domain.clone(),
            tag: parsed("tag", self.tag.as_deref(), str::parse)?,
            limit: self.limit.unwrap_or(limit).min(most),
        })
    }
}

fn time(text: &str) -> Result<Millis, String> {
    let at: jiff::Timestamp = text.parse().map_err(|_| "write RFC 3339, such as 2027-01-31T09:00:00Z".to_owned())?;
    Ok(Millis(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

fn parsed<T, E: std::fmt::Display>(
    name: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, ApiError> {
    text.map(parse).transpose().map_err(|error| wrong(name, &error.to_string()))
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", format!("{name}: {what}"))
}

/// Dead letters that fit.
#[derive(Serialize, ToSchema)]
struct DeadBody {
    /// Always `list`.
    object: &'static str,
    #[serde(flatten)]
    summary: DeadCounts,
    /// The newest of them.
    data: Vec<EmailSummary>,
}

/// How many fit.
#[derive(Serialize, ToSchema)]
struct DeadCounts {
    /// How many.
    total: u64,
    /// What they take in Redis, in bytes.
    bytes: u64,
    /// How many of them the server may have taken all the same: a retry may send them a second time.
    may_double: u64,
    /// How many by reason.
    by_reason: BTreeMap<String, u64>,
    /// How many by account.
    by_account: BTreeMap<String, u64>,
}

impl From<DeadSummary> for DeadCounts {
    fn from(summary: DeadSummary) -> Self {
        let by_account = summary.by_account.into_iter().map(|(account, count)| (account.reveal().to_owned(), count));
        Self {
            total: summary.total,
            bytes: summary.bytes,
            may_double: summary.may_double,
            by_reason: summary.by_reason,
            by_account: by_account.collect(),
        }
    }
}

/// The dead letters, and how many there are
#[utoipa::path(get, path = "/dead", tag = "dead letters", operation_id = "listDead", params(DeadQuery),
    responses(
        (status = 200, description = "How many fit, and the newest of them.", body = DeadBody),
        (status = 422, description = "A parameter cannot be read.", body = ErrorBody),
    ))]
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    query: Result<Query<DeadQuery>, QueryRejection>,
) -> Result<Json<DeadBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let Query(query) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    let list = app.client.queue().dead(&query.read(&caller, 20, 100)?).await?;
    Ok(Json(DeadBody {
        object: "list",
        summary: list.summary.into(),
        data: list.mails.iter().map(EmailSummary::from).collect(),
    }))
}

/// Which dead letters are changed: some by their ids, or those that fit a filter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeRequest {
    /// These. Give ids or a filter.
    ids: Option<Vec<String>>,
    /// Those that fit, at most 1,000 a call, as they are now: what dies later is not meant.
    filter: Option<DeadQuery>,
    /// Only tell how many there are.
    #[serde(default)]
    dry_run: bool,
    /// Retry: for how long they are tried, such as `12h`; default: as the settings say.
    ttl: Option<String>,
    /// Retry: the account that shall send them, which must be allowed to send with their From.
    via: Option<String>,
}

/// What became of them.
#[derive(Serialize, Default, ToSchema)]
struct ChangeBody {
    /// How many fit when the call came.
    total: u64,
    /// How many were changed.
    changed: u64,
    /// How many could not be changed.
    failed: u64,
    /// There are more that fit: call again.
    has_more: bool,
    /// Why, of the first twenty that could not be changed.
    failures: Vec<FailureBody>,
}

impl ChangeBody {
    fn fail(&mut self, id: String, message: String) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(FailureBody { id, message });
        }
    }
}

/// Why a dead letter was not changed.
#[derive(Serialize, ToSchema)]
struct FailureBody {
    /// Which.
    id: String,
    /// Why.
    message: String,
}

enum Change {
    Retry { ttl: Duration, via: Option<AccountId> },
    Discard,
}

impl Change {
    async fn apply(&self, queue: &Queue, id: MailId) -> Result<Option<Result<(), MailState>>, ViaError> {
        match self {
            Self::Retry { ttl, via: None } => Ok(queue.retry_dead(id, *ttl).await?),
            Self::Retry { ttl, via: Some(via) } => queue.retry_dead_via(id, *ttl, via).await,
            Self::Discard => Ok(queue.discard_dead(id).await?),
        }
    }

    async fn apply_all(&self, queue: &Queue, ids: Vec<MailId>, body: &mut ChangeBody) -> Result<(), StoreError> {
        for id in ids {
            let why = match self.apply(queue, id).await {
                Ok(Some(Ok(()))) => {
                    body.changed += 1;
                    continue;
                }
                Ok(Some(Err(state))) => format!("it is no dead letter: its state is {}", state.as_str()),
                Ok(None) => "there is no such mail (any more)".to_owned(),
                // Going on makes no sense without Redis; what was changed is changed, and a repeat does the rest.
                Err(ViaError::Store(error)) if error.is_passing() => return Err(error),
                Err(error) => error.to_string(),
            };
            body.fail(id.to_string(), why);
        }
        Ok(())
    }

    fn action(&self) -> Action {
        match self {
            Self::Retry { .. } => Action::DeadRetry,
            Self::Discard => Action::DeadDiscard,
        }
    }
}

/// Put dead letters back into the queue
///
/// Only for the recipients that are still open, with a new deadline.
#[utoipa::path(post, path = "/dead/retry", tag = "dead letters", operation_id = "retryDead", request_body = ChangeRequest,
    responses(
        (status = 200, description = "What became of them.", body = ChangeBody),
        (status = 422, description = "The request cannot be read.", body = ErrorBody),
    ))]
async fn retry(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<Json<ChangeBody>, ApiError> {
    caller.demand(Scope::Operate)?;
    let request: ChangeRequest = payload.json()?;
    let ttl = parsed("ttl", request.ttl.as_deref(), time_to_live)?;
    let via = parsed("via", request.via.as_deref(), str::parse::<AccountId>)?;
    if via.as_ref().is_some_and(|via| !caller.sees(via)) {
        return Err(wrong("via", "there is no such account, or this key may not use it"));
    }
    let change = Change::Retry { ttl: ttl.unwrap_or(app.client.queue().limits().mail_ttl), via };
    apply(&app, &caller, &request, &change).await
}

/// Throw dead letters away, with their bytes
#[utoipa::path(post, path = "/dead/discard", tag = "dead letters", operation_id = "discardDead", request_body = ChangeRequest,
    responses(
        (status = 200, description = "What became of them.", body = ChangeBody),
        (status = 422, description = "The request cannot be read.", body = ErrorBody),
    ))]
async fn discard(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<Json<ChangeBody>, ApiError> {
    caller.demand(Scope::Operate)?;
    let request: ChangeRequest = payload.json()?;
    apply(&app, &caller, &request, &Change::Discard).await
}

async fn apply(
    app: &App,
    caller: &Caller,
    request: &ChangeRequest,
    change: &Change,
) -> Result<Json<ChangeBody>, ApiError> {
    let queue = app.client.queue();
    let mut body = ChangeBody::default();
    let ids = match (&request.ids, &request.filter) {
        (Some(ids), None) => by_ids(app, caller, ids, &mut body).await?,
        (None, Some(filter)) => by_filter(queue, filter.read(caller, MOST, MOST)?, request.dry_run, &mut body).await?,
        (None, None) | (Some(_), Some(_)) => return Err(ApiError::invalid("give ids or a filter, one of them")),
    };
    if request.dry_run {
        return Ok(Json(body));
    }
    let only = if let [id] = ids[..] { Some(id) } else { None };
    let ended = change.apply_all(queue, ids, &mut body).await;
    if body.changed > 0 {
        let subject = only.map_or(Subject::Mails(body.changed), Subject::Mail);
        app.note(caller, change.action(), subject).await;
    }
    ended?;
    body.has_more = body.total > body.changed + body.failed;
    Ok(Json(body))
}

async fn by_ids(app: &App, caller: &Caller, ids: &[String], body: &mut ChangeBody) -> Result<Vec<MailId>, ApiError> {
    if ids.len() > MOST {
        return Err(ApiError::invalid(format!("{} ids: {MOST} at most in one call", ids.len())));
    }
    body.total = ids.len() as u64;
    let mut known = Vec::with_capacity(ids.len());
    for id in ids {
        match visible(app, caller, id).await {
            Ok(id) => known.push(id),
            Err(error) if error.status() == StatusCode::NOT_FOUND => body.fail(id.clone(), error.message().to_owned()),
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

async fn by_filter(
    queue: &Queue,
    filter: DeadFilter,
    dry_run: bool,
    body: &mut ChangeBody,
) -> Result<Vec<MailId>, ApiError> {
    let summary = queue.count_dead(&DeadFilter { limit: usize::MAX, ..filter.clone() }).await?;
    body.total = summary.total;
    let mut ids = Vec::new();
    if !dry_run {
        // What dies again while this goes on is not meant: it would be changed without end.
        let filter = DeadFilter { died_until: summary.newest.or(filter.died_until), ..filter };
        let mut walk = queue.walk_dead(&filter);
        while let Some(page) = walk.next().await? {
            ids.extend(page.iter().map(|status| status.id));
        }
    }
    Ok(ids)
}
