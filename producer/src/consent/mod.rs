//! Logging an account in by a person's consent in a browser, apart from any terminal or web page that asks for it.
//!
//! [`Flow::start`] gives the address that the person's browser has to open; [`Flow::finish`] takes what the browser brought
//! back and answers credentials of which Gmail has just taken a login; [`store()`] keeps them. How the answer comes back is
//! the caller's business: over [`Loopback`] on this machine, pasted at a terminal, or to a page of a web server.
//! Nothing in here prints, and no error holds a code, a token, a secret or an address.

mod client;
mod error;
mod loopback;
mod page;
mod redirected;
mod store;

pub use client::read_client;
pub use error::{ConsentError, spelt};
pub use loopback::{Loopback, Visit};
pub use redirected::Redirected;
pub use store::{NotStored, Stored, store};

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::replies::{Class, Table};
use postroom_shared::settings::{ConsentSettings, TlsSettings, TokenSettings};
use postroom_shared::smtp::{Connection, Dialer, SmtpSettings};
use postroom_shared::tokens::consent::{Consent, OAuthClient, Question, SCOPE};
use postroom_shared::tokens::{AccessToken, Credentials};
use secrecy::SecretString;
use url::Url;

use redirected::Answer;

/// A person waits for the login that is tried: no reply takes longer than this.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Asks for consents and checks what they are worth.
pub struct Flow {
    consent: Consent,
    dialer: Dialer,
    replies: &'static Table,
}

/// A consent that was asked for and has not come yet.
#[derive(Debug, Clone)]
pub struct Pending {
    account: AccountId,
    question: Question,
}

impl Pending {
    /// The address that the person's browser has to open. It holds the account's address, and no secret.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.question.url
    }
}

/// Credentials with which the account has just been logged in.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The account.
    pub account: AccountId,
    /// Its credentials.
    pub credentials: Credentials,
}

impl Flow {
    /// With these endpoints, and the SMTP server at which a login is tried.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(
        consent: &ConsentSettings,
        tokens: &TokenSettings,
        tls: &TlsSettings,
        mut smtp: SmtpSettings,
    ) -> Result<Self, ConsentError> {
        smtp.command_timeout = smtp.command_timeout.min(REPLY_WITHIN);
        Ok(Self {
            consent: Consent::new(consent, tokens, tls).map_err(ConsentError::NotSetUp)?,
            dialer: Dialer::new(smtp).map_err(ConsentError::NotSetUp)?,
            replies: Table::builtin().map_err(|error| ConsentError::NotSetUp(error.to_string()))?,
        })
    }

    /// Begins a login. `redirect` is where the browser shall bring the answer.
    ///
    /// # Errors
    /// If `redirect` is no URL.
    pub fn start(&self, client: OAuthClient, account: &AccountId, redirect: &str) -> Result<Pending, ConsentError> {
        let question = self.consent.ask(client, account, redirect).map_err(ConsentError::NotSetUp)?;
        Ok(Pending { account: account.clone(), question })
    }

    /// Ends a login: fetches the tokens, and tries at once whether they open the mailbox that was named.
    ///
    /// # Errors
    /// What is wrong and what to do; after [`ConsentError::StateMismatch`] the right answer may still come.
    pub async fn finish(&self, pending: &Pending, redirected: &Redirected) -> Result<Checked, ConsentError> {
        if !pending.question.is_answered_by(&redirected.state) {
            return Err(ConsentError::StateMismatch);
        }
        let code = match &redirected.answer {
            Answer::Code(code) => code,
            Answer::Refused(word) => return Err(ConsentError::refused(word)),
        };
        let consented = self.consent.exchange(&pending.question, code).await.map_err(ConsentError::of_exchange)?;
        if consented.scopes.is_some_and(|scopes| !scopes.iter().any(|scope| scope == SCOPE)) {
            return Err(ConsentError::ScopeMissing);
        }
        let refresh_token = consented.refresh.ok_or(ConsentError::NoRefreshToken)?;
        self.try_login(&pending.account, &consented.access).await?;
        Ok(Checked { account: pending.account.clone(), credentials: credentials(&pending.question, refresh_token) })
    }

    async fn try_login(&self, account: &AccountId, token: &AccessToken) -> Result<(), ConsentError> {
        match Connection::open(&self.dialer, account, token).await {
            Ok(connection) => {
                connection.quit().await;
                Ok(())
            }
            // The token is fresh and has the scope, so what is wrong is whose it is.
            Err(reply) if self.replies.classify(&reply).row.class == Class::Token => {
                Err(ConsentError::WrongMailbox { said: reply.to_string() })
            }
            Err(reply) => Err(ConsentError::LoginNotTried { said: reply.to_string() }),
        }
    }
}

fn credentials(question: &Question, refresh_token: SecretString) -> Credentials {
    let OAuthClient { id, secret } = question.client();
    Credentials::Consent { client_id: id.clone(), client_secret: secret.clone(), refresh_token }
}
