//! The page of one mail: envelope, headers, text, HTML in a sandboxed frame, attachments, source.
//! Shows what a mail says, never runs or loads any of it.

use std::fmt::Write as _;

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _};

use super::html::{escape, page, size, time};
use crate::store::Mail;

/// How much of the source is shown in the page; all of it is a link away.
const SOURCE_SHOWN: usize = 200_000;

/// Names and addresses of a From or To header, for one line.
pub(super) fn address_line(address: Option<&Address<'_>>) -> Option<String> {
    let line: Vec<String> = address?
        .iter()
        .map(|one| match (one.name(), one.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => address.or(name).unwrap_or_default().to_owned(),
        })
        .collect();
    (!line.is_empty()).then(|| line.join(", "))
}

pub(super) fn show(mail: &Mail, bytes: Option<&[u8]>) -> String {
    let parsed = bytes.and_then(|bytes| MessageParser::default().parse(bytes));
    let subject = parsed.as_ref().and_then(|parsed| parsed.subject()).unwrap_or("(no subject)");
    let mut body = format!("<h1>{}</h1>{}", escape(subject), envelope(mail));
    if let Some(parsed) = &parsed {
        body.push_str(&content(mail.n, parsed));
    }
    match bytes {
        Some(bytes) => body.push_str(&source(mail.n, bytes)),
        None => {
            body.push_str("<p class=\"soft\">The sandbox runs with <code>--keep none</code>: bytes are not kept.</p>")
        }
    }
    page(subject, &body)
}

fn envelope(mail: &Mail) -> String {
    let rows = [
        ("Received", time(mail.received_ms)),
        ("Account", mail.account.clone()),
        ("MAIL FROM", mail.from.clone()),
        ("RCPT TO", mail.recipients.join(", ")),
        ("Message-ID", mail.message_id.clone().unwrap_or_else(|| "(none)".to_owned())),
        ("Size", format!("{} by {}", size(mail.size), if mail.chunked { "BDAT" } else { "DATA" })),
        ("Connection", mail.connection.to_string()),
    ];
    format!("<h2>Envelope</h2>{}", table(rows.iter().map(|(name, value)| (*name, value.as_str()))))
}

fn content(n: u64, mail: &Message<'_>) -> String {
    let headers = table(mail.headers_raw().map(|(name, value)| (name, value.trim())));
    let mut html = format!("<h2>Headers</h2>{headers}");
    let is_html = mail.html_bodies().any(|part| part.is_text_html());
    let has_text = mail.text_bodies().any(|part| !part.is_text_html());
    if has_text && let Some(text) = mail.body_text(0) {
        let _ = write!(html, "<h2>Text</h2><div class=\"card\"><pre>{}</pre></div>", escape(&text));
    }
    if is_html && let Some(body) = mail.body_html(0) {
        // An empty sandbox: no scripts, no forms, an origin of its own. The page's policy holds inside too.
        let _ = write!(
            html,
            "<h2>HTML</h2><div class=\"card\"><iframe sandbox=\"\" title=\"The mail's HTML\" srcdoc=\"{}\"></iframe></div>",
            escape(&body)
        );
    }
    if mail.attachment_count() > 0 {
        let _ = write!(html, "<h2>Attachments</h2>{}", attachments(n, mail));
    }
    html
}

fn attachments(n: u64, mail: &Message<'_>) -> String {
    let mut rows = String::new();
    for (index, part) in mail.attachments().enumerate() {
        let name = part.attachment_name().unwrap_or("(no name)");
        let kind = part
            .content_type()
            .map_or_else(String::new, |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
        let _ = write!(
            rows,
            "<tr><td><a href=\"/mails/{n}/attachments/{index}\" download>{}</a><td>{}<td class=\"narrow\">{}</tr>",
            escape(name),
            escape(&kind),
            size(part.contents().len() as u64)
        );
    }
    format!("<div class=\"card\"><table>{rows}</table></div>")
}

fn source(n: u64, bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SOURCE_SHOWN)];
    let rest = if shown.len() < bytes.len() { "<p class=\"soft\">Cut here; the file has all of it.</p>" } else { "" };
    format!(
        "<h2>Source</h2><div class=\"card\"><details><summary>Show the source</summary><pre>{}</pre>{rest}</details></div>\
         <nav><a href=\"/api/mails/{n}/raw\" download=\"mail-{n}.eml\">Download as .eml</a><a href=\"/\">All mails</a></nav>",
        escape(&String::from_utf8_lossy(shown))
    )
}

fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows: String =
        rows.map(|(name, value)| format!("<tr><th>{}<td>{}</tr>", escape(name), escape(value))).collect();
    format!("<div class=\"card\"><table class=\"pairs\">{rows}</table></div>")
}
