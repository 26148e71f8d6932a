//! A new connection for an account: its token, the leave to log in, the login; and another token if one is refused.

use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::queue::Claimed;
use postroom_shared::replies::Class;
use postroom_shared::reply::{Reply, Silence, Stage};
use postroom_shared::telemetry::names;
use postroom_shared::tokens::{AccessToken, AfterRefusal, ServiceFault, TokenError};
use tracing::debug;

use crate::handler::Handler;
use crate::stand_in;
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
    /// A new connection for a mail: for a test mail to the stand-in, with neither token nor leave. A refused login is tried
    /// again with another token, as long as there is one.
    pub(crate) async fn connect(&self, claimed: &Claimed) -> Result<Connection, NoConnection> {
        let account = &claimed.account;
        if claimed.is_test() {
            let connection = stand_in::connect(self.dialer.settings(), account, claimed.attempts + 1).await;
            return connection.map_err(|reply| NoConnection::Reply(reply, Duration::ZERO));
        }
        let began = Instant::now();
        let (token, source) = self.tokens.access_from(account).await;
        claimed.steps.done(names::TOKEN, began, token.is_err());
        self.metrics.token(source, began.elapsed());
        let mut token = token.map_err(no_token)?;
        for _ in 0..=OTHER_TOKENS {
            match self.queue.may_log_in(account).await {
                Ok(None) => {}
                Ok(Some(_)) => return Err(NoConnection::Throttled),
                // A brake that cannot be asked must not stop what could go: as many log in at most as have permits.
                Err(error) => debug!(%error, "the login is not counted"),
            }
            let refusal = match self.open(claimed, &token).await {
                Ok(connection) => return Ok(connection),
                Err(reply) if self.replies.classify(&reply).row.class == Class::Token => reply,
                Err(reply) => return Err(NoConnection::Reply(reply, Duration::ZERO)),
            };
            token = self.other_token(account, &token, refusal).await?;
        }
        let refused = Reply::silence(Stage::Auth, Silence::Closed, "every token was refused; others refresh it");
        Err(NoConnection::Reply(refused, Duration::ZERO))
    }

    /// Dials and logs in, once.
    async fn open(&self, claimed: &Claimed, token: &AccessToken) -> Result<Connection, Reply> {
        let began = Instant::now();
        let mut opened = Connection::open_with(&self.dialer, &claimed.account, token, &claimed.steps).await;
        claimed.steps.done(names::CONNECT, began, opened.is_err());
        let result = match &mut opened {
            Ok(connection) => {
                connection.guard_with(self.metrics.connection());
                "ok"
            }
            Err(reply) if reply.stage == Stage::Auth && reply.code().is_some() => "refused",
            Err(_) => "failed",
        };
        self.metrics.connect(result, began.elapsed());
        opened
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
         mailbox's; log the account in again with `postroom account login`. With a service account: Gmail is off for the user, \
         or the address is an alias of theirs",
        reply.words()
    )
}

pub(crate) fn no_token(error: TokenError) -> NoConnection {
    let note = error.to_string();
    match error {
        TokenError::Consent { .. } | TokenError::NoCredentials => NoConnection::NoLogin(NoLogin::Consent, note),
        TokenError::Client { .. } => NoConnection::NoLogin(NoLogin::Client, note),
        TokenError::Service(refusal) => NoConnection::NoLogin(of_a_service_account(refusal.fault), note),
        TokenError::Sealed(_) => NoConnection::NoLogin(NoLogin::Config, note),
        TokenError::Passing { retry_after, .. } => {
            let silence = Reply::silence(Stage::Token, Silence::Unreachable, note);
            NoConnection::Reply(silence, retry_after.unwrap_or_default().min(LONGEST_HINT))
        }
    }
}

/// Whom the fault concerns: all accounts of the service account, or only the one that asked.
fn of_a_service_account(fault: ServiceFault) -> NoLogin {
    match fault {
        ServiceFault::Key | ServiceFault::Gone => NoLogin::Client,
        ServiceFault::NotDelegated => NoLogin::NotDelegated,
        ServiceFault::Clock => NoLogin::Clock,
        ServiceFault::User | ServiceFault::Other => NoLogin::Config,
    }
}
