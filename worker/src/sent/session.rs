//! A connection that is logged in: greeting, `AUTHENTICATE XOAUTH2`, `LIST`, then `EXAMINE` and `UID SEARCH` for each look.
//!
//! Of async-imap it uses the framing and the parser only (docs/decisions/0010 says why): an answer counts when the server's
//! tagged OK is there. Commands go past async-imap, which would write them, and with them the token, to its trace.

use std::time::Duration;

use async_imap::Client;
use async_imap::imap_proto::{MailboxDatum, Response, Status};
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reply::Silence;
use postroom_shared::secret::concat;
use postroom_shared::tokens::AccessToken;
use secrecy::ExposeSecret;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::answer::{Offers, broken, done, end_at_bye, heard, late, login_error, note_offers, words};
use super::mailbox::Listing;
use super::meter::Meter;
use super::query::{Query, quoted};
use super::{Looked, SentError};
use postroom_shared::smtp::Transport;
use postroom_shared::xoauth2::initial_response;

const LOGOUT_WITHIN: Duration = Duration::from_secs(2);
const LOGIN_TAG: &str = "LOGIN";
const LOGIN: &str = "AUTHENTICATE";

/// A connection that is logged in as one account and knows its Sent mailbox.
pub struct Session {
    wire: Wire,
    offers: Offers,
    mailboxes: Vec<String>,
    ends: Millis,
}

struct Wire {
    client: Client<Meter>,
    limit: Duration,
    tags: u32,
}

impl Session {
    /// Greets, logs in and finds the Sent mailbox over a stream that somebody else opened; each answer must come within
    /// the limit.
    ///
    /// # Errors
    /// What kept it from that.
    pub async fn open(
        stream: impl Transport,
        limit: Duration,
        account: &AccountId,
        token: &AccessToken,
    ) -> Result<Self, SentError> {
        let mut wire = Wire { client: Client::new(Meter::new(stream)), limit, tags: 0 };
        wire.greeting().await?;
        let offers = wire.capability().await?;
        let told = wire.log_in(offers, account, token).await?;
        let offers = match told {
            Some(told) => told,
            None => wire.capability().await?,
        };
        let mut listing = Listing::default();
        wire.command("LIST", r#"LIST "" "*""#, |response| listing.hear(response)).await?;
        let mailboxes = listing.sent();
        if mailboxes.is_empty() {
            return Err(SentError::NoSentMailbox);
        }
        Ok(Self { wire, offers, mailboxes, ends: token.connection_ends() })
    }

    /// Whether it should be closed, because its token nears its end.
    #[must_use]
    pub fn is_spent(&self, now: Millis) -> bool {
        now >= self.ends
    }

    /// Looks once for a Message-ID, with its angle brackets.
    ///
    /// # Errors
    /// What kept the question from being answered; the connection is of no more use then.
    pub async fn look(&mut self, message_id: &str) -> Result<Looked, SentError> {
        self.search(&Query::new(message_id)?).await
    }

    /// Opens the mailbox anew, so that mail which came since is seen, and searches it.
    pub(super) async fn search(&mut self, query: &Query) -> Result<Looked, SentError> {
        let line = query.command(self.offers.gmail);
        let mut copies = 0;
        for mailbox in &self.mailboxes {
            self.wire.command("EXAMINE", &format!("EXAMINE {}", quoted(mailbox)), |_| {}).await?;
            let mut hits = None;
            let count = |response: &Response<'_>| {
                if let Response::MailboxData(MailboxDatum::Search(ids)) = response {
                    hits = Some(hits.unwrap_or(0) + ids.len());
                }
            };
            self.wire.command("SEARCH", &line, count).await?;
            match hits {
                Some(hits) => copies += hits,
                None => return Err(SentError::silent(Silence::Garbage, "OK to SEARCH, but no result")),
            }
        }
        let copies = u32::try_from(copies).unwrap_or(u32::MAX);
        Ok(if copies > 0 { Looked::Found(copies) } else { Looked::NotFound })
    }

    /// Says `LOGOUT` and closes.
    pub async fn close(mut self) {
        let saying = async {
            let _ = self.wire.command("LOGOUT", "LOGOUT", |_| {}).await;
            self.wire.client.get_mut().shutdown().await
        };
        let _ = timeout(LOGOUT_WITHIN, saying).await;
    }
}

impl Wire {
    async fn greeting(&mut self) -> Result<(), SentError> {
        let greeting = timeout(self.limit, self.client.read_response()).await.map_err(|_| late())?;
        if let Response::Data { status, outcome } = heard(greeting)?.parsed() {
            return match status {
                Status::Ok => Ok(()),
                Status::PreAuth | Status::Bye | Status::No | Status::Bad => {
                    Err(SentError::silent(Silence::Closed, &words(outcome)))
                }
            };
        }
        Err(SentError::silent(Silence::Garbage, "no IMAP greeting"))
    }

    async fn capability(&mut self) -> Result<Offers, SentError> {
        let mut offers = None;
        self.command("CAPABILITY", "CAPABILITY", |response| note_offers(response, &mut offers)).await?;
        Ok(offers.unwrap_or_default())
    }

    /// Logs in; answers with what the server offers from now on, if it says so by itself.
    async fn log_in(
        &mut self,
        offers: Offers,
        account: &AccountId,
        token: &AccessToken,
    ) -> Result<Option<Offers>, SentError> {
        if !offers.xoauth2 {
            return Err(SentError::refused(LOGIN, "the server does not offer AUTH=XOAUTH2 (Postroom did not ask)"));
        }
        let response = initial_response(account, token);
        let limit = self.limit;
        let dialogue = async {
            let mut response = Some(response.expose_secret());
            let (blank, first) = response.take_if(|_| offers.sasl_ir).map_or(("", ""), |response| (" ", response));
            let line = concat(&[LOGIN_TAG, " ", LOGIN, " XOAUTH2", blank, first, "\r\n"]);
            self.write(line.expose_secret()).await?;
            let (mut told, mut challenged) = (None, false);
            loop {
                let heard = heard(self.client.read_response().await)?;
                end_at_bye(heard.parsed())?;
                note_offers(heard.parsed(), &mut told);
                if let Response::Continue(_) = heard.parsed() {
                    // The challenge only says "400"; the reason comes after an empty line.
                    challenged |= response.is_none();
                    let line = concat(&[response.take().unwrap_or_default(), "\r\n"]);
                    self.write(line.expose_secret()).await?;
                } else if let Some((status, outcome)) = done(heard.parsed(), LOGIN_TAG) {
                    let is_in = *status == Status::Ok;
                    return if is_in { Ok(told) } else { Err(login_error(status, outcome, challenged)) };
                }
            }
        };
        timeout(limit, dialogue).await.unwrap_or_else(|_| Err(late()))
    }

    /// Runs a command to its tagged OK; what comes before it is heard.
    async fn command(
        &mut self,
        name: &'static str,
        line: &str,
        mut hear: impl FnMut(&Response<'_>),
    ) -> Result<(), SentError> {
        let limit = self.limit;
        let dialogue = async {
            self.client.get_mut().reset();
            self.tags += 1;
            let own = format!("P{}", self.tags);
            self.write(&format!("{own} {line}\r\n")).await?;
            loop {
                let heard = heard(self.client.read_response().await)?;
                end_at_bye(heard.parsed())?;
                hear(heard.parsed());
                if let Some((status, outcome)) = done(heard.parsed(), &own) {
                    let is_ok = *status == Status::Ok;
                    return if is_ok { Ok(()) } else { Err(SentError::refused(name, &words(outcome))) };
                }
            }
        };
        timeout(limit, dialogue).await.unwrap_or_else(|_| Err(late()))
    }

    async fn write(&mut self, text: &str) -> Result<(), SentError> {
        let stream = self.client.get_mut();
        stream.write_all(text.as_bytes()).await.map_err(|error| broken(&error))?;
        stream.flush().await.map_err(|error| broken(&error))
    }
}
