//! The simulated token endpoint: codes, refresh tokens or JWTs of service accounts in, access tokens out, errors in Google's shape.
//! Knows one client; nothing it issues is worth anything elsewhere.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Json, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::faults::{Action, HttpAnswer, Scene, Stage};
use crate::service_accounts::{Refusal, claimed_user};
use crate::state::State;
use crate::tokens::{CLIENT_ID, CLIENT_SECRET, Grant};

use super::grants;

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) type Fields = HashMap<String, String>;

pub(super) async fn token(Shared(state): Shared<Arc<State>>, headers: HeaderMap, Form(form): Form<Fields>) -> Response {
    state.counters.token_requests.fetch_add(1, Relaxed);
    let account = match form.get("assertion") {
        Some(jwt) => claimed_user(jwt),
        None => grants::account(&state, &form),
    };
    if let Some(account) = &account {
        state.counters.account(account).token_requests.fetch_add(1, Relaxed);
    }
    let scene = Scene { account: account.as_deref(), ..Scene::default() };
    if let Some(action) = state.faults.meet(Stage::Token, &scene)
        && let Some(answer) = undergo(action).await
    {
        return answer;
    }
    answer(&state, &headers, &form)
}

/// What a server that is shown an access token may ask: whose it is, and for how long.
pub(super) async fn info(Shared(state): Shared<Arc<State>>, Query(query): Query<Fields>) -> Response {
    let token = query.get("access_token").map(String::as_str).unwrap_or_default();
    let Some((grant, left)) = state.tokens.owner(token) else {
        return refuse(StatusCode::BAD_REQUEST, "invalid_token", "Invalid Value");
    };
    let body = json!({
        "email": grant.account, "scope": grant.scope(), "expires_in": left.as_secs(), "aud": CLIENT_ID
    });
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Carries a fault out; `None` if the request goes on after it.
async fn undergo(action: Action) -> Option<Response> {
    match action {
        Action::DelayMs(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            None
        }
        Action::Silence => std::future::pending().await,
        Action::Http(answer) => {
            tokio::time::sleep(Duration::from_millis(answer.delay_ms)).await;
            Some(scripted(answer))
        }
        // Refused when the rule was made: these belong to the other sides.
        Action::Reply(_)
        | Action::Cut
        | Action::AcceptThenCut
        | Action::StoreAndDelayMs(_)
        | Action::No(_)
        | Action::Garbage(_) => None,
    }
}

fn scripted(answer: HttpAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = answer.body.starts_with('{');
    let kind = if json { "application/json; charset=utf-8" } else { "text/html; charset=utf-8" };
    (status, [(CONTENT_TYPE, kind)], answer.body).into_response()
}

fn answer(state: &State, headers: &HeaderMap, form: &Fields) -> Response {
    let grant = form.get("grant_type").map(String::as_str).unwrap_or_default();
    if grant == JWT_GRANT {
        return match by_jwt(state, headers, form) {
            Ok(user) => give(state, &Grant { account: user, mail: true }, None),
            Err(Refusal { status, error, description }) => {
                refuse(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), error, description)
            }
        };
    }
    if !is_our_client(headers, form) {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "The provided client secret is invalid.");
    }
    let granted = match grant {
        "refresh_token" => grants::by_refresh_token(state, form),
        "authorization_code" => grants::by_code(state, form),
        other => {
            let what = format!("Invalid grant_type: {other}");
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", &what);
        }
    };
    let (grant, refresh_token) = match granted {
        Ok(granted) => granted,
        Err((error, description)) => return refuse(StatusCode::BAD_REQUEST, error, description),
    };
    give(state, &grant, refresh_token)
}

/// The user for whom a service account may have a token.
fn by_jwt(state: &State, headers: &HeaderMap, form: &Fields) -> Result<String, Refusal> {
    let jwt = form.get("assertion").map(String::as_str).unwrap_or_default();
    // The address that the client asked, which is the audience it has to name.
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    state.services.check(jwt, &format!("http://{host}/token"), now(), &state.tokens)
}

#[expect(clippy::disallowed_methods, reason = "the stand-in has a clock of its own to hold against the JWT's times")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn give(state: &State, grant: &Grant, refresh_token: Option<String>) -> Response {
    let life = state.settings.token_life();
    let Ok(access_token) = state.tokens.issue(grant, life) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal_failure", "No random bytes.");
    };
    state.counters.tokens_issued.fetch_add(1, Relaxed);
    state.counters.account(&grant.account).tokens_issued.fetch_add(1, Relaxed);
    let mut body = json!({
        "access_token": access_token,
        // Whole seconds as at Google, rounded up: 0 would say that it never was valid.
        "expires_in": life.as_millis().div_ceil(1000),
        "scope": grant.scope(),
        "token_type": "Bearer",
    });
    if let (Some(token), Some(fields)) = (refresh_token, body.as_object_mut()) {
        fields.insert("refresh_token".to_owned(), token.into());
    }
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

/// Id and secret may stand in the form or in Basic authentication.
fn is_our_client(headers: &HeaderMap, form: &Fields) -> bool {
    let in_form = (form.get("client_id"), form.get("client_secret"));
    if let (Some(id), Some(secret)) = in_form {
        return id == CLIENT_ID && secret == CLIENT_SECRET;
    }
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    basic
        .and_then(|given| STANDARD.decode(given).ok())
        .is_some_and(|given| given == format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes())
}
