//! The frozen bytes of a mail with their envelope: made once, at the door, and the same at every attempt.
//!
//! Date, Message-ID and MIME boundaries come from the arguments, so freezing twice gives the same bytes. No Bcc
//! header is ever written.

mod header;
mod parts;
mod read;
mod thread;

use std::fmt;

pub use self::read::{ReadAttachment, ReadMessage, read};
pub use self::thread::root_of;

use crate::address::Address;
use crate::clock::Millis;
use crate::id::MailId;
use crate::mail::{Content, Faults, Mail, Parts, Raw};

/// Bytes of a message that Gmail takes (its `SIZE`).
pub const MAX_BYTES: usize = 35_882_577;
/// Characters of the subject that are kept for display.
const SHOWN_SUBJECT: usize = 200;

/// What goes over the wire, byte for byte, and to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sends it to whom.
    pub envelope: Envelope,
    /// Its Message-ID with the angle brackets: the name under which Gmail can be asked for it.
    pub message_id: String,
    /// Its subject, decoded and cut to 200 characters, for display.
    pub subject: String,
    /// Headers and body, CRLF at the end of every line.
    pub bytes: Vec<u8>,
}

/// Who sends a message to whom, whatever its headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// For `MAIL FROM`.
    pub from: Address,
    /// One `RCPT TO` each.
    pub recipients: Vec<Address>,
    /// How many of them are copies (Cc): those before the hidden ones.
    pub cc: u8,
    /// How many of them are hidden (Bcc): the last ones.
    pub bcc: u8,
}

impl Message {
    /// Freezes `mail`, known as `id` from here on, at `now`.
    ///
    /// # Errors
    /// The message is larger than Gmail takes.
    pub fn freeze(mail: &Mail, id: MailId, now: Millis) -> Result<Self, Faults> {
        let ours = format!("<{id}@{}>", mail.from.address.domain());
        let date = date(mail.send_at().map_or(now, |at| at.max(now)));
        let (message_id, bytes) = match &mail.content {
            Content::Parts(parts) => {
                let bytes = from_parts(mail, parts, id, &ours, &date);
                (ours, bytes)
            }
            Content::Raw(raw) => from_raw(raw, ours, &date),
        };
        if bytes.len() > MAX_BYTES {
            let size = bytes.len();
            let message = format!(
                "the message is {size} bytes long, Gmail takes {MAX_BYTES} at most (attachments grow by a third): \
                 send a link instead of the largest attachment"
            );
            return Err(Faults::one("", message));
        }
        Ok(Self {
            envelope: Envelope {
                from: mail.from.address.clone(),
                recipients: mail.recipients.clone(),
                cc: mail.copies.cc,
                bcc: mail.copies.bcc,
            },
            message_id,
            subject: mail.subject.chars().take(SHOWN_SUBJECT).collect(),
            bytes,
        })
    }

    /// Whether the server has to offer SMTPUTF8: an address of the envelope or a header is not ASCII.
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        let headers = self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(self.bytes.len());
        let mut addresses = self.envelope.recipients.iter().chain([&self.envelope.from]);
        addresses.any(|address| !address.reveal().is_ascii()) || !self.bytes[..headers].is_ascii()
    }
}

/// Sizes only: a message's words belong in no log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("envelope", &self.envelope)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

fn from_parts(mail: &Mail, parts: &Parts, id: MailId, message_id: &str, date: &str) -> Vec<u8> {
    let mut top = String::with_capacity(1_024);
    header::mailboxes(&mut top, "From", std::slice::from_ref(&mail.from));
    header::mailboxes(&mut top, "To", &parts.to);
    header::mailboxes(&mut top, "Cc", &parts.cc);
    if parts.to.is_empty() && parts.cc.is_empty() {
        header::plain(&mut top, "To", "undisclosed-recipients:;");
    }
    header::mailboxes(&mut top, "Reply-To", &parts.reply_to);
    if !mail.subject.is_empty() {
        header::text(&mut top, "Subject", &mail.subject);
    }
    header::plain(&mut top, "Date", date);
    header::plain(&mut top, "Message-ID", message_id);
    for (name, value) in &parts.headers {
        header::text(&mut top, name, value);
    }
    header::plain(&mut top, "MIME-Version", "1.0");
    parts::write(top.into_bytes(), parts, id)
}

/// The app's message, with a Message-ID and a Date in front if it has none.
fn from_raw(raw: &Raw, ours: String, date: &str) -> (String, Vec<u8>) {
    let mut top = String::new();
    if raw.message_id.is_none() {
        header::plain(&mut top, "Message-ID", &ours);
    }
    if !raw.has_date {
        header::plain(&mut top, "Date", date);
    }
    let mut bytes = Vec::with_capacity(top.len() + raw.bytes.len());
    bytes.extend_from_slice(top.as_bytes());
    bytes.extend_from_slice(&raw.bytes);
    (raw.message_id.clone().unwrap_or(ours), bytes)
}

/// RFC 5322, in UTC. A time that no calendar has (year 10,000) becomes 1970 instead of a panic.
fn date(at: Millis) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or_default();
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests;
