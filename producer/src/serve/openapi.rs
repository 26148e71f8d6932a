//! The OpenAPI document, made from the handlers, and the page to read and try it.
//!
//! Both need a key, as all but health does. A browser is asked for a name and a password: any name, and the key.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, Schema};
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

/// What every request that needs a key may be answered with, and what every request with a body: each with its status, its name
/// among the document's responses and what it means.
const TO_ALL: [(&str, &str, &str); 5] = [
    ("401", "KeyMissing", "There is no key (`missing_api_key`), or it may not do this (`restricted_api_key`)."),
    ("403", "KeyInvalid", "The key is wrong, expired or revoked (`invalid_api_key`)."),
    ("429", "TooFast", "The key asked too often (`rate_limit_exceeded`); `retry-after` tells when to come again."),
    ("500", "Bug", "A bug, or two versions that do not fit together (`internal_server_error`)."),
    (
        "503",
        "Unavailable",
        "Redis is away, slow or full, or too much is under way (`application_error`); `retry-after` tells when \
        to come again. Nothing was stored, or the message says so.",
    ),
];
const TO_BODIES: [(&str, &str, &str); 4] = [
    (
        "400",
        "Unreadable",
        "The body is not JSON or broke off, or the idempotency key cannot be read (`invalid_idempotency_key`).",
    ),
    ("408", "TooSlow", "The body came too slowly."),
    ("413", "TooLarge", "The body is larger than the server takes."),
    ("422", "Invalid", "It cannot be done as it was asked."),
];

/// Adds what any request may be answered with to each that does not tell it in words of its own.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Default::default);
    for (_, name, meaning) in TO_ALL.into_iter().chain(TO_BODIES) {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response = ResponseBuilder::new().description(meaning).content("application/json", body).build();
        components.responses.insert(name.to_owned(), response.into());
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        // Health is for everybody.
        let is_open =
            operation.security.as_ref().is_some_and(|needed| needed.iter().any(|one| *one == Default::default()));
        let to_all = TO_ALL.iter().filter(|_| !is_open);
        for (status, name, _) in to_all.chain(TO_BODIES.iter().filter(|_| operation.request_body.is_some())) {
            let response = RefOr::Ref(Ref::from_response_name(*name));
            operation.responses.responses.entry((*status).to_owned()).or_insert(response);
        }
        let parameters = operation.parameters.iter_mut().flatten();
        for parameter in parameters {
            if let RefOr::T(Parameter { schema: Some(schema), .. }) = parameter {
                without_null(schema);
            }
        }
    }
}

/// A parameter that is not given is left out: there is no null in a query or a header.
fn without_null(schema: &mut RefOr<Schema>) {
    let is_null = |one: &RefOr<Schema>| matches!(one, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
        }
        RefOr::T(Schema::OneOf(one)) => {
            one.items.retain(|item| !is_null(item));
            if one.items.len() == 1
                && let Some(only) = one.items.pop()
            {
                *schema = only;
            }
        }
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// The document at `/openapi.json` and the page at `/docs`.
pub(super) fn routes(document: OpenApi) -> Router<Arc<App>> {
    // Written once: whoever asks for it again and again costs nothing.
    let document = Bytes::from(document.to_json().unwrap_or_default());
    let config = page_config();
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

fn page_config() -> Arc<Config<'static>> {
    Arc::new(Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true))
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
            let mut response = (StatusCode::OK, headers, file.bytes.into_owned()).into_response();
            // They lie in the program compressed: 1 MB instead of 4. Every browser takes them so.
            if file.gzpipped {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        }
        Ok(None) => ApiError::not_found("The page").into_response(),
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

/// Lets a browser in that gives the key as a password, and asks one for it that gives none: for the page and the document.
pub(super) async fn ask_browser<F>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let path = request.uri().path();
    if path != "/openapi.json" && path != "/docs" && !path.starts_with("/docs/") {
        return next(request).await;
    }
    if let Some(bearer) = bearer_of(request.headers()) {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let mut response = next(request).await;
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

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn got(path: &str) -> (HeaderMap, Bytes) {
        let (head, body) = file(path, page_config()).into_parts();
        assert_eq!(head.status, StatusCode::OK, "{path}");
        (head.headers, to_bytes(body, usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn each_file_of_the_page_says_that_it_is_compressed() {
        for (path, kind, least) in [
            ("", "text/html", 400),
            ("index.css", "text/css", 100),
            ("swagger-ui.css", "text/css", 100_000),
            ("swagger-ui-bundle.js", "text/javascript", 1_000_000),
            ("swagger-ui-standalone-preset.js", "text/javascript", 100_000),
        ] {
            let (headers, bytes) = got(path).await;
            assert_eq!(headers[header::CONTENT_TYPE], kind, "{path}");
            assert_eq!(headers[header::CONTENT_ENCODING], "gzip", "{path}");
            // The form of gzip: how it begins, and the true length at its end.
            let (rest, length) = bytes.split_last_chunk::<4>().unwrap();
            assert_eq!(rest[..3], [0x1f, 0x8b, 8], "{path}");
            assert!(u32::from_le_bytes(*length) >= least, "{path}: {length:?}");
        }
    }

    #[tokio::test]
    async fn the_page_reads_our_document() {
        let (headers, bytes) = got("swagger-initializer.js").await;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!headers.contains_key(header::CONTENT_ENCODING));
        assert!(text.contains("\"/openapi.json\"") && !text.contains("petstore"), "{text}");
    }
}
