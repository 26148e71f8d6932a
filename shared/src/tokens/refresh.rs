//! The refresh grant at the token endpoint, through the `oauth2` crate over our own HTTP client.
//!
//! Status and body are judged inside the HTTP client, because `oauth2` drops the one and keeps the other in its errors:
//! neither those errors nor a body may ever leave this file.

use std::sync::Arc;
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken, RequestTokenError, TokenResponse,
    TokenUrl,
};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::answer::{RefreshError, refusal};
use super::credentials::Credentials;
use crate::settings::{TlsSettings, TokenSettings};

/// The time limit of one request: shorter than the life of the fleet's lock.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 64 * 1024;
/// What a token is taken to live if the endpoint does not say.
const UNTOLD_LIFETIME: Duration = Duration::from_secs(300);

/// What the token endpoint gave.
pub struct Grant {
    /// The access token.
    pub access: SecretString,
    /// How long it lives.
    pub lifetime: Duration,
    /// A new refresh token, if the endpoint sent one: the old one may be dead.
    pub refresh: Option<SecretString>,
}

/// Asks the token endpoint.
pub struct Refresher {
    http: reqwest::Client,
    url: TokenUrl,
}

impl Refresher {
    /// A client for the token endpoint of the settings.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(settings: &TokenSettings, tls: &TlsSettings) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(tls)?)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIME_LIMIT)
            .connect_timeout(CONNECT_WITHIN)
            .user_agent("postroom")
            .build()
            .map_err(|error| format!("the HTTP client cannot be set up: {}", chain(&error)))?;
        Ok(Self { http, url: TokenUrl::from_url(settings.token_url.clone()) })
    }

    /// Asks once for an access token.
    ///
    /// # Errors
    /// Typed by what follows from it; see [`RefreshError`].
    pub async fn refresh(&self, credentials: &Credentials) -> Result<Grant, RefreshError> {
        let mut client = BasicClient::new(ClientId::new(credentials.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.url.clone());
        if !credentials.client_secret.expose_secret().is_empty() {
            client = client.set_client_secret(ClientSecret::new(credentials.client_secret.expose_secret().to_owned()));
        }
        let token = RefreshToken::new(credentials.refresh_token.expose_secret().to_owned());
        let http = self.http.clone();
        let send = move |request: HttpRequest| send(http.clone(), request);
        let answer = client.exchange_refresh_token(&token).request_async(&send).await.map_err(|error| match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                RefreshError::passing("the token endpoint's answer cannot be read")
            }
        })?;
        let access = answer.access_token().secret();
        if access.is_empty() {
            return Err(RefreshError::passing("the token endpoint sent an empty token"));
        }
        Ok(Grant {
            access: access.clone().into(),
            lifetime: answer.expires_in().unwrap_or(UNTOLD_LIFETIME),
            refresh: answer.refresh_token().map(|token| token.secret().clone().into()),
        })
    }
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, RefreshError> {
    let network = |error: reqwest::Error| {
        RefreshError::passing(format!("the token endpoint is not reached: {}", chain(&error.without_url())))
    };
    let request = reqwest::Request::try_from(request).map_err(network)?;
    let mut response = http.execute(request).await.map_err(network)?;
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(network)? {
        if body.len() + part.len() > LONGEST_BODY {
            return Err(RefreshError::passing("the token endpoint's answer is too long"));
        }
        body.extend_from_slice(&part);
    }
    let (status, headers) = (response.status(), response.headers());
    let retry_after = headers.get("retry-after").and_then(|value| value.to_str().ok());
    if let Some(refused) = refusal(status.as_u16(), retry_after, &body) {
        return Err(refused);
    }
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers.clone();
    Ok(answer)
}

fn tls_config(tls: &TlsSettings) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for root in &tls.extra_roots {
        roots
            .add(root.clone())
            .map_err(|error| format!("POSTROOM_TLS_CA_FILE holds an unusable certificate: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// An error with its causes: reqwest's own text names none.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
