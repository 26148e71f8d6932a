//! A mail given as JSON, walked field by field so that all its faults are told at once.
//!
//! Unknown fields are refused: a misspelt `bcc` must not be lost in silence.

use serde_json::{Map, Value};

use super::fault::{Faults, unknown};
use super::mailbox::{MAX_LIST, Mailbox, parse_address, parse_list};
use super::{Content, Mail, Options, Parts, attachment, check_recipients, check_sender, distinct, header, tag, time};
use crate::account::AccountId;
use crate::clock::Millis;

const FIELDS: &[&str] = &[
    "from",
    "to",
    "cc",
    "bcc",
    "reply_to",
    "subject",
    "text",
    "html",
    "headers",
    "attachments",
    "tags",
    "account",
    "pool",
    "priority",
    "send_at",
    "ttl",
    "idempotency_key",
    "template",
    "variables",
];
/// Entries of a list of addresses that are looked at; far above what a mail may have.
const MAX_ENTRIES: usize = 1_000;
/// Unknown fields that are told.
const MAX_UNKNOWN: usize = 20;
const MAX_KEY: usize = 256;

/// The mail in `value`.
pub(super) fn parse(value: &Value, now: Millis) -> Result<Mail, Faults> {
    let mut faults = Faults::default();
    let Some(fields) = object(value, "", FIELDS, &mut faults) else {
        return Err(faults);
    };
    let mut walk = Walk { fields, faults: &mut faults };
    let from = walk.from();
    let (to, cc, bcc) = (walk.mailboxes("to"), walk.mailboxes("cc"), walk.mailboxes("bcc"));
    let reply_to = walk.mailboxes("reply_to").unwrap_or_default();
    let subject = walk.subject();
    let (text, html) = (walk.body("text"), walk.body("html"));
    let headers = walk.get("headers").map(|value| header::parse(value, walk.faults)).unwrap_or_default();
    let attachments = walk.get("attachments").map(|value| attachment::parse(value, walk.faults)).unwrap_or_default();
    let options = walk.options(now);
    check_sender(&options, "pool", walk.faults);
    let is_templated = walk.templated();
    if !is_templated && walk.get("text").or(walk.get("html")).is_none() {
        faults.add("", "no body: give text, html or both");
    }
    // A list that has faults of its own counts as given: one mistake, one fault.
    let recipients = match (to, cc, bcc) {
        (Some(to), Some(cc), Some(bcc)) => {
            let of = |list: &[Mailbox]| list.iter().map(|mailbox| mailbox.address.clone()).collect();
            let (recipients, copies) = distinct(of(&to), of(&cc), of(&bcc));
            check_recipients(&recipients, &mut faults);
            Some((recipients, copies, to, cc))
        }
        _ => None,
    };
    match (from, recipients) {
        (Some(from), Some((recipients, copies, to, cc))) => {
            let parts = Parts { to, cc, reply_to, text, html, headers, attachments };
            faults.or(Mail { from, recipients, copies, subject, content: Content::Parts(Box::new(parts)), options })
        }
        _ => Err(faults),
    }
}

/// The fields of one mail and the faults found so far.
struct Walk<'a> {
    fields: &'a Map<String, Value>,
    faults: &'a mut Faults,
}

impl<'a> Walk<'a> {
    /// A field that was given; null means not given.
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn string(&mut self, field: &str) -> Option<&'a str> {
        self.get(field).and_then(|value| string(value, field, self.faults))
    }

    /// What `read` makes of a field, if it is given and right.
    fn checked<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        read(self.get(field)?).map_err(|message| self.faults.add(field, message)).ok()
    }

    fn from(&mut self) -> Option<Mailbox> {
        if self.get("from").is_none() {
            self.faults.add("from", "missing: give the sender's address");
        }
        let mut mailboxes = parse_list(self.string("from")?);
        match (mailboxes.pop(), mailboxes.is_empty()) {
            (Some(mailbox), true) => mailbox.map_err(|message| self.faults.add("from", message)).ok(),
            (None, _) => {
                self.faults.add("from", "empty: give the sender's address");
                None
            }
            (Some(_), false) => {
                self.faults.add("from", "several addresses: a mail has one sender (a comma in a name needs quotes)");
                None
            }
        }
    }

    /// The mailboxes of a field, none if it is not given; `None` if any of them has a fault.
    fn mailboxes(&mut self, field: &str) -> Option<Vec<Mailbox>> {
        let Some(value) = self.get(field) else { return Some(Vec::new()) };
        let found: Vec<(String, Result<Mailbox, String>)> = match value {
            Value::String(text) => {
                let found = parse_list(text).into_iter().enumerate();
                found.map(|(i, mailbox)| (format!("{field}[{i}]"), mailbox)).collect()
            }
            Value::Array(list) if list.len() > MAX_ENTRIES || list.iter().map(length).sum::<usize>() > MAX_LIST => {
                let message = format!("{} entries, too long a list: split it over several mails", list.len());
                vec![(field.to_owned(), Err(message))]
            }
            Value::Array(list) => list.iter().enumerate().flat_map(|(i, item)| entry(field, i, item)).collect(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                let message = format!("expected an address or an array of addresses, not {}", kind(other));
                vec![(field.to_owned(), Err(message))]
            }
        };
        let mut mailboxes = Vec::with_capacity(found.len());
        let mut sound = true;
        for (path, mailbox) in found {
            match mailbox {
                Ok(mailbox) => mailboxes.push(mailbox),
                Err(message) => {
                    sound = false;
                    self.faults.add(path, message);
                }
            }
        }
        sound.then_some(mailboxes)
    }

    fn subject(&mut self) -> String {
        let text = self.string("subject").unwrap_or_default();
        if let Err(message) = header::check_text(text) {
            self.faults.add("subject", message);
        }
        text.to_owned()
    }

    /// Whether a template is named. It should have been rendered before.
    fn templated(&mut self) -> bool {
        let named = self.get("template").is_some();
        if named {
            self.faults
                .add("template", "templates are not rendered here: hand the mail over to a client of Postroom as JSON");
        } else if self.get("variables").is_some() {
            self.faults.add("variables", "no template is named that would use them: name it in template");
        }
        named
    }

    fn body(&mut self, field: &str) -> Option<String> {
        self.string(field).map(str::to_owned)
    }

    fn options(&mut self, now: Millis) -> Options {
        Options {
            tags: self.get("tags").map(|value| tag::parse(value, self.faults)).unwrap_or_default(),
            account: self.checked("account", |value| account(text_of(value)?)),
            pool: self.checked("pool", |value| text_of(value)?.parse()),
            priority: self.checked("priority", |value| text_of(value)?.parse()).unwrap_or_default(),
            send_at: self.checked("send_at", |value| time::send_at(value, now)).flatten(),
            ttl: self.checked("ttl", time::ttl),
            idempotency_key: self.checked("idempotency_key", |value| idempotency_key(text_of(value)?)),
        }
    }
}

/// The mailboxes of one entry of a list; an empty entry is a fault.
fn entry(field: &str, index: usize, item: &Value) -> Vec<(String, Result<Mailbox, String>)> {
    let path = format!("{field}[{index}]");
    let found = match text_of(item) {
        Ok(text) => parse_list(text),
        Err(message) => vec![Err(message)],
    };
    if found.is_empty() {
        return vec![(path, Err("empty: give an address or leave it out".to_owned()))];
    }
    found.into_iter().map(|mailbox| (path.clone(), mailbox)).collect()
}

/// The account that an address names.
pub(super) fn account(text: &str) -> Result<AccountId, String> {
    parse_address(text).map(|address| AccountId::from(&address))
}

/// A key of 1 to 256 printable ASCII characters.
pub(super) fn idempotency_key(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|b| (32..=126).contains(&b));
    if printable && (1..=MAX_KEY).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!("an idempotency key has 1 to {MAX_KEY} printable ASCII characters"))
    }
}

/// What sort of JSON this is, for a sentence.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn length(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

fn text_of(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a string, not {}", kind(value)))
}

/// The text of `value`; a fault if it is anything else.
pub(super) fn string<'v>(value: &'v Value, path: &str, faults: &mut Faults) -> Option<&'v str> {
    text_of(value).map_err(|message| faults.add(path, message)).ok()
}

/// The fields of `value`; a fault for each that is not in `known`.
pub(super) fn object<'v>(
    value: &'v Value,
    path: &str,
    known: &[&str],
    faults: &mut Faults,
) -> Option<&'v Map<String, Value>> {
    let Value::Object(fields) = value else {
        faults.add(path, format!("expected an object with {}, not {}", known.join(", "), kind(value)));
        return None;
    };
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())).take(MAX_UNKNOWN) {
        faults.add(path, unknown("field", name, known));
    }
    Some(fields)
}
