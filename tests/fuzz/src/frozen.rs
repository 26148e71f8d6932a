//! A mail that was accepted: frozen, it is a message that another author's parser reads back as what was asked for.

use std::collections::BTreeSet;

use mailparse::{MailAddr, MailHeaderMap as _, ParsedMail, addrparse_header, parse_mail};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Mail;
use postroom_shared::message::Message;

use crate::NOW;

/// What Postroom writes itself, and nothing else may.
const ONCE: [&str; 7] = ["From", "Subject", "Date", "Message-ID", "To", "Cc", "Reply-To"];
/// What never goes out.
const NEVER: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// The message of a mail that was accepted; panics if it could not go out as it is.
pub(crate) fn freeze(mail: &Mail) -> Option<Message> {
    let id: MailId = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".parse().unwrap();
    let message = match Message::freeze(mail, id, NOW) {
        Ok(message) => message,
        Err(faults) => {
            crate::faults::check(&faults);
            return None;
        }
    };
    assert_eq!(message, Message::freeze(mail, id, NOW).unwrap(), "frozen twice, it differs");
    let envelope = &message.envelope;
    assert_eq!(envelope.recipients, mail.recipients(), "the envelope's recipients");
    assert!((1..=100).contains(&envelope.recipients.len()), "{} recipients", envelope.recipients.len());
    assert!(usize::from(envelope.cc) + usize::from(envelope.bcc) <= envelope.recipients.len());
    assert!(mail.send_at().is_none_or(|at| at > NOW && at < Millis(u64::MAX / 2)));
    check_wire(&message.bytes);
    check_headers(&message);
    Some(message)
}

/// CRLF at the end of every line and nowhere else, no NUL, no line longer than SMTP allows.
fn check_wire(bytes: &[u8]) {
    let lines = bytes.strip_suffix(b"\r\n").expect("the last line has no end");
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(!line.contains(&b'\r') && !line.contains(&0), "a bare CR or a NUL");
    }
    assert!(bytes.iter().enumerate().all(|(at, byte)| *byte != b'\n' || at > 0 && bytes[at - 1] == b'\r'), "a bare LF");
}

fn check_headers(message: &Message) {
    let (headers, _) = mailparse::parse_headers(&message.bytes).expect("another parser reads the headers");
    let count = |name: &str| headers.iter().filter(|header| header.get_key_ref().eq_ignore_ascii_case(name)).count();
    for name in NEVER {
        assert_eq!(count(name), 0, "{name}");
    }
    for name in ONCE {
        assert!(count(name) <= 1, "{name}: {}", count(name));
    }
    for name in ["From", "Date", "Message-ID"] {
        assert_eq!(count(name), 1, "{name}");
    }
    let id = headers.get_first_header("Message-ID").unwrap().get_value_raw().trim_ascii();
    assert_eq!(id, message.message_id.as_bytes());
}

/// A message that another parser read.
pub(crate) struct Read<'a>(ParsedMail<'a>);

impl<'a> Read<'a> {
    pub(crate) fn new(message: &'a Message) -> Self {
        Self(parse_mail(&message.bytes).expect("another parser reads it"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.0.headers.get_first_value(name)
    }

    /// The addresses of a header, in small letters, each once.
    pub(crate) fn addresses(&self, name: &str) -> BTreeSet<String> {
        let Some(header) = self.0.headers.get_first_header(name) else { return BTreeSet::new() };
        let list = addrparse_header(header).unwrap_or_else(|error| panic!("{name}: {error}: {:?}", header.get_value()));
        let of = |address: &MailAddr| match address {
            MailAddr::Single(single) => vec![single.addr.to_lowercase()],
            MailAddr::Group(group) => group.addrs.iter().map(|single| single.addr.to_lowercase()).collect(),
        };
        list.iter().flat_map(of).collect()
    }

    /// The first part of this type that is no file, with `\r\n` at the ends of its lines.
    pub(crate) fn body(&self, mimetype: &str) -> Option<String> {
        let leaf = leaves(&self.0).into_iter().find(|part| {
            part.ctype.mimetype == mimetype && !part.headers.iter().any(|h| h.get_key_ref() == "Content-Disposition")
        })?;
        Some(String::from_utf8(leaf.get_body_raw().unwrap()).expect("a body is UTF-8"))
    }

    /// The bytes of all files, in their order on the wire.
    pub(crate) fn files(&self) -> Vec<Vec<u8>> {
        let is_file = |part: &&ParsedMail<'_>| part.headers.iter().any(|h| h.get_key_ref() == "Content-Disposition");
        leaves(&self.0).into_iter().filter(is_file).map(|part| part.get_body_raw().unwrap()).collect()
    }
}

fn leaves<'a>(part: &'a ParsedMail<'a>) -> Vec<&'a ParsedMail<'a>> {
    if part.subparts.is_empty() { vec![part] } else { part.subparts.iter().flat_map(leaves).collect() }
}
