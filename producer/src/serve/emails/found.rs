//! What a mail looks like that was found: Resend's fields, all that its clients insist on, and what Postroom knows besides.
//!
//! Addresses stand here in the clear: they are for the app that handed the mail over.

use postroom_shared::account::AccountId;
use postroom_shared::mail::{Mailbox, Tag};
use postroom_shared::message::ReadMessage;
use postroom_shared::queue::{Event, MailState, MailStatus, RecipientFate, RecipientKind, What};
use postroom_shared::reason::Reason;
use postroom_shared::reply::Reply;
use serde::Serialize;
use utoipa::ToSchema;

use super::shape::{Prospects, TagBody, time};

/// A page of mails.
#[derive(Serialize, ToSchema)]
pub(super) struct EmailList {
    /// Always `list`.
    object: &'static str,
    /// There are more in the same direction.
    has_more: bool,
    /// With a filter, where the search goes on although nothing was found: give it as `after` (or `before`).
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The mails, the newest first.
    data: Vec<EmailSummary>,
}

impl EmailList {
    pub(super) fn new(has_more: bool, next: Option<String>, data: Vec<EmailSummary>) -> Self {
        Self { object: "list", has_more, next, data }
    }
}

/// A mail as listings show it.
#[derive(Serialize, ToSchema)]
pub(in crate::serve) struct EmailSummary {
    /// Names the mail.
    #[schema(format = Uuid)]
    id: String,
    /// The sender.
    from: String,
    /// Recipients.
    to: Vec<String>,
    /// Recipients that are shown as copied.
    cc: Vec<String>,
    /// Recipients that nobody else sees.
    bcc: Vec<String>,
    /// Where answers go; null: to the sender, or not known in a listing.
    reply_to: Option<Vec<String>>,
    /// The subject, cut in a listing.
    subject: String,
    /// When it was handed over.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it shall go, if it waits for that.
    #[schema(format = DateTime)]
    scheduled_at: Option<String>,
    /// `scheduled`, `queued`, `delivery_delayed` (failed for now), `sent` (Gmail has it), `bounced`, `failed` or `canceled`.
    last_event: &'static str,
    /// The app's own marks.
    tags: Vec<TagBody>,
    /// Postroom's own word: `scheduled`, `ready`, `sending`, `retry`, `sent`, `dead`, `cancelled` or `discarded`.
    state: &'static str,
    /// Why it waits, died or was sent: one word of the closed list of reasons.
    reason: Option<&'static str>,
    /// The account that sends it.
    account: String,
    /// The pool that it belongs to.
    pool: Option<String>,
    /// `urgent`, `normal` or `bulk`.
    priority: &'static str,
    /// It is a test mail: nothing is sent.
    test: bool,
    /// Attempts so far.
    attempts: u32,
    /// Until when it is tried.
    #[schema(format = DateTime)]
    deadline: String,
    /// Its `Message-ID`, by which the receiver knows it.
    message_id: Option<String>,
}

impl From<&MailStatus> for EmailSummary {
    fn from(status: &MailStatus) -> Self {
        let of = |kind: RecipientKind| {
            let stood = status.recipients.iter().filter(|one| one.kind == kind);
            stood.map(|one| one.address.reveal().to_owned()).collect()
        };
        Self {
            id: status.id.to_string(),
            from: status.from.as_ref().map_or(String::new(), |from| from.reveal().to_owned()),
            to: of(RecipientKind::To),
            cc: of(RecipientKind::Cc),
            bcc: of(RecipientKind::Bcc),
            reply_to: None,
            subject: status.subject.clone().unwrap_or_default(),
            created_at: time(status.queued_at),
            scheduled_at: (status.state == MailState::Scheduled).then(|| time(status.at)),
            last_event: last_event(status),
            tags: status.tags.iter().map(tag).collect(),
            state: status.state.as_str(),
            reason: status.reason.map(Reason::as_str),
            account: status.account.reveal().to_owned(),
            pool: status.pool.as_ref().map(|pool| pool.as_str().to_owned()),
            priority: status.priority.as_str(),
            test: status.test,
            attempts: status.attempts,
            deadline: time(status.deadline),
            message_id: status.message_id.clone(),
        }
    }
}

fn tag(tag: &Tag) -> TagBody {
    TagBody { name: tag.name.clone(), value: tag.value.clone() }
}

/// One mail.
#[derive(Serialize, ToSchema)]
pub(super) struct EmailBody {
    /// Always `email`.
    object: &'static str,
    #[serde(flatten)]
    summary: EmailSummary,
    /// The body as HTML; null: it has none, or its bytes are deleted because it is done.
    html: Option<String>,
    /// The body as plain text; null as above.
    text: Option<String>,
    /// Every recipient and what became of it.
    recipients: Vec<RecipientBody>,
    #[serde(flatten)]
    prospects: Prospects,
}

impl EmailBody {
    pub(super) fn new(status: &MailStatus, content: Option<ReadMessage>) -> Self {
        let mut summary = EmailSummary::from(status);
        let (mut html, mut text) = (None, None);
        if let Some(content) = content {
            let all = |list: &[Mailbox]| list.iter().map(in_the_clear).collect::<Vec<_>>();
            summary.from = content.from.as_ref().map_or(summary.from, in_the_clear);
            (summary.to, summary.cc) = (all(&content.to), all(&content.cc));
            summary.reply_to = (!content.reply_to.is_empty()).then(|| all(&content.reply_to));
            summary.subject = content.subject;
            (html, text) = (content.html, content.text);
        }
        Self {
            object: "email",
            summary,
            html,
            text,
            recipients: status.recipients.iter().map(RecipientBody::from).collect(),
            prospects: status.outlook.clone().into(),
        }
    }
}

/// `Name <a@b.example>`, as the app would write it.
fn in_the_clear(mailbox: &Mailbox) -> String {
    let address = mailbox.address.reveal();
    match mailbox.name.as_deref().filter(|name| !name.is_empty()) {
        None => address.to_owned(),
        Some(name) if name.contains(|c: char| "()<>[]:;@\\,.\"".contains(c)) => {
            format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(name) => format!("{name} <{address}>"),
    }
}

/// What became of one recipient.
#[derive(Serialize, ToSchema)]
struct RecipientBody {
    /// Who.
    address: String,
    /// `delivered` (Gmail took it), `refused`, `failed` or `waiting`.
    fate: String,
    /// What the server said, if it refused.
    reply: Option<ReplyBody>,
}

impl From<&RecipientFate> for RecipientBody {
    fn from(recipient: &RecipientFate) -> Self {
        Self {
            address: recipient.address.reveal().to_owned(),
            fate: recipient.fate.clone(),
            reply: recipient.reply.as_ref().map(ReplyBody::from),
        }
    }
}

/// What a server said.
#[derive(Serialize, ToSchema)]
struct ReplyBody {
    /// At which stage of the dialogue, such as `rcpt`.
    stage: &'static str,
    /// Three digits; null: it fell silent.
    code: Option<u16>,
    /// Its words, or how it fell silent.
    text: String,
}

impl From<&Reply> for ReplyBody {
    fn from(reply: &Reply) -> Self {
        Self { stage: reply.stage.as_str(), code: reply.code(), text: reply.words() }
    }
}

/// All that happened to one mail.
#[derive(Serialize, ToSchema)]
pub(super) struct TimelineBody {
    /// Always `list`.
    object: &'static str,
    /// The mail.
    #[schema(format = Uuid)]
    id: String,
    /// Where it stands.
    state: &'static str,
    /// What happened, the oldest first.
    data: Vec<EventBody>,
}

impl TimelineBody {
    pub(super) fn of(status: &MailStatus) -> Self {
        Self {
            object: "list",
            id: status.id.to_string(),
            state: status.state.as_str(),
            data: status.timeline.iter().map(EventBody::from).collect(),
        }
    }
}

/// Something that happened to a mail. What is not told of it is left out.
#[derive(Serialize, Default, ToSchema)]
struct EventBody {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `queued`, `attempt`, `taken_back`, `rescheduled`, `cancelled`, `retried`, `moved`, `dead`, `discarded`, `dropped` or
    /// `doubled`.
    event: &'static str,
    /// An attempt: its number, from 1; one that costs no attempt repeats the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Why: one word of the closed list of reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What the reason means and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'static str>,
    /// An attempt: what follows, `sent`, `retry`, `check`, `dead` or `back`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// When it is tried again, or goes from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    until: Option<String>,
    /// The worker's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    /// What the server said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<ReplyBody>,
    /// The account from then on, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// In words of its own, where there are some.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<&Event> for EventBody {
    fn from(event: &Event) -> Self {
        let body = Self { at: time(event.at), ..Self::of(&event.what) };
        Self {
            help: reason_of(&event.what).map(Reason::help),
            reason: reason_of(&event.what).map(Reason::as_str),
            ..body
        }
    }
}

fn reason_of(what: &What) -> Option<Reason> {
    match what {
        What::Attempt(attempt) => Some(attempt.reason),
        What::TakenBack { reason, .. } | What::Dead { reason } => Some(*reason),
        What::Queued
        | What::Doubled
        | What::Cancelled
        | What::Retried { .. }
        | What::Rescheduled { .. }
        | What::Moved { .. }
        | What::Discarded
        | What::Dropped { .. } => None,
    }
}

impl EventBody {
    fn of(what: &What) -> Self {
        let called = |event| Self { event, ..Self::default() };
        let account = |account: &AccountId| Some(account.reveal().to_owned());
        match what {
            What::Queued => called("queued"),
            What::Attempt(attempt) => Self {
                attempt: Some(attempt.number),
                next: Some(attempt.next.clone()),
                until: attempt.retry_at.map(time),
                worker: Some(attempt.worker.clone()),
                reply: attempt.reply.as_ref().map(ReplyBody::from),
                ..called("attempt")
            },
            What::TakenBack { worker, .. } => Self { worker: Some(worker.clone()), ..called("taken_back") },
            What::Dead { .. } => called("dead"),
            What::Doubled => called("doubled"),
            What::Cancelled => called("cancelled"),
            What::Retried { via } => Self { account: via.as_ref().and_then(account), ..called("retried") },
            What::Rescheduled { to } => Self { until: Some(time(*to)), ..called("rescheduled") },
            What::Moved { to, why, .. } => Self { account: account(to), note: Some(why.clone()), ..called("moved") },
            What::Discarded => called("discarded"),
            What::Dropped { limit } => Self { note: Some(limit.clone()), ..called("dropped") },
        }
    }
}

/// Resend's word for what happened last. Postroom knows that Gmail took a mail, not that it lies in the mailbox: `sent`, never
/// `delivered`.
fn last_event(status: &MailStatus) -> &'static str {
    let is_refused = || status.recipients.iter().any(|one| one.fate == "refused");
    match status.state {
        MailState::Scheduled => "scheduled",
        MailState::Ready | MailState::Sending => "queued",
        MailState::Retry => "delivery_delayed",
        MailState::Sent => "sent",
        MailState::Dead | MailState::Discarded if is_refused() => "bounced",
        MailState::Dead | MailState::Discarded => "failed",
        MailState::Cancelled => "canceled",
    }
}
