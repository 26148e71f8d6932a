//! `POST /emails/batch`: up to a hundred mails, all or those that can be sent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use postroom_shared::mail::Fault;
use serde_json::Value;
use utoipa::ToSchema;

use super::send::{document, draft, idempotency_key, refused};
use super::shape::{BatchBody, BatchFault, EmailRequest, IdBody};
use crate::client::SendError;
use crate::door::Refusal;
use crate::draft::Draft;
use crate::http::Stored;
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::error::{ApiError, ErrorBody};
use crate::serve::watch::{Door, HandedOver};

/// Mails in one batch, as in Resend's API.
const MOST: usize = 100;

/// What becomes of a batch in which a mail is wrong.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes")]
enum Validation {
    Strict,
    Permissive,
}

/// The mails.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 100)]
#[expect(dead_code, reason = "describes")]
struct Batch(Vec<EmailRequest>);

/// Hand up to 100 mails over
///
/// `x-batch-validation: strict` (the default): if one of them cannot be sent, none is stored. `permissive`: those that can be
/// sent are stored, and the others are told in `errors`. An `Idempotency-Key` stands for the batch as a whole.
#[utoipa::path(
    post,
    path = "/emails/batch",
    tag = "emails",
    operation_id = "sendBatch",
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 256, pattern = "^[!-~]([ -~]*[!-~])?$", description = "1 to 256 printable ASCII characters"),
        ("x-batch-validation" = inline(Option<Validation>), Header, description = "`strict` or `permissive`"),
    ),
    request_body(content = Batch, description = "1 to 100 mails"),
    responses(
        (status = 200, description = "Redis has the mails.", body = BatchBody),
        (status = 409, description = "The key came before with another batch.", body = ErrorBody),
        (status = 413, description = "The body is too large.", body = ErrorBody),
        (status = 422, description = "Strict: a mail cannot be sent; fields begin with its place, such as `[3].to[0]`.", body = ErrorBody),
    ),
)]
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    payload: Payload,
) -> Result<(Extension<HandedOver>, Json<BatchBody>), ApiError> {
    caller.demand(Scope::Send)?;
    let is_strict = is_strict(&headers)?;
    let key = idempotency_key(&headers)?;
    let mails = mails(document(&payload).await?)?;
    let drafts: Vec<Draft> = mails.into_iter().map(|mail| draft(mail, &headers, &caller).traced(door.0)).collect();
    let answers = app.client.send_batch(key, drafts, is_strict).await.map_err(refused)?;
    let some_stored = answers.iter().any(|answer| matches!(answer, Ok(_) | Err(SendError::Unknown { .. })));
    let (mut data, mut refusals) = (Vec::with_capacity(answers.len()), Vec::new());
    for (place, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(sent) => data.push(IdBody::new(&sent)),
            Err(error @ (SendError::Refused(_) | SendError::Conflict(_))) => refusals.push((place, refused(error))),
            Err(SendError::OthersRefused) => {}
            // What Redis did not store, or not surely, is the whole batch's affair: repeated with its key, it is safe.
            Err(error) if some_stored => return Err(ApiError::from(error).stored(Stored::Unknown)),
            Err(error) => return Err(error.into()),
        }
    }
    if is_strict && !refusals.is_empty() {
        return Err(all_refused(&refusals));
    }
    refusals.iter().for_each(|(_, error)| app.metrics.refused(error.name()));
    let errors = refusals.iter().map(|(index, error)| BatchFault {
        index: *index,
        message: error.message().to_owned(),
        faults: error.faults().to_vec(),
        id: error.id(),
    });
    let handed_over = HandedOver { mails: data.len(), id: None };
    let errors = (!is_strict).then(|| errors.collect());
    Ok((Extension(handed_over), Json(BatchBody { data, errors })))
}

fn is_strict(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get("x-batch-validation").map(|value| value.as_bytes()) {
        None | Some(b"strict") => Ok(true),
        Some(b"permissive") => Ok(false),
        Some(_) => Err(ApiError::invalid("x-batch-validation: write strict or permissive")),
    }
}

fn mails(document: Value) -> Result<Vec<Value>, ApiError> {
    let Value::Array(mails) = document else {
        return Err(ApiError::invalid("not an array: a batch is a JSON array of mails; a single mail goes to /emails"));
    };
    match mails.len() {
        0 => Err(ApiError::invalid("an empty batch: give at least one mail")),
        1..=MOST => Ok(mails),
        many => Err(ApiError::invalid(format!("{many} mails: a batch has {MOST} at most, give several"))),
    }
}

/// One error for all that is wrong in a batch.
fn all_refused(refusals: &[(usize, ApiError)]) -> ApiError {
    let faults = refusals.iter().flat_map(|(place, error)| {
        error.faults().iter().map(move |fault| {
            let dot = if fault.field.is_empty() { "" } else { "." };
            Fault { field: format!("[{place}]{dot}{}", fault.field), message: fault.message.clone() }
        })
    });
    match Refusal::unless_empty(faults.collect()) {
        Some(refusal) => ApiError::of_mail(&refusal),
        None => refusals.first().map_or_else(|| ApiError::invalid("not a batch"), |(_, error)| error.clone()),
    }
}
