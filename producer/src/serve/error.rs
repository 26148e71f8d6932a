//! What the API answers when it does not do what was asked: the shape and the names of Resend's errors, with all faults of a
//! mail beside.
//!
//! The message is for whoever wrote the request; it never repeats an address or a content in the clear. Only names that all of
//! Resend's clients take for errors are used: its PHP client takes an answer with any other name for a success.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postroom_shared::id::MailId;
use postroom_shared::mail::Fault;
use postroom_shared::queue::MailState;
use postroom_shared::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::client::SendError;
use crate::door::Refusal;
use crate::http::Stored;

/// After how many seconds it is worth trying again when Redis is away or busy.
const AFTER: u32 = 5;
/// After how many seconds when Redis is full: that takes a person, or the queue to drain.
const AFTER_FULL: u32 = 30;

/// Every name that an error may have: what is counted by name is there from the beginning.
pub(super) const NAMES: [&str; 15] = [
    "application_error",
    "internal_server_error",
    "invalid_api_key",
    "invalid_attachment",
    "invalid_idempotency_key",
    "invalid_idempotent_request",
    "invalid_parameter",
    "method_not_allowed",
    "missing_api_key",
    "missing_required_field",
    "not_found",
    "rate_limit_exceeded",
    "restricted_api_key",
    "validation_error",
    "other",
];

/// Stands in an answer's extensions, for whoever counts errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorName(pub(super) &'static str);

/// An answer that is not the one that was asked for.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    retry_after: Option<u32>,
}

/// An error, in the shape of Resend's.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The HTTP status.
    #[serde(rename = "statusCode")]
    #[schema(example = 422)]
    status_code: u16,
    /// One word of a closed list.
    #[schema(example = "validation_error")]
    name: &'static str,
    /// What is wrong, why, and what to do.
    message: String,
    /// Each thing that is wrong with the mail, with its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FaultBody>,
    /// The mail that it is about: one that came before with the same key, or one that may have been stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    id: Option<MailId>,
    /// The state for which it is too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "sent")]
    state: Option<MailState>,
    /// With 503: whether something was stored all the same: `no`, `full` (no, for Redis has no room) or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    stored: Option<Stored>,
}

/// One thing that is wrong with a mail.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FaultBody {
    /// Where: a path such as `to[2]`; empty: the mail as a whole.
    #[schema(example = "to[0]")]
    pub field: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl From<&Fault> for FaultBody {
    fn from(fault: &Fault) -> Self {
        Self { field: fault.field.clone(), message: fault.message.clone() }
    }
}

impl ApiError {
    /// An error with one of Resend's names.
    #[must_use]
    pub fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        let body = ErrorBody {
            status_code: status.as_u16(),
            name,
            message: message.into(),
            faults: Vec::new(),
            id: None,
            state: None,
            stored: None,
        };
        Self { status, body: Box::new(body), retry_after: None }
    }

    /// Something in the request is not as it must be.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_error", message)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    /// An idempotency key came before with something else.
    fn conflict() -> Self {
        let message = "Same idempotency key used with a different request payload: use a new key for a new request";
        Self::new(StatusCode::CONFLICT, "invalid_idempotent_request", message)
    }

    /// It cannot be done now, and nothing was stored; the caller may try again later.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "application_error", message).after(AFTER).stored(Stored::No)
    }

    /// Redis has no room.
    fn full(message: impl Into<String>) -> Self {
        Self::unavailable(message).after(AFTER_FULL).stored(Stored::Full)
    }

    /// Redis gave no answer in time: what was asked may have been done.
    #[must_use]
    pub fn late() -> Self {
        Self::unavailable("Redis gave no answer in time (POSTROOM_API_TIMEOUT): ask again a little later")
            .stored(Stored::Unknown)
    }

    /// Postroom failed: a bug, or two versions that do not fit together.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", message)
    }

    /// The same error, to be tried again after so many seconds.
    #[must_use]
    pub fn after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same error, about a mail.
    #[must_use]
    pub fn about(mut self, id: MailId) -> Self {
        self.body.id = Some(id);
        self
    }

    /// The same error: too late, for the mail is in this state.
    #[must_use]
    pub fn in_state(mut self, state: MailState) -> Self {
        self.body.state = Some(state);
        self
    }

    /// The same error, with whether something was stored.
    #[must_use]
    pub(crate) fn stored(mut self, stored: Stored) -> Self {
        self.body.stored = Some(stored);
        self
    }

    /// The mail that it is about.
    #[must_use]
    pub fn id(&self) -> Option<MailId> {
        self.body.id
    }

    /// The same error, with another message.
    #[must_use]
    pub fn said(mut self, message: impl Into<String>) -> Self {
        self.body.message = message.into();
        self
    }

    /// The same error, with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.body.status_code = status.as_u16();
        self
    }

    /// What is wrong with a mail, each thing with its field.
    #[must_use]
    pub fn faults(&self) -> &[FaultBody] {
        &self.body.faults
    }

    /// One word of a closed list.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.body.name
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.body.message
    }

    /// All that is wrong with a mail; the name is that of the first fault.
    #[must_use]
    pub fn of_mail(refusal: &Refusal) -> Self {
        let faults: Vec<FaultBody> = refusal.faults().iter().map(FaultBody::from).collect();
        let name = name_of(&faults);
        let mut error = Self::invalid(refusal.to_string());
        error.body.name = name;
        error.body.faults = faults;
        error
    }
}

/// Resend's name for what is wrong with a mail.
fn name_of(faults: &[FaultBody]) -> &'static str {
    let all = |is: fn(&FaultBody) -> bool| !faults.is_empty() && faults.iter().all(is);
    if all(|fault| fault.field.contains("attachments")) {
        "invalid_attachment"
    } else if all(|fault| ["missing", "no recipient", "no body"].iter().any(|start| fault.message.starts_with(start))) {
        "missing_required_field"
    } else {
        "validation_error"
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let text = error.to_string();
        match error {
            SendError::Refused(refusal) => Self::of_mail(&refusal),
            SendError::Conflict(id) => Self::conflict().about(id),
            SendError::KeyUsed => Self::conflict(),
            SendError::OthersRefused => Self::invalid(text),
            SendError::NotStored(_) => Self::unavailable(text),
            SendError::Full(_) => Self::full(text),
            SendError::Unknown { id, .. } => {
                let error = Self::unavailable(text).stored(Stored::Unknown);
                id.into_iter().fold(error, Self::about)
            }
            SendError::Wrong(_) => Self::internal(text),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::NotStored(_) => Self::unavailable(text),
            StoreError::Unknown(_) => Self::unavailable(text).stored(Stored::Unknown),
            StoreError::Full(_) => Self::full(text),
            StoreError::Wrong(_) => Self::internal(text),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let name = ErrorName(self.body.name);
        let mut response = (self.status, Json(self.body)).into_response();
        response.extensions_mut().insert(name);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
