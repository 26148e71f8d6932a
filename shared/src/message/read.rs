//! Frozen bytes read back, for showing a mail: who it is from and to with their names, its subject and its bodies.
//!
//! Bcc stands in no message: who was hidden is told by the mail's record.

use mail_parser::{Address as Addresses, MessageParser, MimeHeaders as _, PartType};

use crate::mail::{Mailbox, read_mailbox};

/// What a message says. A field that cannot be read is empty.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ReadMessage {
    /// From.
    pub from: Option<Mailbox>,
    /// To.
    pub to: Vec<Mailbox>,
    /// Cc.
    pub cc: Vec<Mailbox>,
    /// Reply-To.
    pub reply_to: Vec<Mailbox>,
    /// The whole subject, decoded; empty if it has none.
    pub subject: String,
    /// The plain text, with `\n` at the ends of its lines. Its last line may have got one when it was frozen.
    pub text: Option<String>,
    /// The HTML, likewise.
    pub html: Option<String>,
    /// The attachments, without their bytes.
    pub attachments: Vec<ReadAttachment>,
}

/// An attachment of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAttachment {
    /// The name that the receiver sees.
    pub filename: Option<String>,
    /// Its media type, such as `image/png`.
    pub content_type: String,
    /// The id under which HTML shows it.
    pub content_id: Option<String>,
    /// Bytes of the file.
    pub size: usize,
}

/// Reads a message.
#[must_use]
pub fn read(bytes: &[u8]) -> ReadMessage {
    let Some(message) = MessageParser::default().parse(bytes) else { return ReadMessage::default() };
    let body =
        |ids: &[u32], of: fn(&PartType<'_>) -> Option<String>| ids.iter().find_map(|id| of(&message.part(*id)?.body));
    ReadMessage {
        from: mailboxes(message.from()).into_iter().next(),
        to: mailboxes(message.to()),
        cc: mailboxes(message.cc()),
        reply_to: mailboxes(message.reply_to()),
        subject: message.subject().unwrap_or_default().to_owned(),
        text: body(&message.text_body, text),
        html: body(&message.html_body, html),
        attachments: message.attachments().map(attachment).collect(),
    }
}

fn mailboxes(addresses: Option<&Addresses<'_>>) -> Vec<Mailbox> {
    addresses.into_iter().flat_map(Addresses::iter).filter_map(|found| read_mailbox(found).ok()).collect()
}

// The parser names an HTML part as the text of a message that has no other, and the other way round: that is not meant.
fn text(body: &PartType<'_>) -> Option<String> {
    if let PartType::Text(text) = body { Some(text.replace("\r\n", "\n")) } else { None }
}

fn html(body: &PartType<'_>) -> Option<String> {
    if let PartType::Html(html) = body { Some(html.replace("\r\n", "\n")) } else { None }
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> ReadAttachment {
    let kind = part.content_type();
    let content_type = kind.map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    ReadAttachment {
        filename: part.attachment_name().map(str::to_owned),
        content_type: content_type.unwrap_or_else(|| "text/plain".to_owned()),
        content_id: part.content_id().map(str::to_owned),
        size: part.contents().len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Millis;
    use crate::mail::Mail;
    use crate::message::Message;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn frozen(value: &serde_json::Value) -> Vec<u8> {
        let id = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".parse().unwrap();
        Message::freeze(&Mail::from_json(value, NOW).unwrap(), id, NOW).unwrap().bytes
    }

    fn shown(list: &[Mailbox]) -> Vec<String> {
        list.iter().map(|one| format!("{}|{}", one.name.as_deref().unwrap_or_default(), one.address.reveal())).collect()
    }

    #[test]
    fn what_was_frozen_is_read_back() {
        let subject = "Grüße ".repeat(60);
        let read = read(&frozen(&json!({
            "from": "\"Ann, of Köln\" <a@x.example>", "to": ["b@x.example", "Jörg <j@bücher.example>"], "cc": "C <c@x.example>",
            "bcc": "z@x.example", "reply_to": "r@x.example", "subject": subject, "text": "ä\ntwo\n", "html": "<p>ä</p>",
            "attachments": [
                {"filename": "ä.txt", "content": "aGk="}, {"filename": "i.png", "content": "aGk=", "content_id": "logo"}
            ]
        })));
        assert_eq!(shown(read.from.as_slice()), ["Ann, of Köln|a@x.example"]);
        assert_eq!(shown(&read.to), ["|b@x.example", "Jörg|j@xn--bcher-kva.example"]);
        assert_eq!(
            (shown(&read.cc), shown(&read.reply_to)),
            (vec!["C|c@x.example".into()], vec!["|r@x.example".into()])
        );
        assert_eq!(read.subject.trim_end(), subject.trim_end());
        assert_eq!((read.text.as_deref(), read.html.as_deref()), (Some("ä\ntwo\n"), Some("<p>ä</p>")));
        let mut names: Vec<_> = read.attachments.iter().map(|one| one.filename.clone().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["i.png", "ä.txt"]);
        let logo = read.attachments.iter().find(|one| one.content_id.is_some()).unwrap();
        assert_eq!((logo.content_id.as_deref(), logo.content_type.as_str(), logo.size), (Some("logo"), "image/png", 2));
    }

    #[test]
    fn one_body_is_not_told_as_the_other() {
        let mail = |field: &str| json!({"from": "a@x.example", "bcc": "b@x.example", field: "<b>hi</b>"});
        let (text, html) = (read(&frozen(&mail("text"))), read(&frozen(&mail("html"))));
        assert_eq!((text.text.as_deref(), text.html), (Some("<b>hi</b>\n"), None));
        assert_eq!((html.text, html.html.as_deref()), (None, Some("<b>hi</b>\n")));
        assert_eq!((text.to, text.subject.as_str()), (Vec::new(), ""));
        assert!(read(b"") == ReadMessage::default());
    }
}
