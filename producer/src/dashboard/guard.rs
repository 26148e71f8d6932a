//! Who gets to a page at all: the login behind every page, where a change may come from, and what every answer's headers say.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::html;
use postroom_shared::clock::Millis;

use super::settings::Access;
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::{Dashboard, layout, session};
use crate::serve::Denied;

/// Nothing but our own files, and no script or style in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The middleware around everything: headers that no page goes without.
pub(super) async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
        (HeaderName::from_static("x-dns-prefetch-control"), "off"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The middleware: a change comes from our own pages only.
pub(super) async fn from_here(request: Request, next: Next) -> Response {
    let looks = *request.method() == Method::GET || *request.method() == Method::HEAD;
    if looks || is_from_here(request.headers()) {
        return next.run(request).await;
    }
    let advice =
        "Open the dashboard yourself and do it there. Behind a proxy: it must hand on the header Host as it came.";
    Trouble::forbidden("This change was asked for by another site's page.", advice).into_response()
}

/// Browsers say where a request comes from, and no page can make them say anything else.
fn is_from_here(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SITE) {
        return site == "same-origin";
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

/// The middleware: lets in who is logged in, and puts the [`Visitor`] into the request.
pub(super) async fn demand_session(
    State(dashboard): State<Arc<Dashboard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let looks = *request.method() == Method::GET || *request.method() == Method::HEAD;
    match visitor(&dashboard, request.headers()).await {
        Ok(Some(visitor)) => {
            if visitor.read_only && !looks {
                let what = "This dashboard shows and changes nothing (POSTROOM_DASHBOARD is read-only).";
                return Trouble::forbidden(what, "Use the API, or a dashboard that is not read-only.").into_response();
            }
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Ok(None) if looks && request.headers().get(SITE).is_some_and(|site| site == "cross-site") => again(),
        Ok(None) if looks => {
            let path = request.uri().path_and_query().map_or("/dashboard", |path| path.as_str());
            Redirect::to(&format!("/dashboard/login?{}", super::form::query(&[("to", path)]))).into_response()
        }
        Ok(None) => {
            let what = "You are not logged in any more: the login ended, or its key was revoked.";
            Trouble::new(StatusCode::UNAUTHORIZED, what, "Log in again, then repeat what you did.").into_response()
        }
        Err(trouble) => trouble.into_response(),
    }
}

/// Whoever is logged in.
pub(super) async fn visitor(dashboard: &Dashboard, headers: &HeaderMap) -> Result<Option<Visitor>, Trouble> {
    let Some(key) = session::key_of(&dashboard.sealer, headers, Millis::now()) else { return Ok(None) };
    match dashboard.app.keys.admit_again(&key).await {
        Ok(caller) => Ok(Visitor::new(caller, dashboard.access == Access::ReadOnly)),
        Err(Denied::Missing | Denied::Invalid) => Ok(None),
        Err(Denied::TooFast(_)) => {
            let what = "Your key asks too often.";
            Err(Trouble::new(StatusCode::TOO_MANY_REQUESTS, what, "Wait a second, then load the page again."))
        }
        Err(Denied::Away(error)) => Err(error.into()),
    }
}

/// The cookie does not come along with a link from another site, such as one in an alert. Loaded once more by itself, the page
/// is asked for by our own.
fn again() -> Response {
    let body = html! { main.alone #main { p { "One moment…" } p { a href="" { "Go on" } } } };
    let mut response = Html(layout::bare("One moment", &body).into_string()).into_response();
    response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("0"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_comes_from_our_own_pages_only() {
        for (site, origin, host, expected) in [
            ("same-origin", "", "", true),
            ("same-site", "", "", false),
            ("cross-site", "http://a.example", "a.example", false),
            ("none", "", "", false),
            ("", "http://a.example:8025", "a.example:8025", true),
            ("", "https://A.example", "a.example", true),
            ("", "http://a.example", "a.example:8025", false),
            ("", "http://b.example", "a.example", false),
            ("", "null", "a.example", false),
            ("", "", "a.example", false),
            ("", "", "", false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(SITE, site), (header::ORIGIN, origin), (header::HOST, host)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_from_here(&headers), expected, "{site} {origin} {host}");
        }
    }
}
