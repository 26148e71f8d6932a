//! The OpenAPI document, made from the handlers, and the page to read and try it.
//!
//! Both need a key, as all but health does. A browser is asked for a name and a password: any name, and the key.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::Config;

use super::app::App;
use super::error::{ApiError, ErrorBody};

const ABOUT: &str = "Hand mail to Postroom, which sends it through Gmail, and see where it is.\n\n\
    The dialect is that of Resend's API, so its official clients work with this address and a key of `postroom key create`. \
    What Postroom has besides says so.\n\n\
    The document describes the fields as the docs name them; what older clients send besides is understood, too (docs/clients.md).";

#[derive(utoipa::OpenApi)]
#[openapi(modifiers(&Key), components(schemas(ErrorBody)), security(("key" = [])))]
struct Document;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("pr_live_… or pr_test_…").build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// The document without its paths.
pub(super) fn document() -> OpenApi {
    let mut document = Document::openapi();
    document.info =
        InfoBuilder::new().title("Postroom").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).build();
    document
}

/// The document at `/openapi.json` and the page at `/docs`.
pub(super) fn routes(document: OpenApi) -> Router<Arc<App>> {
    // Written once: whoever asks for it again and again costs nothing.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let config = Arc::new(Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true));
    let page = move |Path(path): Path<String>| {
        let config = Arc::clone(&config);
        async move { file(&path, config) }
    };
    Router::new()
        .route("/openapi.json", get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) }))
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route(
            "/docs/",
            get({
                let page = page.clone();
                move || page(Path(String::new()))
            }),
        )
        .route("/docs/{*path}", get(page))
}

fn file(path: &str, config: Arc<Config<'_>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => {
            let policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'";
            let headers = [
                (header::CONTENT_TYPE, file.content_type),
                (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ];
            (StatusCode::OK, headers, file.bytes.into_owned()).into_response()
        }
        Ok(None) => ApiError::not_found("The page").into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

/// Lets a browser in that gives the key as a password, and asks one for it that gives none: for the page and the document.
pub(super) async fn ask_browser(mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/openapi.json" && path != "/docs" && !path.starts_with("/docs/") {
        return next.run(request).await;
    }
    if let Some(bearer) = bearer_of(request.headers()) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let mut response = next.run(request).await;
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&response.status()) {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let ask =
            HeaderValue::from_static("Basic realm=\"Postroom: any name, an API key as password\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    }
    response
}

/// `Basic` credentials as the `Bearer` that they stand for.
fn bearer_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let basic = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(basic).ok()?).ok()?;
    let (_, key) = pair.split_once(':')?;
    let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}
