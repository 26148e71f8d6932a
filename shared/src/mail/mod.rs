//! What an app asks to have sent: a [`Mail`], parsed at the door and never changed afterwards.
//!
//! All faults of a mail are told at once, by field. Nothing in here reads a clock, and no fault repeats an
//! address or a content in the clear.

mod attachment;
mod document;
mod eml;
mod fault;
mod header;
mod json;
mod mailbox;
mod priority;
mod tag;
mod time;
mod words;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

pub use self::attachment::Attachment;
pub use self::document::read as read_json;
pub(crate) use self::eml::mailbox as read_mailbox;
pub use self::fault::{Fault, Faults, unknown};
pub use self::mailbox::Mailbox;
pub use self::priority::Priority;
pub use self::tag::Tag;
pub use self::time::{LONGEST_WAIT, send_time, time_to_live};
use crate::account::AccountId;
use crate::address::Address;
use crate::clock::Millis;
use crate::pool::PoolName;

/// Recipients of one mail, over to, cc and bcc: what Gmail takes over SMTP.
pub const MAX_RECIPIENTS: usize = 100;

/// A mail, checked: whoever holds one can have it frozen into a [`crate::message::Message`].
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    pub(crate) from: Mailbox,
    /// Those of To, then of Cc, then of Bcc.
    pub(crate) recipients: Vec<Address>,
    pub(crate) copies: Copies,
    pub(crate) subject: String,
    pub(crate) content: Content,
    pub(crate) options: Options,
}

/// How many recipients there are besides those of To.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Copies {
    pub(crate) cc: u8,
    pub(crate) bcc: u8,
}

/// What is sent: parts that Postroom makes a message of, or a message that the app made.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Parts(Box<Parts>),
    Raw(Raw),
}

/// The parts of a message. There is no bcc among them, so that none can be written into a header.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    pub(crate) to: Vec<Mailbox>,
    pub(crate) cc: Vec<Mailbox>,
    pub(crate) reply_to: Vec<Mailbox>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) attachments: Vec<Attachment>,
}

/// A message that the app made: CRLF everywhere, no Bcc, no option headers, no invalid Message-ID.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
    pub(crate) message_id: Option<String>,
    pub(crate) has_date: bool,
}

/// What the app wants done with the mail; no part of the message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) tags: Vec<Tag>,
    pub(crate) account: Option<AccountId>,
    pub(crate) pool: Option<PoolName>,
    pub(crate) priority: Priority,
    pub(crate) send_at: Option<Millis>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) idempotency_key: Option<String>,
}

impl Mail {
    /// Parses a mail given as a JSON object.
    ///
    /// # Errors
    /// All faults of it, each with its field.
    pub fn from_json(value: &Value, now: Millis) -> Result<Self, Faults> {
        json::parse(value, now)
    }

    /// Parses a mail given as the bytes of a JSON object. Unlike a [`Value`], bytes can name a field twice: refused.
    ///
    /// # Errors
    /// All faults of it, each with its field.
    pub fn from_json_bytes(bytes: &[u8], now: Millis) -> Result<Self, Faults> {
        json::parse(&document::read(bytes)?, now)
    }

    /// Parses a ready message (RFC 5322, an `.eml` file); To, Cc and Bcc are its recipients. Its body is kept as it is.
    ///
    /// # Errors
    /// All faults of it, each with its header or its line.
    pub fn from_eml(bytes: &[u8], now: Millis) -> Result<Self, Faults> {
        eml::parse(bytes, None, now)
    }

    /// Like [`Mail::from_eml`], but for the recipients: they come from the envelope that an SMTP client gave.
    ///
    /// # Errors
    /// All faults of it, each with its header or its line.
    pub fn from_eml_to(bytes: &[u8], recipients: Vec<Address>, now: Millis) -> Result<Self, Faults> {
        eml::parse(bytes, Some(recipients), now)
    }

    /// Who it is from.
    #[must_use]
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Everyone it goes to, over to, cc and bcc, each mailbox once.
    #[must_use]
    pub fn recipients(&self) -> &[Address] {
        &self.recipients
    }

    /// Its subject, decoded; empty if it has none.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The app's own labels.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.options.tags
    }

    /// The account that shall send it; `None`: the one that owns its From address.
    #[must_use]
    pub fn account(&self) -> Option<&AccountId> {
        self.options.account.as_ref()
    }

    /// The pool of which one account shall send it.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolName> {
        self.options.pool.as_ref()
    }

    /// How soon it shall go, compared with others of its account.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.options.priority
    }

    /// When it shall go; `None`: now.
    #[must_use]
    pub fn send_at(&self) -> Option<Millis> {
        self.options.send_at
    }

    /// How long Postroom may try; `None`: as the settings say.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.options.ttl
    }

    /// Two mails with the same key are one.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.options.idempotency_key.as_deref()
    }

    /// The same mail, sent by `account`.
    #[must_use]
    pub fn with_account(mut self, account: AccountId) -> Self {
        self.options.account = Some(account);
        self.options.pool = None;
        self
    }

    /// A key that mails may be handed over under.
    ///
    /// # Errors
    /// The key is empty, too long or not printable ASCII.
    pub fn check_idempotency_key(key: &str) -> Result<String, Faults> {
        json::idempotency_key(key).map_err(|message| Faults::one("idempotency_key", message))
    }

    /// The same mail under another idempotency key, as the HTTP header `Idempotency-Key` asks for.
    ///
    /// # Errors
    /// The key is empty, too long or not printable ASCII.
    pub fn with_idempotency_key(mut self, key: &str) -> Result<Self, Faults> {
        self.options.idempotency_key = Some(Self::check_idempotency_key(key)?);
        Ok(self)
    }
}

/// Shapes and sizes only: a mail's words belong in no log.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.content {
            Content::Parts(parts) => format!("parts, {} attachments", parts.attachments.len()),
            Content::Raw(raw) => format!("raw, {} bytes", raw.bytes.len()),
        };
        f.debug_struct("Mail")
            .field("from", &self.from)
            .field("recipients", &self.recipients.len())
            .field("content", &kind)
            .field("priority", &self.options.priority)
            .finish_non_exhaustive()
    }
}

/// A mail is sent by an account or by a pool.
fn check_sender(options: &Options, field: &str, faults: &mut Faults) {
    if options.account.is_some() && options.pool.is_some() {
        faults.add(field, "an account is given, too: give one of them");
    }
}

/// Everyone in To, Cc and Bcc, each mailbox once, in this order, compared without regard to case.
fn distinct(to: Vec<Address>, cc: Vec<Address>, bcc: Vec<Address>) -> (Vec<Address>, Copies) {
    let mut seen = HashSet::new();
    let mut all: Vec<Address> = Vec::with_capacity(to.len() + cc.len() + bcc.len());
    let mut add = |some: Vec<Address>| {
        let before = all.len();
        all.extend(some.into_iter().filter(|address| seen.insert(address.reveal().to_lowercase())));
        u8::try_from(all.len() - before).unwrap_or(u8::MAX)
    };
    add(to);
    let copies = Copies { cc: add(cc), bcc: add(bcc) };
    (all, copies)
}

/// At least one recipient, at most [`MAX_RECIPIENTS`].
fn check_recipients(recipients: &[Address], faults: &mut Faults) {
    if recipients.is_empty() {
        faults.add("to", "no recipient: give at least one address in to, cc or bcc");
    } else if recipients.len() > MAX_RECIPIENTS {
        let count = recipients.len();
        faults.add(
            "to",
            format!(
                "{count} recipients over to, cc and bcc: Gmail takes {MAX_RECIPIENTS} a mail; split them over several mails"
            ),
        );
    }
}

#[cfg(test)]
mod tests;
