//! A new connection for an account: its token, the leave to log in, the login; and another token if one is refused.

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::replies::Class;
use postroom_shared::reply::{Reply, Silence, Stage};
use postroom_shared::tokens::{AccessToken, AfterRefusal, TokenError};
use tracing::debug;

use crate::handler::Handler;
use crate::verdict::NoLogin;
use postroom_shared::smtp::Connection;

/// How many other tokens are tried after a refused login: the one somebody else fetched, and the one that was forced.
const OTHER_TOKENS: u32 = 2;

/// A hint of the token service is believed up to here.
const LONGEST_HINT: Duration = Duration::from_secs(600);

/// A connection that could not be had.
pub(crate) enum NoConnection {
    /// The server's reply, or its silence; and how long the token service asks to wait at least.
    Reply(Reply, Duration),
    /// The newest token was refused.
    FreshRefused(Reply),
    /// There is no token until a person acts.
    NoLogin(NoLogin, String),
    /// The account logged in too often.
    Throttled,
}

impl Handler {
    /// A new connection; a refused login is tried again with another token, as long as there is one.
    pub(crate) async fn connect(&self, account: &AccountId) -> Result<Connection, NoConnection> {
        let mut token = self.tokens.access(account).await.map_err(no_token)?;
        for _ in 0..=OTHER_TOKENS {
            match self.queue.may_log_in(account).await {
                Ok(None) => {}
                Ok(Some(_)) => return Err(NoConnection::Throttled),
                // A brake that cannot be asked must not stop what could go: as many log in at most as have permits.
                Err(error) => debug!(%error, "the login is not counted"),
            }
            let refusal = match Connection::open(&self.dialer, account, &token).await {
                Ok(connection) => return Ok(connection),
                Err(reply) if self.replies.classify(&reply).row.class == Class::Token => reply,
                Err(reply) => return Err(NoConnection::Reply(reply, Duration::ZERO)),
            };
            token = self.other_token(account, &token, refusal).await?;
        }
        let refused = Reply::silence(Stage::Auth, Silence::Closed, "every token was refused; others refresh it");
        Err(NoConnection::Reply(refused, Duration::ZERO))
    }

    /// Another token than one that was refused.
    pub(crate) async fn other_token(
        &self,
        account: &AccountId,
        refused: &AccessToken,
        refusal: Reply,
    ) -> Result<AccessToken, NoConnection> {
        match self.tokens.after_refusal(account, refused).await.map_err(no_token)? {
            AfterRefusal::Try(other) => Ok(other),
            AfterRefusal::FreshRefused => Err(NoConnection::FreshRefused(refusal)),
        }
    }
}

/// What a person is told if the newest token is refused.
pub(crate) fn login_refused(reply: &Reply) -> String {
    format!(
        "the server refused a fresh token ({}): the consent lacks the scope https://mail.google.com/, or it is another \
         mailbox's; add the account again with `postroom account add`",
        reply.words()
    )
}

pub(crate) fn no_token(error: TokenError) -> NoConnection {
    let note = error.to_string();
    match error {
        TokenError::Consent { .. } | TokenError::NoCredentials => NoConnection::NoLogin(NoLogin::Consent, note),
        TokenError::Client { .. } => NoConnection::NoLogin(NoLogin::Client, note),
        TokenError::Sealed(_) => NoConnection::NoLogin(NoLogin::Config, note),
        TokenError::Passing { retry_after, .. } => {
            let silence = Reply::silence(Stage::Token, Silence::Unreachable, note);
            NoConnection::Reply(silence, retry_after.unwrap_or_default().min(LONGEST_HINT))
        }
    }
}
