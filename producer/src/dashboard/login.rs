//! Logging in with an API key, and out.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::html;
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;

use super::form::Form;
use super::settings::Access;
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::{Dashboard, guard, layout, session};
use crate::serve::Denied;

/// The page with the form.
pub(super) async fn show(RawQuery(query): RawQuery) -> Response {
    page(&Form::of_query(query), StatusCode::OK, None)
}

fn page(form: &Form, status: StatusCode, refused: Option<&str>) -> Response {
    let to = local(form.get("to"));
    let body = html! {
        main.alone.login #main tabindex="-1" {
            h1 { "Postroom" }
            @if let Some(why) = refused { p.notice.bad role="alert" { (why) } }
            form method="post" action="/dashboard/login" {
                input type="hidden" name="to" value=(to);
                label for="key" { "API key" }
                input #key type="password" name="key" autocomplete="current-password" required autofocus
                    placeholder="pr_live_…" spellcheck="false";
                button.main type="submit" { "Log in" }
            }
            p.soft {
                "The key's scope is your role: " code { "read" } " looks, " code { "operate" } " acts, " code { "admin" }
                " manages keys. Make one with " code { "postroom key create NAME --scope operate" } "."
            }
        }
    };
    (status, Html(layout::bare("Log in", &body).into_string())).into_response()
}

/// Where a login leads: to one of our own pages and nowhere else.
fn local(to: Option<&str>) -> &str {
    let is_ours = |to: &&str| {
        let rest = to.strip_prefix("/dashboard").filter(|_| to.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) && !to.starts_with("/dashboard/log")
    };
    to.filter(is_ours).unwrap_or("/dashboard")
}

/// Begins a session.
pub(super) async fn log_in(State(dashboard): State<Arc<Dashboard>>, request: Request) -> Result<Response, Trouble> {
    let secure = is_secure(request.headers());
    let form = Form::read(request, &dashboard.app).await?;
    let read_only = dashboard.access == Access::ReadOnly;
    let caller = match dashboard.app.keys.admit(form.get("key").unwrap_or_default()).await {
        Ok((caller, _)) => caller,
        Err(Denied::Missing | Denied::Invalid) => {
            let why = "This key is not valid: it is mistyped, expired or revoked. postroom key list shows all keys.";
            return Ok(page(&form, StatusCode::FORBIDDEN, Some(why)));
        }
        Err(Denied::TooFast(_)) => {
            return Ok(page(&form, StatusCode::TOO_MANY_REQUESTS, Some("Too many logins at once: wait a second.")));
        }
        Err(Denied::Away(error)) => return Err(error.into()),
    };
    let Some(visitor) = Visitor::new(Arc::clone(&caller), read_only) else {
        let why = "This key may only hand mail over. Use one with the scope read, operate or admin.";
        return Ok(page(&form, StatusCode::FORBIDDEN, Some(why)));
    };
    let cookie = session::begin(&dashboard.sealer, &caller.key.id, secure, Millis::now())
        .map_err(|error| Trouble::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "Try again."))?;
    dashboard.note(&visitor, Action::SessionLogin, Subject::None).await;
    Ok(moved(local(form.get("to")), cookie))
}

/// Ends the session in this browser. The key stays good.
pub(super) async fn log_out(State(dashboard): State<Arc<Dashboard>>, headers: HeaderMap) -> Response {
    if let Ok(Some(visitor)) = guard::visitor(&dashboard, &headers).await {
        dashboard.note(&visitor, Action::SessionLogout, Subject::None).await;
    }
    moved("/dashboard/login", session::end(is_secure(&headers)))
}

fn moved(to: &str, cookie: HeaderValue) -> Response {
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// Whether the browser speaks TLS, with us or with a proxy in front of us: it says so in the origin of the form.
fn is_secure(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| origin.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_only() {
        for to in ["/dashboard", "/dashboard/mails?q=x%20y", "/dashboard?a=1"] {
            assert_eq!(local(Some(to)), to);
        }
        for to in [
            "//evil.example",
            "https://evil.example/dashboard",
            "/dashboard.evil",
            "/dashboard/login",
            "/dashboard/logout",
            "/emails",
            "/dashboard\r\nX: y",
        ] {
            assert_eq!(local(Some(to)), "/dashboard", "{to}");
        }
        assert_eq!(local(None), "/dashboard");
    }
}
