//! The two grants at the token endpoint, over our own HTTP client (`endpoint`): a refresh token, through the `oauth2` crate,
//! and a service account's JWT (RFC 7523), for which the crate has no request; it reads the answer.

use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::http::header::{ACCEPT, CONTENT_TYPE};
use oauth2::http::{Method, Request};
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest, RefreshToken, RequestTokenError, TokenResponse};
use secrecy::{ExposeSecret, SecretString};

use super::answer::RefreshError;
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::jwt;
use super::service_account::ServiceAccount;
use super::service_refusal::{ServiceRefusal, of_a_jwt};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::settings::{TlsSettings, TokenSettings};

/// What a token is taken to live if the endpoint does not say.
const UNTOLD_LIFETIME: Duration = Duration::from_secs(300);

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

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
        let answer = match credentials {
            Credentials::Consent { client_id, client_secret, refresh_token } => {
                self.by_consent(client_id, client_secret, refresh_token).await?
            }
            Credentials::ServiceAccount { service, user } => self.by_jwt(service, user).await?,
        };
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

    async fn by_consent(
        &self,
        client_id: &str,
        client_secret: &SecretString,
        refresh_token: &SecretString,
    ) -> Result<BasicTokenResponse, RefreshError> {
        let mut client = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.endpoint.url().clone());
        if !client_secret.expose_secret().is_empty() {
            client = client.set_client_secret(ClientSecret::new(client_secret.expose_secret().to_owned()));
        }
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let endpoint = self.endpoint.clone();
        let send = move |request: HttpRequest| {
            let endpoint = endpoint.clone();
            async move { endpoint.send(request).await }
        };
        client.exchange_refresh_token(&token).request_async(&send).await.map_err(|error| match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                unreadable()
            }
        })
    }

    async fn by_jwt(&self, service: &ServiceAccount, user: &AccountId) -> Result<BasicTokenResponse, RefreshError> {
        let token_url = self.endpoint.url();
        let unusable = |error| RefreshError::Service(Box::new(ServiceRefusal::unusable_key(service, &error)));
        let assertion = jwt::assertion(service, user, token_url.as_str(), Millis::now()).map_err(unusable)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", JWT_GRANT)
            .append_pair("assertion", assertion.expose_secret())
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(token_url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.into_bytes())
            .map_err(|_| RefreshError::passing("the request for the token endpoint cannot be made"))?;
        let answer = self.endpoint.send(request).await.map_err(|refused| of_a_jwt(refused, service))?;
        serde_json::from_slice(answer.body()).map_err(|_| unreadable())
    }
}

fn unreadable() -> RefreshError {
    RefreshError::passing("the token endpoint's answer cannot be read")
}
