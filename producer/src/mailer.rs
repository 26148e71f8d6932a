//! What every way to Postroom can do. There are two: straight to Redis ([`DirectClient`]) and over HTTP
//! ([`crate::HttpClient`]).

use futures::future::BoxFuture;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{FindQuery, MailStatus, Page, Place};

use crate::client::{Cancelled, Error, Rescheduled, SendError, Sent};
use crate::direct::DirectClient;
use crate::draft::Draft;

/// A way to hand mail over and to ask for it. [`crate::Client`] has the same with plain `async` functions, and says what each
/// means; an app's test can have a mailer of its own.
pub trait Mailer: Send + Sync {
    /// See [`crate::Client::send`].
    fn send(&self, mail: Draft) -> BoxFuture<'_, Result<Sent, SendError>>;

    /// See [`crate::Client::send_many`].
    fn send_many(&self, mails: Vec<Draft>) -> BoxFuture<'_, Vec<Result<Sent, SendError>>>;

    /// See [`crate::Client::send_batch`].
    fn send_batch<'a>(
        &'a self,
        key: Option<&'a str>,
        mails: Vec<Draft>,
        all_or_nothing: bool,
    ) -> BoxFuture<'a, Result<Vec<Result<Sent, SendError>>, SendError>>;

    /// See [`crate::Client::outlooks`].
    fn outlooks<'a>(&'a self, ids: &'a [MailId]) -> BoxFuture<'a, Result<Vec<Option<Place>>, Error>>;

    /// See [`crate::Client::status`].
    fn status(&self, id: MailId) -> BoxFuture<'_, Result<Option<MailStatus>, Error>>;

    /// See [`crate::Client::find`].
    fn find<'a>(&'a self, query: &'a FindQuery) -> BoxFuture<'a, Result<Page, Error>>;

    /// See [`crate::Client::cancel`].
    fn cancel(&self, id: MailId) -> BoxFuture<'_, Result<Cancelled, Error>>;

    /// See [`crate::Client::reschedule`].
    fn reschedule(&self, id: MailId, send_at: Millis) -> BoxFuture<'_, Result<Rescheduled, Error>>;
}

impl Mailer for DirectClient {
    fn send(&self, mail: Draft) -> BoxFuture<'_, Result<Sent, SendError>> {
        Box::pin(Self::send(self, mail))
    }

    fn send_many(&self, mails: Vec<Draft>) -> BoxFuture<'_, Vec<Result<Sent, SendError>>> {
        Box::pin(Self::send_many(self, mails))
    }

    fn send_batch<'a>(
        &'a self,
        key: Option<&'a str>,
        mails: Vec<Draft>,
        all_or_nothing: bool,
    ) -> BoxFuture<'a, Result<Vec<Result<Sent, SendError>>, SendError>> {
        Box::pin(Self::send_batch(self, key, mails, all_or_nothing))
    }

    fn outlooks<'a>(&'a self, ids: &'a [MailId]) -> BoxFuture<'a, Result<Vec<Option<Place>>, Error>> {
        Box::pin(async move { Ok(Self::outlooks(self, ids).await?) })
    }

    fn status(&self, id: MailId) -> BoxFuture<'_, Result<Option<MailStatus>, Error>> {
        Box::pin(async move { Ok(Self::status(self, id).await?) })
    }

    fn find<'a>(&'a self, query: &'a FindQuery) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move { Ok(self.queue().find(query).await?) })
    }

    fn cancel(&self, id: MailId) -> BoxFuture<'_, Result<Cancelled, Error>> {
        Box::pin(async move { Ok(Self::cancel(self, id).await?) })
    }

    fn reschedule(&self, id: MailId, send_at: Millis) -> BoxFuture<'_, Result<Rescheduled, Error>> {
        Box::pin(async move { Ok(Self::reschedule(self, id, send_at).await?) })
    }
}
