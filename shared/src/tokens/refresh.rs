//! The refresh grant at the token endpoint, through the `oauth2` crate over our own HTTP client (`endpoint`).

use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest, RefreshToken, RequestTokenError, TokenResponse};
use secrecy::{ExposeSecret, SecretString};

use super::answer::RefreshError;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use crate::settings::{TlsSettings, TokenSettings};

/// What a token is taken to live if the endpoint does not say.
const UNTOLD_LIFETIME: Duration = Duration::from_secs(300);

/// What the token endpoint gave.
pub struct Grant {
    /// The access token.
    pub access: SecretString,
    /// How long it lives.
    pub lifetime: Duration,
    /// What it may be used for, as the endpoint says: words parted by blanks.
    pub scope: Option<String>,
    /// A new refresh token, if the endpoint sent one: the old one may be dead.
    pub refresh: Option<SecretString>,
}

/// Asks the token endpoint.
pub struct Refresher {
    endpoint: Endpoint,
}

impl Refresher {
    /// A client for the token endpoint of the settings.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(settings: &TokenSettings, tls: &TlsSettings) -> Result<Self, String> {
        Ok(Self { endpoint: Endpoint::new(settings, tls)? })
    }

    /// Asks once for an access token.
    ///
    /// # Errors
    /// Typed by what follows from it; see [`RefreshError`].
    pub async fn refresh(&self, credentials: &Credentials) -> Result<Grant, RefreshError> {
        let mut client = BasicClient::new(ClientId::new(credentials.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.endpoint.url().clone());
        if !credentials.client_secret.expose_secret().is_empty() {
            client = client.set_client_secret(ClientSecret::new(credentials.client_secret.expose_secret().to_owned()));
        }
        let token = RefreshToken::new(credentials.refresh_token.expose_secret().to_owned());
        let endpoint = self.endpoint.clone();
        let send = move |request: HttpRequest| {
            let endpoint = endpoint.clone();
            async move { endpoint.send(request).await }
        };
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
            scope: answer
                .scopes()
                .map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")),
            refresh: answer.refresh_token().map(|token| token.secret().clone().into()),
        })
    }
}
