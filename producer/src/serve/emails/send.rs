//! `POST /emails`: one mail.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use postroom_shared::clock::Millis;
use postroom_shared::mail::read_json;
use serde_json::Value;
use tokio::time::Instant;

use super::dialect;
use super::shape::{EmailRequest, SentBody};
use crate::client::{SendError, Sent};
use crate::draft::Draft;
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::error::{ApiError, ErrorBody};
use crate::serve::estimate::Expected;
use crate::serve::watch::{Door, HandedOver};

/// Larger documents are read on a thread of their own, so that they keep nobody waiting.
const LARGE: usize = 64 << 10;

/// Hand a mail over
///
/// The answer comes when Redis has the mail. With an `Idempotency-Key`, handing the same mail over again within 24 hours
/// (or until its deadline, if that is later) gives the same answer and sends nothing twice.
#[utoipa::path(
    post,
    path = "/emails",
    tag = "emails",
    operation_id = "sendEmail",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 256, pattern = "^[!-~]([ -~]*[!-~])?$", description = "1 to 256 printable ASCII characters")),
    request_body = EmailRequest,
    responses(
        (status = 200, description = "Redis has the mail.", body = SentBody),
        (status = 409, description = "The key came before with another mail (`invalid_idempotent_request`).", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "The mail cannot be sent as it is; all its faults at once.", body = ErrorBody),
    ),
)]
pub(super) async fn send(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    payload: Payload,
) -> Result<(Extension<HandedOver>, Json<SentBody>), ApiError> {
    caller.demand(Scope::Send)?;
    let mut mail = document(&payload).await?;
    if let (Some(key), Value::Object(fields)) = (idempotency_key(&headers)?, &mut mail) {
        fields.insert("idempotency_key".to_owned(), key.into());
    }
    let draft = draft(mail, &headers, &caller).traced(door.0);
    let job = payload.in_time(app.client.admit_one(draft)).await?.map_err(refused)?;
    let expected = payload.in_time(app.estimates.expect(&job, app.client.queue(), Millis::now())).await?;
    let until = payload.until;
    let sent = app.intake.store(job, payload).await?;
    let handed_over = HandedOver { mails: 1, id: Some(sent.id) };
    Ok((Extension(handed_over), Json(answer(&app, sent, &expected, until).await)))
}

/// The JSON document in a request's body.
pub(super) async fn document(payload: &Payload) -> Result<Value, ApiError> {
    let bytes = payload.bytes.clone();
    let read = if bytes.len() <= LARGE {
        read_json(&bytes)
    } else {
        let reading = tokio::task::spawn_blocking(move || read_json(&bytes));
        reading.await.map_err(|_| ApiError::internal("Postroom failed while it read this document, which is a bug"))?
    };
    read.map_err(|faults| ApiError::of_mail(&faults.into()).with_status(StatusCode::BAD_REQUEST))
}

/// The header `Idempotency-Key`.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=256).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        let message = "Idempotency-Key: give 1 to 256 printable ASCII characters";
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", message)
    })
}

/// Headers for what Resend's clients would drop from a mail, and the fields that they stand for.
const OPTIONS: [(&str, &str); 4] = [
    ("postroom-account", "account"),
    ("postroom-pool", "pool"),
    ("postroom-priority", "priority"),
    ("postroom-ttl", "ttl"),
];

/// A mail of this caller, ready for the door. What it says itself wins over the request's headers.
pub(super) fn draft(mut mail: Value, headers: &HeaderMap, caller: &Caller) -> Draft {
    if let Value::Object(fields) = &mut mail {
        for (header, field) in OPTIONS {
            if let Some(value) = headers.get(header) {
                fields.entry(field).or_insert_with(|| String::from_utf8_lossy(value.as_bytes()).into());
            }
        }
    }
    let (mail, faults) = dialect::translate(mail);
    let draft = Draft::from(mail).with_faults(faults);
    let draft = match caller.accounts() {
        Some(accounts) => draft.within(accounts),
        None => draft,
    };
    if caller.is_test() { draft.as_test() } else { draft }
}

/// Why a mail was not taken, by the names that stand in the request.
pub(super) fn refused(error: SendError) -> ApiError {
    match error {
        SendError::Refused(ref refusal) => ApiError::of_mail(&dialect::told(refusal)),
        SendError::Conflict(_)
        | SendError::KeyUsed
        | SendError::OthersRefused
        | SendError::NotStored(_)
        | SendError::Full(_)
        | SendError::Unknown { .. }
        | SendError::Wrong(_) => error.into(),
    }
}

/// What is told of a mail that Redis has. One that came before is looked up: it may have gone long since.
async fn answer(app: &App, sent: Sent, expected: &Expected, until: Instant) -> SentBody {
    if !sent.known {
        return SentBody::new(&sent, expected.state(), expected.outlook());
    }
    let looked_up = tokio::time::timeout_at(until, app.client.queue().outlooks(&[sent.id])).await;
    let place = looked_up.ok().and_then(Result::ok).and_then(|mut places| places.pop().flatten());
    let (state, outlook) = place.map_or((expected.state(), None), |place| (place.state, place.outlook));
    SentBody::new(&sent, state, outlook)
}
