//! The HTTP side: simulated consent page and token endpoint, JSON API, and the page with the caught mails.
//! Plain HTTP, meant for the loopback interface only.

mod api;
mod consent;
mod grants;
mod html;
mod mail_page;
mod pages;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::HeaderValue;
use axum::http::header::DATE;
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;

use crate::state::State;

/// Where the simulated consent page is: as at Google.
pub(crate) const AUTH_PATH: &str = "/o/oauth2/v2/auth";

/// Serves until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    // Ends only with an error of the listener; the tests see a refused connection then.
    let _ = axum::serve(listener, router(state)).await;
}

fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(pages::list))
        .route("/mails/{n}", get(pages::show))
        .route("/mails/{n}/attachments/{index}", get(pages::attachment))
        .route(AUTH_PATH, get(consent::ask).post(consent::decide))
        .route("/token", post(token::token))
        .route("/tokeninfo", get(token::info))
        .route("/api/stats", get(api::stats))
        .route("/api/doubled", get(api::doubled))
        .route("/api/mails", get(api::mails))
        .route("/api/mails/{n}", get(api::mail))
        .route("/api/mails/{n}/raw", get(api::raw))
        .route("/api/faults", get(api::faults).post(api::add_fault).delete(api::clear_faults))
        .route("/api/faults/{id}", delete(api::remove_fault))
        .route("/api/accounts/{address}/revoke", post(api::revoke))
        .route("/api/accounts/{address}/restore", post(api::restore))
        .route("/api/accounts/{address}/expire-tokens", post(api::expire_tokens))
        .route("/api/tokens", get(api::issued_tokens))
        .route("/api/expire-tokens", post(api::expire_all_tokens))
        .route("/api/service-accounts", get(api::service_accounts).post(api::put_service_account))
        .route("/api/service-accounts/{email}", delete(api::remove_service_account))
        .route("/api/config", get(api::config).post(api::set_config))
        .route("/api/reset", post(api::reset))
        .layer(map_response_with_state(Arc::clone(&state), shift_date))
        .with_state(state)
}

/// Tells another time than the clock's, if that is asked for.
async fn shift_date(Shared(state): Shared<Arc<State>>, mut response: Response) -> Response {
    let ahead = state.settings.date_ahead_ms();
    if ahead != 0 {
        let time = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_millis(ahead));
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let text = time.and_then(|time| printer.timestamp_to_rfc9110_string(&time));
        if let Some(date) = text.ok().and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(DATE, date);
        }
    }
    response
}
