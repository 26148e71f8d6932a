//! A look at the token endpoint that asks for no token: whether it answers, and what time it says it is.

use crate::clock::Millis;
use crate::http::chain;
use crate::settings::{TlsSettings, TokenSettings};

use super::endpoint::Endpoint;

/// What the token endpoint answered to a request without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The HTTP status: any answer will do.
    pub status: u16,
    /// Its `Date` header.
    pub date: Option<Millis>,
    /// This machine's clock at the same time.
    pub own: Millis,
}

/// Asks the token endpoint with `GET`, which gives no token and needs no secret.
///
/// # Errors
/// If it does not answer; the text says why.
pub async fn probe(settings: &TokenSettings, tls: &TlsSettings) -> Result<Probed, String> {
    let endpoint = Endpoint::new(settings, tls)?;
    let before = Millis::of_machine();
    let asked = endpoint.http.get(settings.token_url.clone()).send().await;
    let answer = asked.map_err(|error| chain(&error.without_url()))?;
    let own = before.after(Millis::of_machine().since(before) / 2);
    let date = answer.headers().get("date").and_then(|value| http_date(value.to_str().ok()?));
    Ok(Probed { status: answer.status().as_u16(), date, own })
}

/// `Mon, 23 Nov 2026 02:45:27 GMT`
fn http_date(text: &str) -> Option<Millis> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    u64::try_from(at).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Mon, 23 Nov 2026 02:45:27 GMT").unwrap().to_string(), "2026-11-23T02:45:27.000Z");
        assert_eq!(http_date("yesterday"), None);
    }
}
