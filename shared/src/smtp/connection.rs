//! A connection that is logged in: opened with a token, used for some mails, closed before the token ends.
//!
//! Once a dialogue was left in its middle, by a lost stream or a dropped future, the connection says so for ever.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::account::AccountId;
use crate::clock::Millis;
use crate::reply::{Enhanced, Reply, Silence, Stage};
use crate::telemetry::{Steps, names};
use crate::tokens::AccessToken;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt as _;

use super::dial::Dialer;
use super::offers::Offers;
use super::replies::heard;
use super::settings::SmtpSettings;
use super::stream::{Transport, Wire};
use crate::secret::concat;
use crate::xoauth2::initial_response;

/// Gmail closes a connection after 70 to 90 mails (gmail.md, "Limits").
const MOST_MAILS: u32 = 50;
const QUIT_WITHIN: Duration = Duration::from_secs(2);

/// A connection that is logged in as one account.
pub struct Connection {
    pub(super) lettre: AsyncSmtpConnection,
    pub(super) wire: Wire,
    pub(super) offers: Offers,
    pub(super) chunking: bool,
    pub(super) command_timeout: Duration,
    pub(super) data_timeout: Duration,
    /// In mid-dialogue; never cleared after a dialogue that did not come to its clean end.
    pub(super) busy: bool,
    pub(super) mails_sent: u32,
    pub(super) idle_since: Millis,
    opened: Millis,
    ends: Millis,
    /// Of the attempt that uses it.
    pub(super) steps: Steps,
    /// Dropped when it is closed.
    _guard: Option<Box<dyn Send + Sync>>,
}

impl Connection {
    /// Dials, greets and logs in.
    ///
    /// # Errors
    /// The server's reply, or its silence, at the stage that failed.
    pub async fn open(dialer: &Dialer, account: &AccountId, token: &AccessToken) -> Result<Self, Reply> {
        Self::open_with(dialer, account, token, &Steps::off()).await
    }

    /// As [`Connection::open`]; what is done when is put down.
    ///
    /// # Errors
    /// As for [`Connection::open`].
    pub async fn open_with(
        dialer: &Dialer,
        account: &AccountId,
        token: &AccessToken,
        steps: &Steps,
    ) -> Result<Self, Reply> {
        let began = Instant::now();
        let dialled = dialer.dial().await;
        steps.done(names::DIAL, began, dialled.is_err());
        let (stream, own) = dialled?;
        Self::start_with(stream, own, dialer.settings(), account, token, steps).await
    }

    /// Greets and logs in over a stream that somebody else opened; `own` is our address on it.
    ///
    /// # Errors
    /// The server's reply, or its silence, at the stage that failed.
    pub async fn start(
        stream: impl Transport,
        own: Option<IpAddr>,
        settings: &SmtpSettings,
        account: &AccountId,
        token: &AccessToken,
    ) -> Result<Self, Reply> {
        Self::start_with(stream, own, settings, account, token, &Steps::off()).await
    }

    async fn start_with(
        stream: impl Transport,
        own: Option<IpAddr>,
        settings: &SmtpSettings,
        account: &AccountId,
        token: &AccessToken,
        steps: &Steps,
    ) -> Result<Self, Reply> {
        let wire = Wire::new(stream, settings.data_timeout);
        wire.limit_reading(Some(settings.command_timeout));
        let name = match (&settings.ehlo_name, own) {
            (Some(name), _) => ClientId::Domain(name.clone()),
            (None, Some(IpAddr::V6(own))) => ClientId::Ipv6(own),
            (None, Some(IpAddr::V4(own))) => ClientId::Ipv4(own),
            (None, None) => ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST),
        };
        let began = Instant::now();
        let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &name).await;
        steps.done(names::EHLO, began, greeted.is_err());
        let lettre = greeted.map_err(|error| {
            heard(if wire.has_written() { Stage::Ehlo } else { Stage::Greeting }, Err(error), &wire)
        })?;
        let now = Millis::now();
        let mut connection = Self {
            lettre,
            offers: Offers::parse(&wire.take_record()),
            wire,
            chunking: settings.chunking,
            command_timeout: settings.command_timeout,
            data_timeout: settings.data_timeout,
            busy: true,
            mails_sent: 0,
            idle_since: now,
            opened: now,
            ends: token.connection_ends(),
            steps: steps.clone(),
            _guard: None,
        };
        connection.log_in(account, token).await?;
        connection.busy = false;
        Ok(connection)
    }

    async fn log_in(&mut self, account: &AccountId, token: &AccessToken) -> Result<(), Reply> {
        if !self.offers.xoauth2 {
            let text = "the server does not offer AUTH XOAUTH2 (Postroom did not ask)";
            return Err(Reply::new(Stage::Auth, 504, Some(Enhanced(5, 5, 4)), text));
        }
        let response = initial_response(account, token);
        let line = concat(&["AUTH XOAUTH2 ", response.expose_secret(), "\r\n"]);
        let mut reply = self.secret_command(&line, Stage::Auth).await;
        if reply.code() == Some(334) {
            // The challenge only says "400"; the reason comes after an empty line.
            reply = self.command("\r\n", Stage::Auth).await;
        }
        match reply.code() {
            Some(235) => Ok(()),
            Some(code) if code < 400 => {
                Err(Reply::silence(Stage::Auth, Silence::Garbage, format!("{code} in answer to AUTH")))
            }
            Some(_) | None => Err(reply),
        }
    }

    /// What is done next belongs to this attempt.
    pub fn put_down_in(&mut self, steps: &Steps) {
        self.steps = steps.clone();
    }

    /// Keeps something until the connection is closed.
    pub fn guard_with(&mut self, guard: impl Send + Sync + 'static) {
        self._guard = Some(Box::new(guard));
    }

    /// What the server offers.
    #[must_use]
    pub fn offers(&self) -> Offers {
        self.offers
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Millis {
        self.opened
    }

    /// When it should be closed because its token nears its end.
    #[must_use]
    pub fn ends(&self) -> Millis {
        self.ends
    }

    /// How many mails were tried on it.
    #[must_use]
    pub fn mails_sent(&self) -> u32 {
        self.mails_sent
    }

    /// Since when nothing was sent.
    #[must_use]
    pub fn idle_since(&self) -> Millis {
        self.idle_since
    }

    /// Whether it may carry another mail: its last dialogue came to its end, and the server has neither closed it nor
    /// said anything since.
    #[must_use]
    pub fn reusable(&self) -> bool {
        !self.busy && self.wire.is_quiet().unwrap_or(false)
    }

    /// Whether its last dialogue came to its end, as far as was seen when it ended.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        !self.busy
    }

    /// Whether it should be closed: used up, or its token nears its end.
    #[must_use]
    pub fn is_spent(&self, now: Millis) -> bool {
        self.mails_sent >= MOST_MAILS || now >= self.ends
    }

    /// Says `QUIT` if there is nothing in between, and closes.
    pub async fn quit(mut self) {
        // An attempt's trace ends before its connection does.
        self.steps = Steps::off();
        let saying = async {
            if !self.busy {
                self.command("QUIT\r\n", Stage::Mail).await;
            }
            self.wire.shutdown().await
        };
        let _ = tokio::time::timeout(QUIT_WITHIN, saying).await;
    }
}
