//! A ready message (an `.eml` file) at the door: what is read out of its headers, and which of them go.
//!
//! The body is never touched but for its line ends. What two readers could understand differently is refused,
//! not guessed: a Bcc that one of them overlooks would reach every recipient.

mod options;
mod scan;

use std::collections::HashSet;

use mail_parser::Addr;
use mail_parser::parsers::MessageStream;

use self::scan::Field;
use super::fault::Faults;
use super::mailbox::{Mailbox, clean_name, parse_address};
use super::{Content, Copies, Mail, Raw, check_recipients, distinct};
use crate::address::Address;
use crate::clock::Millis;
use crate::message::MAX_BYTES;

/// Headers that a message may have once (RFC 5322, section 3.6; RFC 2045): Gmail refuses it otherwise.
const ONCE: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "Date",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Bytes of all headers together: far above honest mail, and a bound on what reading addresses costs.
const MAX_HEADERS: usize = 256 << 10;

/// The mail in `bytes`, for `envelope` or, without one, for those in To, Cc and Bcc.
pub(super) fn parse(bytes: &[u8], envelope: Option<Vec<Address>>, now: Millis) -> Result<Mail, Faults> {
    if bytes.len() > MAX_BYTES {
        return Err(Faults::one("", format!("{} bytes: Gmail takes {MAX_BYTES} at most", bytes.len())));
    }
    let bytes = scan::crlf(bytes)?;
    let (fields, body) = scan::fields(&bytes)?;
    if body > MAX_HEADERS {
        return Err(Faults::one("", format!("{body} bytes of headers: {MAX_HEADERS} at most")));
    }
    let mut faults = Faults::default();
    check_once(&fields, &mut faults);
    let from = sender(&fields, &mut faults);
    let recipients = match envelope {
        Some(recipients) => Some(apart(recipients, &fields)),
        None => in_headers(&fields, &mut faults),
    };
    if let Some((recipients, _)) = &recipients {
        check_recipients(recipients, &mut faults);
    }
    let options = options::read(&fields, now, &mut faults);
    let content = Content::Raw(keep(&fields, &bytes[body..]));
    let subject = first(&fields, "Subject").map(subject).unwrap_or_default();
    match (from, recipients) {
        (Some(from), Some((recipients, copies))) => {
            faults.or(Mail { from, recipients, copies, subject, content, options })
        }
        _ => Err(faults),
    }
}

fn first<'f, 'b>(fields: &'f [Field<'b>], name: &str) -> Option<&'f Field<'b>> {
    fields.iter().find(|field| field.is(name))
}

fn check_once(fields: &[Field<'_>], faults: &mut Faults) {
    for name in ONCE {
        let count = fields.iter().filter(|field| field.is(name)).count();
        if count > 1 {
            faults.add(*name, format!("given {count} times: keep one"));
        }
    }
}

fn sender(fields: &[Field<'_>], faults: &mut Faults) -> Option<Mailbox> {
    let Some(field) = first(fields, "From") else {
        faults.add("From", "missing: a message needs a From header");
        return None;
    };
    let mut mailboxes = mailboxes(field);
    match (mailboxes.pop(), mailboxes.is_empty()) {
        (Some(mailbox), true) => mailbox.map_err(|message| faults.add("From", message)).ok(),
        (None, _) => {
            faults.add("From", "empty: give the sender's address");
            None
        }
        (Some(_), false) => {
            faults.add("From", "several addresses: a mail has one sender");
            None
        }
    }
}

/// Everyone in To, Cc and Bcc; `None` if any address has a fault.
fn in_headers(fields: &[Field<'_>], faults: &mut Faults) -> Option<(Vec<Address>, Copies)> {
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    let mut sound = true;
    for (name, found) in ["To", "Cc", "Bcc"].into_iter().zip(&mut found) {
        let all = fields.iter().filter(|field| field.is(name)).flat_map(mailboxes);
        for (index, mailbox) in all.enumerate() {
            match mailbox {
                Ok(mailbox) => found.push(mailbox.address),
                Err(message) => {
                    sound = false;
                    faults.add(format!("{name}[{index}]"), message);
                }
            }
        }
    }
    let [to, cc, bcc] = found;
    sound.then(|| distinct(to, cc, bcc))
}

/// Those of an envelope: who stands in To, who in Cc, and who in neither and is hidden.
fn apart(envelope: Vec<Address>, fields: &[Field<'_>]) -> (Vec<Address>, Copies) {
    let named = |name: &str| -> HashSet<String> {
        let all = fields.iter().filter(|field| field.is(name)).flat_map(mailboxes);
        all.flatten().map(|mailbox| mailbox.address.reveal().to_lowercase()).collect()
    };
    let is_in = |names: &HashSet<String>, address: &Address| names.contains(&address.reveal().to_lowercase());
    let (in_to, in_cc) = (named("To"), named("Cc"));
    let (to, others): (Vec<_>, Vec<_>) = envelope.into_iter().partition(|address| is_in(&in_to, address));
    let (cc, bcc) = others.into_iter().partition(|address| is_in(&in_cc, address));
    distinct(to, cc, bcc)
}

fn mailboxes(field: &Field<'_>) -> Vec<Result<Mailbox, String>> {
    let value = MessageStream::new(field.value).parse_address();
    value.as_address().map(|addresses| addresses.iter().map(mailbox).collect()).unwrap_or_default()
}

/// A mailbox as the parser of messages found it.
pub(crate) fn mailbox(found: &Addr<'_>) -> Result<Mailbox, String> {
    let address = found.address.as_deref().ok_or("not a mail address: it has no @")?;
    let name = found.name.as_deref().map(clean_name).transpose()?.flatten();
    Ok(Mailbox { name, address: parse_address(address)? })
}

fn subject(field: &Field<'_>) -> String {
    MessageStream::new(field.value).parse_unstructured().into_text().unwrap_or_default().into_owned()
}

/// The message without the headers that may not go out: every Bcc, our options, an invalid Message-ID.
fn keep(fields: &[Field<'_>], rest: &[u8]) -> Raw {
    let message_id = first(fields, "Message-ID").and_then(|field| valid_id(field.value));
    let goes = |field: &&Field<'_>| {
        !(field.is("Bcc")
            || field.is("Resent-Bcc")
            || options::is_option(field.name)
            || (field.is("Message-ID") && message_id.is_none()))
    };
    let mut bytes = Vec::with_capacity(fields.iter().map(|field| field.all.len()).sum::<usize>() + rest.len());
    for field in fields.iter().filter(goes) {
        bytes.extend_from_slice(field.all);
    }
    bytes.extend_from_slice(if rest.is_empty() { b"\r\n" } else { rest });
    Raw { bytes, message_id, has_date: first(fields, "Date").is_some() }
}

/// `<left@right>` without blanks, in ASCII: what Gmail keeps. It would replace any other, and we could not find the mail.
fn valid_id(value: &[u8]) -> Option<String> {
    // What a field may have around its value (RFC 5322, 3.2.2). More, such as a form feed, would go out with the line and be no id.
    let id = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t', '\r', '\n']);
    let (left, right) = id.strip_prefix('<')?.strip_suffix('>')?.split_once('@')?;
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| (33..=126).contains(&b) && !b"<>@()\\,;:\"".contains(&b));
    (id.len() <= 250 && part(left) && part(right)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests;
