//! Paths whose escapes are no text: nothing is there, said in the API's own shape before a handler looks.

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};

use super::error::ApiError;

/// Lets nothing through that no handler could read.
pub(super) async fn demand_text<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    if is_text(request.uri().path()) {
        next(request).await
    } else {
        ApiError::not_found("The requested endpoint").into_response()
    }
}

/// Whether the bytes that `%…` stands for are UTF-8. A `%` that no two digits follow stands for itself.
fn is_text(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| after.get(..2).and_then(byte_of)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(digits).ok().filter(|_| is_hex).and_then(|digits| u8::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_let_through() {
        for (path, expected) in [
            ("/emails/a%20b", true),
            ("/emails/%C3%A4", true),
            ("/emails/100%", true),
            ("/emails/%zz%+1%4", true),
            ("/emails/%FF", false),
            ("/emails/%C3", false),
            ("/emails/%c3%28", false),
        ] {
            assert_eq!(is_text(path), expected, "{path}");
        }
    }
}
