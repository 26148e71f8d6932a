//! A person's consent in a browser (gmail.md, "OAuth2 at Google"): the address of the consent page, and the exchange of the
//! code that comes back for tokens.
//!
//! Nothing in here waits for the person or knows the way on which the browser's answer comes back. Nothing prints a secret.

use std::fmt;
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::access::AccessToken;
use super::answer::RefreshError;
use super::endpoint::Endpoint;
use crate::account::AccountId;
use crate::clock::Millis;
use crate::settings::{ConsentSettings, TlsSettings, TokenSettings};

/// The one scope that opens SMTP and IMAP.
pub const SCOPE: &str = "https://mail.google.com/";

/// What a token is taken to live if the endpoint does not say.
const UNTOLD_LIFETIME: Duration = Duration::from_secs(300);

/// The OAuth2 client in whose name a person is asked.
#[derive(Clone)]
pub struct OAuthClient {
    /// Its id.
    pub id: String,
    /// Its secret; empty for a client without one.
    pub secret: SecretString,
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuthClient({}, ***)", self.id)
    }
}

/// A person is being asked: where, and what the answer must fit.
#[derive(Clone)]
pub struct Question {
    /// The consent page's address, for the person's browser. It holds the account's address, and no secret.
    pub url: Url,
    client: OAuthClient,
    redirect: RedirectUrl,
    state: SecretString,
    verifier: SecretString,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({:?}, ***)", self.client)
    }
}

impl Question {
    /// The client in whose name it is asked.
    #[must_use]
    pub fn client(&self) -> &OAuthClient {
        &self.client
    }

    /// Whether an answer with this `state` is an answer to this question.
    #[must_use]
    pub fn is_answered_by(&self, state: &str) -> bool {
        self.state.expose_secret() == state
    }
}

/// What a consent gave.
pub struct Consented {
    /// An access token, for trying at once whether it opens the mailbox.
    pub access: AccessToken,
    /// The refresh token, if there is one.
    pub refresh: Option<SecretString>,
    /// The scopes that were granted; nothing if the endpoint does not say, which means all that was asked for.
    pub scopes: Option<Vec<String>>,
}

/// Asks people for their consent, and the token endpoint for what it is worth.
pub struct Consent {
    endpoint: Endpoint,
    auth_url: AuthUrl,
}

impl Consent {
    /// For the endpoints of the settings.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(consent: &ConsentSettings, tokens: &TokenSettings, tls: &TlsSettings) -> Result<Self, String> {
        let auth_url = AuthUrl::from_url(consent.auth_url.clone());
        Ok(Self { endpoint: Endpoint::new(tokens, tls)?, auth_url })
    }

    /// A new question, with a `state` and a PKCE verifier of its own. `redirect` is where the browser shall bring the
    /// answer, and must be one that the client may use.
    ///
    /// # Errors
    /// If `redirect` is no URL.
    pub fn ask(&self, client: OAuthClient, account: &AccountId, redirect: &str) -> Result<Question, String> {
        let redirect =
            RedirectUrl::new(redirect.to_owned()).map_err(|error| format!("no address to return to: {error}"))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = BasicClient::new(ClientId::new(client.id.clone()))
            .set_auth_uri(self.auth_url.clone())
            .set_redirect_uri(redirect.clone())
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new(SCOPE.to_owned()))
            .set_pkce_challenge(challenge)
            // Both are needed for a refresh token, also from somebody who consented before.
            .add_extra_param("access_type", "offline")
            .add_extra_param("prompt", "consent")
            .add_extra_param("login_hint", account.reveal().to_owned())
            .url();
        let (state, verifier) = (state.secret().clone().into(), verifier.secret().clone().into());
        Ok(Question { url, client, redirect, state, verifier })
    }

    /// Exchanges the code of an answer for tokens. A code is good once.
    ///
    /// # Errors
    /// As for a refresh, but `invalid_grant` means that the code is not good.
    pub async fn exchange(&self, question: &Question, code: &SecretString) -> Result<Consented, RefreshError> {
        let secret = question.client.secret.expose_secret();
        let mut client = BasicClient::new(ClientId::new(question.client.id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.endpoint.url().clone())
            .set_redirect_uri(question.redirect.clone());
        if !secret.is_empty() {
            client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
        }
        let endpoint = self.endpoint.clone();
        let send = move |request: HttpRequest| {
            let endpoint = endpoint.clone();
            async move { endpoint.send(request).await }
        };
        let issued = Millis::now();
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(question.verifier.expose_secret().to_owned()))
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::Request(error) => error,
                RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    RefreshError::passing("the token endpoint's answer cannot be read")
                }
            })?;
        let expires = issued.after(answer.expires_in().unwrap_or(UNTOLD_LIFETIME));
        let text = |scope: &Scope| scope.as_str().to_owned();
        Ok(Consented {
            access: AccessToken::new(answer.access_token().secret().clone().into(), issued, expires, 0),
            refresh: answer
                .refresh_token()
                .filter(|token| !token.secret().is_empty())
                .map(|token| token.secret().clone().into()),
            scopes: answer.scopes().map(|scopes| scopes.iter().map(text).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::settings::Source;

    fn consent() -> Consent {
        let source = &mut Source::from_pairs([]);
        let settings = (ConsentSettings::read(source), TokenSettings::read(source), TlsSettings::default());
        Consent::new(&settings.0, &settings.1, &settings.2).unwrap()
    }

    fn question() -> Question {
        let client = OAuthClient { id: "the-client".to_owned(), secret: "the-secret".to_owned().into() };
        consent().ask(client, &"alice@example.com".parse().unwrap(), "http://127.0.0.1:4711").unwrap()
    }

    #[test]
    fn the_page_is_asked_in_googles_form() {
        let question = question();
        assert!(question.url.as_str().starts_with("https://accounts.google.com/o/oauth2/v2/auth?"), "{}", question.url);
        let mut pairs: HashMap<String, String> = question.url.query_pairs().into_owned().collect();
        let state = pairs.remove("state").unwrap();
        assert!(state.len() >= 22 && question.is_answered_by(&state) && !question.is_answered_by("another"));
        assert_eq!(pairs.remove("code_challenge").unwrap().len(), 43);
        let expected = [
            ("access_type", "offline"),
            ("client_id", "the-client"),
            ("code_challenge_method", "S256"),
            ("login_hint", "alice@example.com"),
            ("prompt", "consent"),
            ("redirect_uri", "http://127.0.0.1:4711"),
            ("response_type", "code"),
            ("scope", "https://mail.google.com/"),
        ];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn no_two_questions_are_alike_and_none_prints_what_must_stay_secret() {
        let (one, other) = (question(), question());
        assert_ne!(one.state.expose_secret(), other.state.expose_secret());
        assert_ne!(one.verifier.expose_secret(), other.verifier.expose_secret());
        assert_eq!(format!("{one:?}"), "Question(OAuthClient(the-client, ***), ***)");
        assert!(!one.url.as_str().contains(one.verifier.expose_secret()) && !one.url.as_str().contains("the-secret"));
    }
}
