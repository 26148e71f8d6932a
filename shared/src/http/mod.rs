//! HTTP as a client: how connections are made, and what is read from answers. Knows no address and no secret.

mod retry_after;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::crypto::ring::default_provider;

pub use self::retry_after::parse_retry_after;
use crate::dial::tls_config;
use crate::settings::TlsSettings;

/// A client with our TLS, which follows no redirect and asks no proxy, to be given its limits.
///
/// # Errors
/// If TLS cannot be set up; the text says why.
pub fn client(tls: &TlsSettings) -> Result<ClientBuilder, String> {
    let tls = tls_config(default_provider(), &tls.extra_roots)?;
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    Ok(builder.redirect(Policy::none()).no_proxy().user_agent("postroom"))
}

/// An error with its causes: reqwest's own text names none.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
