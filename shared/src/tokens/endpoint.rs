//! The token endpoint over HTTP: one client, with limits on time and size, that judges status and body by itself.
//!
//! `oauth2` drops the status and keeps the body in its errors: neither those errors nor a body may ever leave this folder.

use std::time::Duration;

use oauth2::{HttpRequest, HttpResponse, TokenUrl};

use super::answer::{RefreshError, refusal};
use crate::http::{chain, client};
use crate::settings::{TlsSettings, TokenSettings};

/// The time limit of one request: shorter than the life of the fleet's lock.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 64 * 1024;

/// Where tokens are asked for.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) http: reqwest::Client,
    url: TokenUrl,
}

impl Endpoint {
    /// A client for the token endpoint of the settings.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub(super) fn new(settings: &TokenSettings, tls: &TlsSettings) -> Result<Self, String> {
        let http = client(tls)?
            .timeout(TIME_LIMIT)
            .connect_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|error| format!("the HTTP client cannot be set up: {}", chain(&error)))?;
        Ok(Self { http, url: TokenUrl::from_url(settings.token_url.clone()) })
    }

    /// Its address.
    pub(super) fn url(&self) -> &TokenUrl {
        &self.url
    }

    /// One request, as `oauth2` makes it.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, RefreshError> {
        let network = |error: reqwest::Error| {
            RefreshError::passing(format!("the token endpoint is not reached: {}", chain(&error.without_url())))
        };
        let request = reqwest::Request::try_from(request).map_err(network)?;
        let mut response = self.http.execute(request).await.map_err(network)?;
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
}
