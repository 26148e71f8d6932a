//! `PATCH /emails/{id}` and `POST /emails/{id}/cancel`: another time, or not at all.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::send_time;
use postroom_shared::queue::{MailState, RescheduleError};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::find::visible;
use super::send::document;
use super::shape::ChangedBody;
use crate::client::{Cancelled, Rescheduled};
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::error::{ApiError, ErrorBody};

/// Another time for a mail.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes what is read")]
pub(super) struct RescheduleRequest {
    /// RFC 3339 with an offset, or words such as `in 1 min`; at most 30 days ahead. A time that has passed means now.
    #[schema(example = "in 1 hour")]
    scheduled_at: String,
}

/// Give a mail another time
///
/// Only a mail that waits for its time or its turn, and was not tried yet. Its deadline moves with it.
#[utoipa::path(
    patch,
    path = "/emails/{id}",
    tag = "emails",
    operation_id = "updateEmail",
    params(("id" = String, Path, description = "The mail's id")),
    request_body = RescheduleRequest,
    responses(
        (status = 200, description = "It goes at that time.", body = ChangedBody),
        (status = 404, description = "There is no such mail (any more).", body = ErrorBody),
        (status = 422, description = "The time cannot be read, or it is too late for this mail.", body = ErrorBody),
    ),
)]
pub(super) async fn reschedule(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Json<ChangedBody>, ApiError> {
    caller.demand(Scope::Send)?;
    let to = time_in(&document(&payload).await?)?;
    let id = visible(&app, &caller, &id).await?;
    match app.client.reschedule(id, to).await {
        Ok(Rescheduled::Done) => {
            app.note_operator(&caller, Action::MailReschedule, Subject::Mail(id)).await;
            Ok(changed(id, false))
        }
        Ok(Rescheduled::TooLate(state)) => Err(too_late("get another time", state).about(id)),
        Ok(Rescheduled::Unknown) => Err(ApiError::not_found("Email")),
        Err(error @ RescheduleError::TooFar) => Err(ApiError::invalid(format!("scheduled_at: {error}"))),
        Err(RescheduleError::Store(error)) => Err(error.into()),
    }
}

/// `scheduled_at` of a request. Clients put the mail's id beside it: it stands in the path already.
fn time_in(document: &Value) -> Result<Millis, ApiError> {
    let now = Millis::now();
    match document.get("scheduled_at") {
        Some(Value::String(text)) => {
            let at = send_time(text, now).map_err(|what| ApiError::invalid(format!("scheduled_at: {what}")))?;
            Ok(at.unwrap_or(now))
        }
        None | Some(Value::Null) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "missing_required_field",
            "scheduled_at: missing: give the time at which the mail shall go",
        )),
        Some(_) => Err(ApiError::invalid("scheduled_at: give a text, such as 2027-01-31T09:00:00+01:00 or in 1 hour")),
    }
}

/// Cancel a mail that no worker has yet
#[utoipa::path(
    post,
    path = "/emails/{id}/cancel",
    tag = "emails",
    operation_id = "cancelEmail",
    params(("id" = String, Path, description = "The mail's id")),
    responses(
        (status = 200, description = "It will not go.", body = ChangedBody),
        (status = 404, description = "There is no such mail (any more).", body = ErrorBody),
        (status = 422, description = "It is too late.", body = ErrorBody),
    ),
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<ChangedBody>, ApiError> {
    caller.demand(Scope::Send)?;
    let id = visible(&app, &caller, &id).await?;
    match app.client.cancel(id).await? {
        Cancelled::Done => {
            app.note_operator(&caller, Action::MailCancel, Subject::Mail(id)).await;
            Ok(changed(id, false))
        }
        Cancelled::TooLate(MailState::Cancelled) => Ok(changed(id, true)),
        Cancelled::TooLate(state) => Err(too_late("be cancelled", state).about(id)),
        Cancelled::Unknown => Err(ApiError::not_found("Email")),
    }
}

fn changed(id: MailId, known: bool) -> Json<ChangedBody> {
    Json(ChangedBody { object: "email", id, known })
}

fn too_late(what: &str, state: MailState) -> ApiError {
    ApiError::invalid(format!("it is too late: a mail that is {} cannot {what}", state.as_str())).in_state(state)
}
