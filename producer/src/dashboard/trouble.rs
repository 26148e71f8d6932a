//! What a visitor is told when a page cannot be had: what, why, and what to do.

use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use maud::html;
use postroom_shared::queue::AccountError;
use postroom_shared::store::StoreError;

use super::layout;
use crate::serve::ApiError;

/// Why there is no page.
#[derive(Debug)]
pub(super) struct Trouble {
    status: StatusCode,
    what: String,
    advice: String,
}

impl Trouble {
    pub(super) fn new(status: StatusCode, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { status, what: what.into(), advice: advice.into() }
    }

    pub(super) fn missing(what: &str) -> Self {
        let advice = "It may have been removed, be too old to be kept, or not be for your key to see.";
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."), advice)
    }

    pub(super) fn forbidden(what: impl Into<String>, advice: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, what, advice)
    }

    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, what, "Go back, correct it and try again.")
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        let advice = "Try again in a few seconds. If it lasts, look at Redis: postroom doctor tells more.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), advice)
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::new(error.status(), error.message(), "Go back, correct it and try again.")
    }
}

impl From<AccountError> for Trouble {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Unknown => Self::missing("account"),
            AccountError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = html! {
            main.alone #main tabindex="-1" {
                p.big { (self.status.as_u16()) }
                h1 { (self.what) }
                p { (self.advice) }
                p { a.button href="/dashboard" { "To the overview" } }
            }
        };
        let title = self.status.canonical_reason().unwrap_or("Trouble");
        (self.status, Html(layout::bare(title, &body).into_string())).into_response()
    }
}

/// What is told where nothing is.
pub(super) async fn nowhere(_: Uri) -> Trouble {
    Trouble::missing("page")
}
