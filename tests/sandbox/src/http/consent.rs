//! The simulated consent page: who are you, and may the app use your mail? Its answer goes back with the browser.
//! Asks for no password, for nothing here is anybody's; refuses on a page of its own what Google refuses so.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use url::Url;

use super::AUTH_PATH;
use super::html::{escape, page};
use crate::consent::{Refusal, Request};
use crate::state::State;
use crate::tokens::{Grant, mailbox};

type App = Shared<Arc<State>>;

/// Accounts that the page offers; any other can be typed.
const OFFERED: usize = 8;

/// What the person chose.
#[derive(Deserialize)]
pub(super) struct Decision {
    #[serde(flatten)]
    request: Request,
    #[serde(default)]
    account: String,
    #[serde(default)]
    other: String,
    #[serde(default)]
    mail: Option<String>,
    #[serde(default)]
    decision: String,
}

pub(super) async fn ask(Shared(state): App, Query(request): Query<Request>) -> Response {
    match request.check() {
        Ok(redirect) => form(&state, &request, &redirect, ""),
        Err(refusal) => refused(refusal),
    }
}

pub(super) async fn decide(Shared(state): App, Form(decision): Form<Decision>) -> Response {
    let request = &decision.request;
    let mut redirect = match request.check() {
        Ok(redirect) => redirect,
        Err(refusal) => return refused(refusal),
    };
    if decision.decision != "allow" {
        let asked = redirect.clone();
        redirect.query_pairs_mut().append_pair("error", "access_denied").append_pair("state", &request.state);
        return back(&redirect, &asked);
    }
    // Who types an address means it, whether or not its circle was chosen as well.
    let chosen = if decision.other.trim().is_empty() { &decision.account } else { &decision.other };
    let Some(account) = mailbox(chosen.trim()) else {
        return form(&state, request, &redirect, "Choose an account, or type its address.");
    };
    let grant = Grant { account, mail: decision.mail.is_some() };
    let scope = grant.scope();
    let Ok(code) = state.codes.give(request, grant) else {
        return refused((500, "internal_failure", "No random bytes."));
    };
    let asked = redirect.clone();
    let mut query = redirect.query_pairs_mut();
    query.append_pair("state", &request.state).append_pair("code", &code).append_pair("scope", scope);
    drop(query);
    back(&redirect, &asked)
}

fn form(state: &State, request: &Request, redirect: &Url, complaint: &str) -> Response {
    let hidden: String = [
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("response_type", &request.response_type),
        ("scope", &request.scope),
        ("state", &request.state),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
        ("access_type", &request.access_type),
        ("prompt", &request.prompt),
        ("login_hint", &request.login_hint),
    ]
    .iter()
    .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)))
    .collect();
    let hint = mailbox(&request.login_hint);
    let known = state.stats().accounts.into_keys().filter(|known| Some(known) != hint.as_ref());
    let offered: Vec<String> = hint.clone().into_iter().chain(known).take(OFFERED).collect();
    let choices: String = offered.iter().map(|address| choice(address, hint.as_deref() == Some(address))).collect();
    let body = format!(
        "<form class=\"consent\" method=\"post\" action=\"{AUTH_PATH}\">{hidden}\
         <h1>An app wants to use a mailbox</h1>\
         <p class=\"soft\">This stands in for Google's consent page. Any address is an account here; nobody is asked for a password.</p>\
         {complaint}\
         <h2>Account</h2><div class=\"card choices\">{choices}\
         <label><input type=\"radio\" name=\"account\" value=\"\"{other}><span>Another</span>\
         <input type=\"email\" name=\"other\" placeholder=\"you@example.com\" aria-label=\"Another account's address\" autocomplete=\"off\"></label></div>\
         <h2>The app asks for</h2><div class=\"card choices\">\
         <label><input type=\"checkbox\" name=\"mail\" value=\"1\" checked><span>Read, compose, send and permanently delete all your \
         email<br><span class=\"soft\">{scope}</span></span></label></div>\
         <p class=\"soft\">Then the browser goes to {redirect}</p>\
         <nav><button name=\"decision\" value=\"allow\" class=\"main\">Allow</button>\
         <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button></nav></form>",
        complaint = if complaint.is_empty() {
            String::new()
        } else {
            format!("<p role=\"alert\"><strong>{complaint}</strong></p>")
        },
        other = if offered.is_empty() { " checked" } else { "" },
        scope = escape(&request.scope),
        redirect = escape(&redirect.origin().ascii_serialization()),
    );
    answer(StatusCode::OK, Some(redirect), &page("Consent", &body))
}

fn choice(address: &str, checked: bool) -> String {
    let (address, checked) = (escape(address), if checked { " checked" } else { "" });
    format!("<label><input type=\"radio\" name=\"account\" value=\"{address}\"{checked}><span>{address}</span></label>")
}

/// Google refuses on its own page, and the app hears nothing.
fn refused((status, word, what): Refusal) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = format!(
        "<h1>Access blocked</h1><p>{}</p><p class=\"soft\">Error {}: {}</p>",
        escape(what),
        status.as_u16(),
        escape(word)
    );
    answer(status, None, &page("Error", &body))
}

/// Sends the browser back to the app.
fn back(to: &Url, asked: &Url) -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, policy(Some(asked))), (CACHE_CONTROL, "no-store".to_owned())];
    (headers, Redirect::to(to.as_str())).into_response()
}

fn answer(status: StatusCode, redirect: Option<&Url>, html: &str) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, policy(redirect)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (status, headers, Html(html.to_owned())).into_response()
}

/// A form may go to us, and from there to the app: browsers hold redirects to this, too.
fn policy(redirect: Option<&Url>) -> String {
    let to = redirect.map_or_else(String::new, |url| format!(" {}", url.origin().ascii_serialization()));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'{to}; frame-ancestors 'none'"
    )
}
