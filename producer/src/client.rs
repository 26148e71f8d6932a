//! The client that apps use: send, send many, ask, wait, cancel; straight to Redis or over HTTP, as its address says.
//!
//! It reads nothing from the environment and never sends anything itself; every error says whether the mail is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{FindQuery, MailState, MailStatus, Page, Place, RescheduleError};
use postroom_shared::store::StoreError;
use secrecy::SecretString;
use serde::Serialize;

use crate::direct::DirectClient;
use crate::door::Refusal;
use crate::draft::Draft;
use crate::http::HttpClient;
use crate::mailer::Mailer;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Hands mail to Postroom. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Client {
    mailer: Arc<dyn Mailer>,
}

/// A mail that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Names the mail from here on.
    pub id: MailId,
    /// The same mail came before with the same idempotency key; this is its id, and nothing was stored now.
    pub known: bool,
    /// It is a test mail: nothing is sent.
    pub test: bool,
    /// When it may go, if that is not now.
    pub send_at: Option<Millis>,
}

/// Why a mail was not handed over, or not surely.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// It cannot be sent as it is. Nothing was stored; the same mail will be refused again.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Its idempotency key came before with another mail, which is the one that counts.
    #[error("its idempotency key was used for another mail ({0}): use a new key for a new mail")]
    Conflict(MailId),
    /// The idempotency key of several mails came before with other ones. Nothing was stored.
    #[error("the idempotency key of these mails was used for other ones: use a new key for new mails")]
    KeyUsed,
    /// Nothing was stored, for others were handed over with it, all or none of which shall go.
    #[error("it was not stored, for another mail that was handed over with it cannot be sent")]
    OthersRefused,
    /// Nothing was stored: hand it over again.
    #[error("it was not stored, hand it over again: {0}")]
    NotStored(String),
    /// Nothing was stored, for Redis has no room: hand it over again later.
    #[error("it was not stored, hand it over again later: {0}")]
    Full(String),
    /// The connection was lost before the answer came.
    #[error("it is not known whether it was stored ({why}): {}", what_to_do(*id, *keyed))]
    Unknown {
        /// The id that it has if it was stored; `None`: that is not known, either.
        id: Option<MailId>,
        /// It has an idempotency key, so handing it over again is safe.
        keyed: bool,
        /// What happened.
        why: String,
    },
    /// Nothing was stored, and a person must act: two versions of Postroom do not fit together, or a key is not good.
    #[error("it was not stored: {0}")]
    Wrong(String),
}

fn what_to_do(id: Option<MailId>, keyed: bool) -> String {
    match (keyed, id) {
        (true, _) => "hand it over again with the same idempotency key, it cannot go out twice that way".to_owned(),
        (false, Some(id)) => {
            format!(
                "look with `postroom mail show {id}` before handing it over again; an idempotency key makes that safe"
            )
        }
        (false, None) => {
            "look with `postroom mail list` before handing it over again; an idempotency key makes that safe".to_owned()
        }
    }
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not go.
    Done,
    /// It was too late: the mail is in this state.
    TooLate(MailState),
    /// There is no such mail (any more).
    Unknown,
}

/// What became of a wish to give a mail another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescheduled {
    /// It goes at that time.
    Done,
    /// It was too late: the mail is in this state. One that was tried already is told as [`MailState::Retry`].
    TooLate(MailState),
    /// There is no such mail (any more).
    Unknown,
}

/// Why a question was not answered, or a change not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Redis did not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `postroom serve` is not reached, or cannot do it now: ask again later. A change may have been made.
    #[error("postroom serve did not do it, ask again later: {0}")]
    Away(String),
    /// The key is wrong, expired or revoked, or may not do this.
    #[error("postroom serve does not let this key do it: {0}")]
    Denied(String),
    /// As at the door.
    #[error("the time is more than 30 days ahead: choose an earlier one, or hand the mail over later")]
    TooFar,
    /// The address cannot be used, or the answer cannot be understood.
    #[error("{0}")]
    Wrong(String),
}

impl From<RescheduleError> for Error {
    fn from(error: RescheduleError) -> Self {
        match error {
            RescheduleError::TooFar => Self::TooFar,
            RescheduleError::Store(error) => Self::Store(error),
        }
    }
}

impl Client {
    /// Connects to the Redis at `url` (`redis://[user:password@]host[:port][/number]`, or `rediss://` for TLS), or makes ready
    /// for the `postroom serve` at `url` (`http://:KEY@host[:port]` or `https://`, with an API key), which is not asked
    /// before there is something to ask.
    ///
    /// # Errors
    /// If the URL is wrong, or Redis is not reached.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        if HttpClient::is_address(url) {
            return HttpClient::connect(url).map(Self::through);
        }
        Ok(Self::through(DirectClient::connect(url).await?))
    }

    /// Makes ready for the `postroom serve` at `url`, with a key that does not stand in it.
    ///
    /// # Errors
    /// If the URL is wrong.
    pub fn connect_with_key(url: &str, key: impl Into<SecretString>) -> Result<Self, Error> {
        HttpClient::with_key(url, key.into()).map(Self::through)
    }

    /// A client over any mailer: one that was set up by hand, or a test's own.
    #[must_use]
    pub fn through(mailer: impl Mailer + 'static) -> Self {
        Self { mailer: Arc::new(mailer) }
    }

    /// Hands one mail over.
    ///
    /// # Errors
    /// See [`SendError`]: each kind says whether the mail is stored and whether handing it over again helps.
    pub async fn send(&self, mail: impl Into<Draft>) -> Result<Sent, SendError> {
        self.mailer.send(mail.into()).await
    }

    /// Hands many mails over; the answers stand in their order. A bad mail does not keep the others.
    pub async fn send_many<D: Into<Draft>>(&self, mails: Vec<D>) -> Vec<Result<Sent, SendError>> {
        self.mailer.send_many(mails.into_iter().map(Into::into).collect()).await
    }

    /// Hands several mails over as one request; the answers stand in their order. With a `key`, handing the same mails over
    /// again under it stores nothing twice and has the same ids for an answer; a mail with an idempotency key of its own
    /// keeps that. With `all_or_nothing`, nothing is stored if any of the mails cannot be sent as it is: the others are told
    /// as [`SendError::OthersRefused`]. Else a bad mail does not keep the others. Over HTTP there are 100 at most.
    ///
    /// # Errors
    /// If none of them was stored, or not surely, for a reason that concerns all.
    pub async fn send_batch<D: Into<Draft>>(
        &self,
        key: Option<&str>,
        mails: Vec<D>,
        all_or_nothing: bool,
    ) -> Result<Vec<Result<Sent, SendError>>, SendError> {
        self.mailer.send_batch(key, mails.into_iter().map(Into::into).collect(), all_or_nothing).await
    }

    /// Where mails stand and when they will probably go: what to ask after handing many over, with their ids in that order.
    /// `None`: there is no such mail (any more).
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn outlooks(&self, ids: &[MailId]) -> Result<Vec<Option<Place>>, Error> {
        self.mailer.outlooks(ids).await
    }

    /// All that is known of a mail, with when it will probably go and why not now; `None`: there is no such mail (any more).
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn status(&self, id: MailId) -> Result<Option<MailStatus>, Error> {
        self.mailer.status(id).await
    }

    /// The mails that fit, a page of 1 to 100 of them, the newest first, without their timelines. Over HTTP only those that the
    /// key may see, and `page.accounts` may name one account.
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn find(&self, query: &FindQuery) -> Result<Page, Error> {
        self.mailer.find(query).await
    }

    /// Waits until nothing more happens to a mail by itself (sent, dead, cancelled), but no longer than `patience`;
    /// what it answers is how the mail stands then.
    ///
    /// # Errors
    /// If there was no answer.
    pub async fn wait(&self, id: MailId, patience: Duration) -> Result<Option<MailStatus>, Error> {
        until_final(patience, || self.status(id)).await
    }

    /// Cancels a mail that no worker has yet.
    ///
    /// # Errors
    /// If it was not done, or not surely.
    pub async fn cancel(&self, id: MailId) -> Result<Cancelled, Error> {
        self.mailer.cancel(id).await
    }

    /// Gives a mail that no worker has yet, and that was not tried yet, another time; one that has passed means now. Its
    /// deadline moves with it.
    ///
    /// # Errors
    /// If the time is more than 30 days ahead, or it was not done, or not surely.
    pub async fn reschedule(&self, id: MailId, send_at: Millis) -> Result<Rescheduled, Error> {
        self.mailer.reschedule(id, send_at).await
    }
}

/// Asks for a mail's status until it is final, or patience ends.
pub(crate) async fn until_final<E, F>(patience: Duration, ask: impl Fn() -> F) -> Result<Option<MailStatus>, E>
where
    F: Future<Output = Result<Option<MailStatus>, E>>,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let status = ask().await?;
        let waited = begun.elapsed();
        if status.as_ref().is_none_or(|status| status.state.is_final()) || waited >= patience {
            return Ok(status);
        }
        tokio::time::sleep(pause.min(patience.saturating_sub(waited))).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}
