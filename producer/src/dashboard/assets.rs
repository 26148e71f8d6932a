//! The files beside the pages: one style sheet, one script of our own, htmx, and an icon. They are part of the program.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::trouble::Trouble;

/// Part of each address, so that a browser that keeps them never mixes versions.
macro_rules! version {
    () => {
        env!("CARGO_PKG_VERSION")
    };
}

/// The style sheet.
pub(super) const STYLE: &str = concat!("/dashboard/assets/", version!(), "/style.css");
/// Our own script.
pub(super) const LIVE: &str = concat!("/dashboard/assets/", version!(), "/live.js");
/// htmx 2.0.8, as it was published; its licence (0BSD) lies beside it.
pub(super) const HTMX: &str = concat!("/dashboard/assets/", version!(), "/htmx-2.0.8.min.js");
/// The icon.
pub(super) const ICON: &str = concat!("/dashboard/assets/", version!(), "/icon.svg");

fn file(name: &str) -> Option<(&'static str, &'static [u8])> {
    Some(match name {
        "style.css" => ("text/css; charset=utf-8", include_bytes!("assets/style.css")),
        "live.js" => ("text/javascript; charset=utf-8", include_bytes!("assets/live.js")),
        "htmx-2.0.8.min.js" => ("text/javascript; charset=utf-8", include_bytes!("assets/htmx-2.0.8.min.js")),
        "icon.svg" => ("image/svg+xml", include_bytes!("assets/icon.svg")),
        _ => return None,
    })
}

/// One of them. A browser that has it asks whether it is still the same.
pub(super) async fn show(Path((_, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some((kind, bytes)) = file(&name) else { return Trouble::missing("file").into_response() };
    let tag = tag(bytes);
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == tag);
    let kept = HeaderValue::from_static("private, no-cache");
    if known {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, kept)]).into_response();
    }
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind), (header::ETAG, tag), (header::CACHE_CONTROL, kept)], bytes).into_response()
}

/// Tells one content of a file from another.
fn tag(bytes: &[u8]) -> HeaderValue {
    use sha2::{Digest as _, Sha256};
    let digest: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
