//! `GET /emails`, `GET /emails/{id}` and its timeline: where is my mail, and why; and which mails fit a question.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use postroom_shared::account::AccountId;
use postroom_shared::address::Address;
use postroom_shared::id::MailId;
use postroom_shared::message::read;
use postroom_shared::queue::{FindQuery, MailState, MailStatus, Page, PageQuery, TagFilter};
use postroom_shared::reason::Reason;
use serde::Deserialize;
use utoipa::IntoParams;

use super::found::{EmailBody, EmailList, EmailSummary, TimelineBody};
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::error::{ApiError, ErrorBody};

/// Which mails of a listing.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many, 1 to 100; default 20.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// Only mails that were handed over before the one with this id: the next page.
    after: Option<String>,
    /// Only mails that were handed over after the one with this id: the page before.
    before: Option<String>,
    /// Only mails in this state: `scheduled`, `ready`, `sending`, `retry`, `sent`, `dead`, `cancelled` or `discarded`.
    state: Option<String>,
    /// Only mails of this account.
    account: Option<String>,
    /// Only mails to this address (To, Cc or Bcc).
    recipient: Option<String>,
    /// Only mails with this tag: its name, or `name=value`.
    tag: Option<String>,
    /// Only mails that wait for another try, died or ended for this reason: one word of the closed list.
    reason: Option<String>,
    /// Only mails with this `Message-ID`.
    message_id: Option<String>,
    /// Only the mail that was handed over with this idempotency key, or the mails of a batch with it. Keys are remembered for
    /// 24 hours, or until the mail's deadline.
    idempotency_key: Option<String>,
}

impl ListQuery {
    pub(super) fn read(&self, caller: &Caller) -> Result<FindQuery, ApiError> {
        let limit = match self.limit.as_deref().map(str::parse) {
            None => 20,
            Some(Ok(limit @ 1..=100)) => limit,
            Some(_) => return Err(parameter("limit", "give a whole number from 1 to 100")),
        };
        let id = |name: &str, text: &Option<String>| -> Result<Option<MailId>, ApiError> {
            text.as_deref().map(str::parse).transpose().map_err(|_| parameter(name, "give the id of a mail"))
        };
        let (after, before) = (id("after", &self.after)?, id("before", &self.before)?);
        if after.is_some() && before.is_some() {
            return Err(parameter("after", "before is given, too: give one of them"));
        }
        let account = self.account.as_deref().map(str::parse::<AccountId>).transpose();
        let account = account.map_err(|_| parameter("account", "give an account's address"))?;
        let recipient = self.recipient.as_deref().map(str::parse::<Address>).transpose();
        let state = parsed::<MailState>("state", self.state.as_deref())?;
        Ok(FindQuery {
            page: PageQuery { limit, after, before, state, accounts: caller.narrowed_to(account)? },
            recipient: recipient.map_err(|_| parameter("recipient", "give a mail address"))?,
            tag: parsed::<TagFilter>("tag", self.tag.as_deref())?,
            reason: parsed::<Reason>("reason", self.reason.as_deref())?,
            message_id: self.message_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
        })
    }
}

fn parsed<T: FromStr<Err = String>>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    text.map(str::parse).transpose().map_err(|what: String| parameter(name, &what))
}

fn parameter(name: &str, what: &str) -> ApiError {
    ApiError::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", format!("{name}: {what}"))
}

/// The newest mails, or those that fit
///
/// All that is given must fit. Recipient, tag, reason, `Message-ID` and idempotency key are looked up, and so is the state of mails
/// that are not ready or sent; a page looks at 10,000 mails at most, and `next` tells where to go on.
#[utoipa::path(
    get,
    path = "/emails",
    tag = "emails",
    operation_id = "listEmails",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of mails, the newest first.", body = EmailList),
        (status = 422, description = "A parameter cannot be read.", body = ErrorBody),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<EmailList>, ApiError> {
    let Page { mails, has_more, next } = found(&app, &caller, query).await?;
    let next = next.filter(|next| mails.last().is_none_or(|last| last.id != *next)).map(|next| next.to_string());
    Ok(Json(EmailList::new(has_more, next, mails.iter().map(EmailSummary::from).collect())))
}

/// The page that a request asks for.
pub(super) async fn found(
    app: &App,
    caller: &Caller,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Page, ApiError> {
    caller.demand(Scope::Read)?;
    let Query(query) = query.map_err(|error| ApiError::invalid(error.body_text()))?;
    Ok(app.client.queue().find(&query.read(caller)?).await?)
}

/// One mail: all that is known of it
///
/// The bodies are there until the mail is sent, cancelled or discarded; then its bytes are deleted.
#[utoipa::path(
    get,
    path = "/emails/{id}",
    tag = "emails",
    operation_id = "getEmail",
    params(("id" = String, Path, description = "The mail's id")),
    responses(
        (status = 200, description = "The mail.", body = EmailBody),
        (status = 404, description = "There is no such mail (any more).", body = ErrorBody),
    ),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<EmailBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let _turn = app.memory.turn().await;
    let status = seen(&app, &caller, &id).await?;
    let bytes = app.client.queue().mail_bytes(status.id).await?;
    Ok(Json(EmailBody::new(&status, bytes.map(|bytes| read(&bytes)))))
}

/// All that happened to one mail
#[utoipa::path(
    get,
    path = "/emails/{id}/timeline",
    tag = "emails",
    operation_id = "getTimeline",
    params(("id" = String, Path, description = "The mail's id")),
    responses(
        (status = 200, description = "What happened, the oldest first.", body = TimelineBody),
        (status = 404, description = "There is no such mail (any more).", body = ErrorBody),
    ),
)]
pub(super) async fn timeline(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<TimelineBody>, ApiError> {
    caller.demand(Scope::Read)?;
    Ok(Json(TimelineBody::of(&seen(&app, &caller, &id).await?)))
}

/// The id of a mail that this caller may see.
pub(in crate::serve) async fn visible(app: &App, caller: &Caller, id: &str) -> Result<MailId, ApiError> {
    Ok(seen(app, caller, id).await?.id)
}

/// A mail that this caller may see.
pub(super) async fn seen(app: &App, caller: &Caller, id: &str) -> Result<MailStatus, ApiError> {
    let missing = || ApiError::not_found("Email");
    let id: MailId = id.parse().map_err(|_| missing())?;
    let status = app.client.status(id).await?.ok_or_else(missing)?;
    // A mail of somebody else's is as good as none.
    if caller.sees_mail(&status) { Ok(status) } else { Err(missing()) }
}
