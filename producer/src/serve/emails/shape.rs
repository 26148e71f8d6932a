//! What a mail looks like that is handed over, and what is answered: Resend's fields, and what Postroom has besides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, Outlook};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::client::Sent;
use crate::serve::error::FaultBody;

/// A mail to be sent. Unknown fields are refused: a misspelt `bcc` must not be lost in silence.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what the parser of mails reads, which tells all faults at once")]
pub(super) struct EmailRequest {
    /// `a@b.example` or `Name <a@b.example>`: an account's address or one of its aliases.
    #[schema(example = "Shop <shop@example.com>")]
    from: String,
    /// Recipients, at most 100 over to, cc and bcc.
    #[schema(example = "delivered@postroom.test")]
    to: Option<Addresses>,
    /// Recipients that are shown as copied.
    cc: Option<Addresses>,
    /// Recipients that nobody else sees.
    bcc: Option<Addresses>,
    /// Where answers go, if not to the sender.
    reply_to: Option<Addresses>,
    /// The subject.
    #[schema(example = "Your order 1001")]
    subject: Option<String>,
    /// The body as plain text.
    #[schema(example = "Thank you.")]
    text: Option<String>,
    /// The body as HTML. Give text, html or both, or a template.
    html: Option<String>,
    /// A template that makes subject and body: `welcome`, `welcome@3`, or an object. A subject of the mail's own wins.
    template: Option<TemplateChoice>,
    /// Postroom: what the template makes the mail of, if `template` does not hold it.
    #[schema(value_type = Option<Object>)]
    variables: Option<Value>,
    /// Further headers, which go out as given; at most 100.
    headers: Option<BTreeMap<String, HeaderValue>>,
    /// Files that go with the mail.
    attachments: Option<Vec<AttachmentRequest>>,
    /// Your own marks, told in listings; they do not go out. At most 50.
    tags: Option<Tags>,
    /// When it goes: RFC 3339 with an offset, Unix seconds, or words such as `in 1 min`; at most 30 days ahead.
    #[schema(example = "in 1 min")]
    scheduled_at: Option<TextOrNumber>,
    /// Postroom: the account that sends it; default: the one that `from` belongs to.
    account: Option<String>,
    /// Postroom: instead of `account`, a pool of which one account sends it.
    pool: Option<String>,
    /// Postroom: `urgent`, `normal` or `bulk`, the order within the account.
    priority: Option<Priority>,
    /// Postroom: how long it is tried, such as `15m`, `24h` or `3d`; 1 s to 30 d.
    #[schema(example = "24h")]
    ttl: Option<TextOrNumber>,
    /// Postroom: as the header `Idempotency-Key`, which wins.
    idempotency_key: Option<String>,
}

/// One address, several with commas, or an array of them.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum Addresses {
    One(String),
    Several(Vec<String>),
}

/// A header's value; a number stands for its digits.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum HeaderValue {
    Text(String),
    Number(f64),
}

/// Words, or a whole number of seconds.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum TextOrNumber {
    Text(String),
    Seconds(i64),
}

/// Marks, as a list of names with values or of words alone, or as a map of name to value.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum Tags {
    List(Vec<TagRequest>),
    Map(BTreeMap<String, String>),
}

#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum TagRequest {
    Full(NewTag),
    Word(String),
}

/// A mark of the app's own, to be given to a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
struct NewTag {
    /// Its name: ASCII letters, digits, `_` and `-`.
    name: String,
    /// Its value, of the same characters; default: empty.
    value: Option<String>,
}

/// Which template.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum TemplateChoice {
    Name(String),
    Full(MailTemplate),
}

/// A template and its variables.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
struct MailTemplate {
    /// Its name.
    #[schema(example = "welcome")]
    id: String,
    /// Postroom: which version; default: the newest.
    version: Option<u32>,
    /// What it makes the mail of.
    #[schema(value_type = Option<Object>)]
    variables: Option<Value>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Urgent,
    Normal,
    Bulk,
}

/// A file that goes with the mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes")]
struct AttachmentRequest {
    /// Its name, as the receiver sees it; default: `attachment-1` and so on.
    #[schema(example = "invoice.pdf")]
    filename: Option<Filename>,
    /// Its bytes in base64, or as numbers (JavaScript's Buffer is understood, too).
    #[schema(example = "SGVsbG8=")]
    content: Content,
    /// Its MIME type; default: guessed from the name.
    content_type: Option<String>,
    /// What the HTML calls it (`cid:…`); default: a file to download.
    content_id: Option<String>,
}

/// A file's name; false: none, as Node's clients may say.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum Filename {
    Name(String),
    No(bool),
}

/// Bytes of a file.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes")]
enum Content {
    Base64(String),
    Bytes(Vec<Byte>),
}

#[derive(Deserialize, ToSchema)]
#[schema(minimum = 0, maximum = 255)]
#[expect(dead_code, reason = "describes")]
struct Byte(u8);

/// A mark of the app's own.
#[derive(Serialize, ToSchema)]
pub(super) struct TagBody {
    /// Its name.
    pub(super) name: String,
    /// Its value.
    pub(super) value: String,
}

/// A mail that Redis has.
#[derive(Serialize, ToSchema)]
pub(super) struct SentBody {
    /// Names the mail from here on.
    #[schema(value_type = String, format = Uuid)]
    id: MailId,
    /// Where it stands.
    #[schema(value_type = String, example = "ready")]
    state: MailState,
    #[serde(flatten)]
    more: MoreOfSent,
    #[serde(flatten)]
    prospects: Prospects,
}

impl SentBody {
    pub(super) fn new(sent: &Sent, state: MailState, outlook: Option<Outlook>) -> Self {
        Self { id: sent.id, state, more: sent.into(), prospects: outlook.into() }
    }
}

/// When a mail will probably go, and why not now.
#[derive(Serialize, ToSchema)]
pub(super) struct Prospects {
    /// When it will probably go; absent if a person must act first, or nothing more happens to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    estimated_at: Option<String>,
    /// Why not now, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    /// Why its account is held, where that is what keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_for: Option<&'static str>,
    /// The same in one sentence, with what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Option<Outlook>> for Prospects {
    fn from(outlook: Option<Outlook>) -> Self {
        let Some(outlook) = outlook else { return Self { estimated_at: None, why: None, held_for: None, note: None } };
        Self {
            estimated_at: outlook.likely_at.map(time),
            why: outlook.why.map(postroom_shared::queue::Why::as_str),
            held_for: outlook.reason.map(postroom_shared::reason::Reason::as_str),
            note: Some(outlook.note),
        }
    }
}

/// The id of a mail.
#[derive(Serialize, ToSchema)]
pub(super) struct IdBody {
    /// Names the mail from here on.
    #[schema(value_type = String, format = Uuid)]
    id: MailId,
    #[serde(flatten)]
    more: MoreOfSent,
}

impl IdBody {
    pub(super) fn new(sent: &Sent) -> Self {
        Self { id: sent.id, more: sent.into() }
    }
}

/// What is told of a mail that Redis has only where it says something.
#[derive(Serialize, ToSchema)]
struct MoreOfSent {
    /// The same mail came before with the same key: this is its id, and nothing was stored now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    known: bool,
    /// It is a test mail: nothing is sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
    /// When it shall go, if that is not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    scheduled_at: Option<String>,
}

impl From<&Sent> for MoreOfSent {
    fn from(sent: &Sent) -> Self {
        Self { known: sent.known, test: sent.test, scheduled_at: sent.send_at.map(time) }
    }
}

/// A batch that Redis has.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchBody {
    /// The mails that Redis has, in their order.
    pub(super) data: Vec<IdBody>,
    /// Permissive: the mails that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) errors: Option<Vec<BatchFault>>,
}

/// A mail of a batch that was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchFault {
    /// Its place in the batch, from 0.
    pub(super) index: usize,
    /// All that is wrong with it.
    pub(super) message: String,
    /// The same, each thing with its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<FaultBody>,
    /// The mail that came before with its idempotency key, if that is what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub(super) id: Option<MailId>,
}

/// The answer to a change of a mail.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedBody {
    /// Always `email`.
    pub(super) object: &'static str,
    /// The mail.
    #[schema(value_type = String, format = Uuid)]
    pub(super) id: MailId,
    /// It was so before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) known: bool,
}

/// A time as Resend writes it: RFC 3339 with an offset.
pub(in crate::serve) fn time(at: Millis) -> String {
    match i64::try_from(at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok()) {
        Some(at) => format!("{}+00:00", at.strftime("%Y-%m-%dT%H:%M:%S%.6f")),
        None => at.to_string(),
    }
}
