//! A mail as a Rust app writes it down: plain fields with defaults, turned into JSON and parsed at the door.
//!
//! Nothing is checked in here, so that there is one parser and one set of words for what is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_shared::mail::Priority;
use serde::Serialize;
use serde_json::{Value, json};

/// A mail to be sent. Write the fields you need and leave the rest to `..NewMail::default()`.
#[derive(Clone, Default)]
pub struct NewMail {
    /// The sender, `a@b.example` or `Name <a@b.example>`: an account's address or one of its aliases.
    pub from: String,
    /// Recipients, each `a@b.example` or `Name <a@b.example>`; 100 over to, cc and bcc.
    pub to: Vec<String>,
    /// Recipients that are shown as copied.
    pub cc: Vec<String>,
    /// Recipients that nobody else sees.
    pub bcc: Vec<String>,
    /// Where answers go, if not to the sender.
    pub reply_to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// The body as plain text; give this, `html` or both.
    pub text: Option<String>,
    /// The body as HTML.
    pub html: Option<String>,
    /// The template that makes subject and body of [`variables`](Self::variables), such as `welcome` (its newest version) or
    /// `welcome@3`; leave `text` and `html` out then. A `subject` of its own takes the place of the template's.
    pub template: Option<String>,
    /// What the template makes the mail of: an object.
    pub variables: Option<Value>,
    /// Further headers, which go out as given.
    pub headers: BTreeMap<String, String>,
    /// Files that go with the mail.
    pub attachments: Vec<NewAttachment>,
    /// Your own labels, told in listings; they do not go out.
    pub tags: BTreeMap<String, String>,
    /// The account that sends it; `None`: the one that `from` belongs to.
    pub account: Option<String>,
    /// The pool of which one account sends it, instead of `account`.
    pub pool: Option<String>,
    /// How soon it goes among the account's mails.
    pub priority: Priority,
    /// When it shall go; `None`: now.
    pub send_at: Option<SystemTime>,
    /// How long it may be tried, in whole seconds; `None`: as Postroom's settings say.
    pub ttl: Option<Duration>,
    /// Two mails with the same key are one: makes handing over again safe.
    pub idempotency_key: Option<String>,
}

/// A file that goes with a mail.
#[derive(Clone, Default)]
pub struct NewAttachment {
    /// Its name, as the receiver sees it.
    pub filename: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its MIME type; `None`: guessed from the name.
    pub content_type: Option<String>,
    /// What the HTML calls it (`cid:…`); `None`: a file to download.
    pub content_id: Option<String>,
}

impl NewMail {
    /// The mail in the JSON form that the CLI and the HTTP API take.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "from": self.from,
            "to": self.to,
            "cc": self.cc,
            "bcc": self.bcc,
            "reply_to": self.reply_to,
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "template": self.template,
            "variables": self.variables,
            "headers": given(&self.headers),
            "attachments": self.attachments.iter().map(NewAttachment::to_json).collect::<Vec<_>>(),
            "tags": given(&self.tags),
            "account": self.account,
            "pool": self.pool,
            "priority": self.priority,
            "send_at": self.send_at.map(written),
            "ttl": self.ttl.map(|ttl| ttl.as_secs()),
            "idempotency_key": self.idempotency_key,
        })
    }
}

impl NewAttachment {
    fn to_json(&self) -> Value {
        json!({
            "filename": self.filename,
            "content": STANDARD.encode(&self.content),
            "content_type": self.content_type,
            "content_id": self.content_id,
        })
    }
}

/// An empty map is not given.
fn given(map: &BTreeMap<String, String>) -> Option<impl Serialize + '_> {
    (!map.is_empty()).then_some(map)
}

/// RFC 3339; a time that no calendar has is told by the parser.
fn written(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| "out of any calendar".to_owned(), |at| at.to_string())
}

/// Shapes only: a mail's words belong in no log.
impl fmt::Debug for NewMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipients = self.to.len() + self.cc.len() + self.bcc.len();
        write!(f, "NewMail({recipients} recipients, {} attachments)", self.attachments.len())
    }
}

impl fmt::Debug for NewAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAttachment({} bytes)", self.content.len())
    }
}

#[cfg(test)]
mod tests {
    use postroom_shared::clock::Millis;
    use postroom_shared::mail::Mail;

    use super::*;

    #[test]
    fn every_field_is_one_that_the_parser_knows() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mail = NewMail {
            from: "Shop <shop@example.com>".into(),
            to: vec!["Ann <ann@example.org>".into()],
            bcc: vec!["bob@example.org".into()],
            subject: "Hello".into(),
            text: Some("Hi".into()),
            headers: [("X-Order".into(), "1001".into())].into(),
            attachments: vec![NewAttachment {
                filename: "a.txt".into(),
                content: b"hi".to_vec(),
                ..NewAttachment::default()
            }],
            tags: [("kind".into(), "order".into())].into(),
            priority: Priority::Urgent,
            send_at: Some(now + Duration::from_secs(60)),
            ttl: Some(Duration::from_secs(900)),
            idempotency_key: Some("order-1001".into()),
            ..NewMail::default()
        };
        let parsed = Mail::from_json(&mail.to_json(), Millis(1_800_000_000_000)).unwrap();
        assert_eq!(parsed.recipients().len(), 2);
        assert_eq!(parsed.priority(), Priority::Urgent);
        assert_eq!(parsed.send_at(), Some(Millis(1_800_000_060_000)));
        assert_eq!(parsed.ttl(), Some(Duration::from_secs(900)));
        assert_eq!(format!("{mail:?}"), "NewMail(2 recipients, 1 attachments)");
        assert!(Mail::from_json(&NewMail::default().to_json(), Millis(0)).is_err());
    }
}
