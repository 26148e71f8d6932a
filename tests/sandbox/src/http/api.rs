//! The JSON API: the methods of the library's handle over HTTP, one function each.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::config::ConfigChange;
use crate::faults::{Fault, FaultView};
use crate::service_accounts::ServiceAccount;
use crate::state::State;
use crate::stats::Stats;
use crate::store::{Doubled, MailFilter};
use crate::tokens::{IssuedToken, fold};

/// Mails in one answer if the client does not say.
const DEFAULT_LIMIT: usize = 100;

type App = Shared<Arc<State>>;

pub(super) async fn stats(Shared(state): App) -> Json<Stats> {
    Json(state.stats())
}

pub(super) async fn doubled(Shared(state): App) -> Json<Vec<Doubled>> {
    Json(state.store.doubled())
}

pub(super) async fn mails(Shared(state): App, Query(mut filter): Query<MailFilter>) -> Json<Value> {
    filter.limit.get_or_insert(DEFAULT_LIMIT);
    let (mails, total) = state.store.list(&filter);
    Json(json!({ "total": total, "offset": filter.offset.unwrap_or(0), "mails": mails }))
}

pub(super) async fn mail(Shared(state): App, Path(n): Path<u64>) -> Response {
    match state.store.get(n) {
        Some((mail, _)) => Json(mail).into_response(),
        None => not_found("no mail of this number"),
    }
}

pub(super) async fn raw(Shared(state): App, Path(n): Path<u64>) -> Response {
    match state.store.get(n) {
        Some((_, Some(bytes))) => ([(CONTENT_TYPE, "message/rfc822")], bytes.to_vec()).into_response(),
        Some((_, None)) => not_found("bytes are not kept (--keep none)"),
        None => not_found("no mail of this number"),
    }
}

pub(super) async fn faults(Shared(state): App) -> Json<Vec<FaultView>> {
    Json(state.faults.list())
}

pub(super) async fn add_fault(Shared(state): App, Json(fault): Json<Fault>) -> Response {
    match state.faults.add(fault) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error }))).into_response(),
    }
}

pub(super) async fn clear_faults(Shared(state): App) -> StatusCode {
    state.faults.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn remove_fault(Shared(state): App, Path(id): Path<u64>) -> Response {
    if state.faults.remove(id) { StatusCode::NO_CONTENT.into_response() } else { not_found("no fault of this number") }
}

pub(super) async fn revoke(Shared(state): App, Path(address): Path<String>) -> StatusCode {
    state.tokens.revoke(&fold(&address));
    StatusCode::NO_CONTENT
}

pub(super) async fn restore(Shared(state): App, Path(address): Path<String>) -> StatusCode {
    state.tokens.restore(&fold(&address));
    StatusCode::NO_CONTENT
}

pub(super) async fn issued_tokens(Shared(state): App) -> Json<Vec<IssuedToken>> {
    Json(state.tokens.issued())
}

pub(super) async fn expire_tokens(Shared(state): App, Path(address): Path<String>) -> StatusCode {
    state.tokens.expire(Some(&fold(&address)));
    StatusCode::NO_CONTENT
}

pub(super) async fn expire_all_tokens(Shared(state): App) -> StatusCode {
    state.tokens.expire(None);
    StatusCode::NO_CONTENT
}

pub(super) async fn service_accounts(Shared(state): App) -> Json<Vec<ServiceAccount>> {
    Json(state.services.list())
}

pub(super) async fn put_service_account(Shared(state): App, Json(account): Json<ServiceAccount>) -> Response {
    match state.services.put(account) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error }))).into_response(),
    }
}

pub(super) async fn remove_service_account(Shared(state): App, Path(email): Path<String>) -> Response {
    let removed = state.services.remove(&email);
    if removed { StatusCode::NO_CONTENT.into_response() } else { not_found("no service account of this address") }
}

pub(super) async fn config(Shared(state): App) -> Json<ConfigChange> {
    Json(state.settings.in_force())
}

pub(super) async fn set_config(Shared(state): App, Json(change): Json<ConfigChange>) -> Json<ConfigChange> {
    state.settings.change(&change);
    Json(state.settings.in_force())
}

pub(super) async fn reset(Shared(state): App) -> StatusCode {
    state.reset();
    StatusCode::NO_CONTENT
}

fn not_found(error: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}
