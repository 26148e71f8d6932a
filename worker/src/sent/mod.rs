//! Asks an account's Sent mailbox over IMAP whether a mail is there: after an uncertain end, before it is sent again.
//!
//! Read `session` for the dialogue and `kept` for the life of a connection. Nothing in here sends or changes anything (the
//! mailbox is opened read-only), decides what becomes of a mail, or logs. "Not found" is only ever said after the server's
//! own OK to the search: whatever fails is an error, never a "not found".

mod answer;
mod error;
mod kept;
mod mailbox;
mod meter;
mod query;
mod session;
mod settings;

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reply::Silence;
use postroom_shared::tokens::AccessToken;
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use kept::{Kept, Shelf};
use postroom_shared::dial::TlsDialer;
use query::Query;

pub use error::SentError;
pub use session::Session;
pub use settings::{SentSettings, Uncertain};

/// The first pause between two looks; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a look at the Sent mailbox showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// So many copies of the mail are there: the server had taken it as often.
    Found(u32),
    /// It is not there, or the server has not indexed it yet.
    NotFound,
}

/// The IMAP server of the settings, with one kept connection an account.
pub struct Sent {
    dialer: TlsDialer,
    settings: SentSettings,
    shelf: Shelf,
}

impl Sent {
    /// `None` if the settings say that Sent is not asked. `roots` are trusted beside the public ones.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(settings: SentSettings, roots: &[CertificateDer<'static>]) -> Result<Option<Self>, String> {
        let Some(server) = settings.server.clone() else { return Ok(None) };
        let dialer = TlsDialer::new(server, roots, settings.connect_timeout)?;
        let shelf = Shelf::new(settings.keep);
        Ok(Some(Self { dialer, settings, shelf }))
    }

    /// Looks once whether a mail with this Message-ID (with its angle brackets) is in the account's Sent mailbox. Looks of
    /// one account come one after the other; a look takes 60 s at most, its turn included.
    ///
    /// # Errors
    /// [`SentError`] says what kept the question from being answered.
    pub async fn look(&self, account: &AccountId, token: &AccessToken, message_id: &str) -> Result<Looked, SentError> {
        let query = Query::new(message_id)?;
        let slot = self.shelf.slot(account);
        let looking = async {
            let mut kept = slot.lock().await;
            self.ask(&mut kept, account, token, &query).await
        };
        let looked = timeout(self.settings.look_timeout, looking).await;
        self.shelf.forget_if_empty(account, slot);
        looked.unwrap_or_else(|_| Err(SentError::silent(Silence::Timeout, "no answer within the time for one look")))
    }

    /// Ends the connections that are kept. What is looked for meanwhile opens new ones.
    pub async fn close(&self) {
        self.shelf.close_all().await;
    }

    /// On the kept connection, or on a new one: also if the kept one turns out to have been closed by the server. It is out
    /// of its place while it is used, so that a look that is dropped or fails takes it along.
    async fn ask(
        &self,
        place: &mut Option<Kept>,
        account: &AccountId,
        token: &AccessToken,
        query: &Query,
    ) -> Result<Looked, SentError> {
        if let Some(mut session) = place.take().map(Kept::take) {
            if session.is_spent(Millis::now()) {
                session.close().await;
            } else {
                match session.search(query).await {
                    Err(SentError::Silent { how: Silence::Closed, .. }) => {}
                    looked => {
                        if looked.is_ok() {
                            *place = Some(self.shelf.keep(account, session));
                        }
                        return looked;
                    }
                }
            }
        }
        let (stream, _) = self.dialer.dial().await.map_err(|error| SentError::silent(error.how, &error.detail))?;
        let mut session = Session::open(stream, self.settings.command_timeout, account, token).await?;
        let looked = session.search(query).await?;
        *place = Some(self.shelf.keep(account, session));
        Ok(looked)
    }
}

/// How long to wait before the next look at a mail's Sent mailbox, after so many looks: 5 s, 10 s, 20 s, 40 s, then 60 s.
#[must_use]
pub fn pause(asked: u32) -> Duration {
    2_u32
        .checked_pow(asked.saturating_sub(1))
        .map_or(LONGEST_PAUSE, |times| (FIRST_PAUSE * times.min(12)).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 4, 5, 6, 40, u32::MAX].map(|asked| pause(asked).as_secs()).into();
        assert_eq!(seconds, [5, 5, 10, 20, 40, 60, 60, 60, 60]);
    }
}
