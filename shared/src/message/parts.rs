//! The MIME parts of a message, by lettre: text and html, images shown in the html, files.
//!
//! lettre's top-level builder is not used: it would parse From again for each mail and leaves MIME-Version out of
//! plain mails. Everything that lettre gets here has its line ends as CRLF: it would insert missing ones in quadratic
//! time, and leaves those of an ASCII attachment bare on the wire.

use lettre::message::header::{ContentTransferEncoding, Header, HeaderName, HeaderValue};
use lettre::message::{Body, MultiPart, MultiPartBuilder, SinglePart};

use super::header;
use crate::id::MailId;
use crate::mail::{Attachment, Parts};

/// The longest line that goes out unencoded.
const SHORT_LINE: usize = 76;

/// Appends the parts to the headers in `message`.
pub(super) fn write(mut message: Vec<u8>, parts: &Parts, id: MailId) -> Vec<u8> {
    let formatted = match tree(parts, id) {
        Part::Single(part) => part.formatted(),
        Part::Multi(part) => part.formatted(),
    };
    message.reserve_exact(formatted.len());
    message.extend_from_slice(&formatted);
    message
}

enum Part {
    Single(SinglePart),
    Multi(MultiPart),
}

/// mixed(alternative(text, related(html, images)), files), without the levels that would hold one part only.
fn tree(parts: &Parts, id: MailId) -> Part {
    let (inline, files): (Vec<_>, Vec<_>) = parts.attachments.iter().partition(|one| one.content_id.is_some());
    // Images without an html to show them are files.
    let (inline, files) =
        if parts.html.is_some() { (inline, files) } else { (vec![], parts.attachments.iter().collect()) };
    let is_sole = parts.attachments.is_empty() && (parts.text.is_none() || parts.html.is_none());
    let text = parts.text.as_deref().map(|text| Part::Single(body(text, "text/plain; charset=utf-8", is_sole)));
    let html = parts.html.as_deref().map(|html| Part::Single(body(html, "text/html; charset=utf-8", is_sole)));
    let html =
        html.map(|html| join(html, inline.into_iter().map(attachment), || numbered(MultiPart::related(), 3, id)));
    let body = match (text, html) {
        (Some(text), Some(html)) => join(text, [html].into_iter(), || numbered(MultiPart::alternative(), 2, id)),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => Part::Single(self::body("", "text/plain; charset=utf-8", is_sole)),
    };
    join(body, files.into_iter().map(attachment), || numbered(MultiPart::mixed(), 1, id))
}

/// `first` and the others as one part; `first` itself if there are no others.
fn join(first: Part, others: impl Iterator<Item = Part>, multi: impl FnOnce() -> MultiPartBuilder) -> Part {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return first;
    }
    let add = |multi: MultiPart, part| match part {
        Part::Single(part) => multi.singlepart(part),
        Part::Multi(part) => multi.multipart(part),
    };
    Part::Multi(others.fold(add(multi().build(), first), add))
}

/// How each boundary begins. It stands in no encoded part: both encodings write `=` otherwise, or at the end only.
const BOUNDARY: &str = "=_";

/// A boundary that is the same at every freeze.
fn numbered(multi: MultiPartBuilder, level: u8, id: MailId) -> MultiPartBuilder {
    multi.boundary(format!("{BOUNDARY}{level}_{id}"))
}

/// A text as a part. A sole part's last line end is left to lettre, which ends each part with one of its own.
fn body(text: &str, content_type: &str, is_sole: bool) -> SinglePart {
    let text = crlf(text);
    let encoded = if is_clean(&text) {
        Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit)
    } else if text.is_ascii() {
        // lettre would send NUL and other control characters as they are.
        encode(text, ContentTransferEncoding::QuotedPrintable)
    } else {
        Body::new(text)
    };
    let encoding = encoded.encoding();
    let mut bytes = encoded.into_vec();
    if is_sole && bytes.ends_with(b"\r\n") {
        bytes.truncate(bytes.len() - 2);
    }
    let encoded = Body::dangerous_pre_encoded(bytes, encoding);
    SinglePart::builder().header(raw("Content-Type", content_type)).body(encoded)
}

fn encode(content: impl Into<lettre::message::MaybeString>, encoding: ContentTransferEncoding) -> Body {
    // These two encodings take anything; lettre refuses only 7bit and 8bit.
    Body::new_with_encoding(content, encoding).unwrap_or_else(Body::new)
}

/// Whether a text may go out as it is: printable ASCII in short lines, of which none could be taken for a boundary.
fn is_clean(text: &str) -> bool {
    let printable = |b: u8| matches!(b, b'\t' | b'\r' | b'\n' | 32..=126);
    // To the end, whatever is found: so the compiler looks at many bytes at once.
    let is_printable = text.bytes().fold(true, |all, byte| all & printable(byte));
    let is_short = |line: &str| line.strip_suffix('\r').unwrap_or(line).len() <= SHORT_LINE;
    let is_boundary = |line: &str| line.strip_prefix("--").is_some_and(|rest| rest.starts_with(BOUNDARY));
    is_printable && text.split('\n').all(|line| is_short(line) && !is_boundary(line))
}

/// Every line end of `text` (CRLF, LF or a lone CR) as CRLF, in one pass.
fn crlf(text: &str) -> String {
    if !text.contains('\r') {
        return text.replace('\n', "\r\n"); // Most texts, and several times as quick.
    }
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str("\r\n");
        rest = &rest[at..];
        rest = rest.strip_prefix("\r\n").unwrap_or_else(|| &rest[1..]);
    }
    out.push_str(rest);
    out
}

/// A file, or an image of the html. Always base64: lettre would take ASCII files for text and leave their line ends.
fn attachment(one: &Attachment) -> Part {
    let content = encode(one.content.clone(), ContentTransferEncoding::Base64);
    let part = SinglePart::builder().header(raw("Content-Type", &one.content_type));
    let part = match &one.content_id {
        Some(id) => part
            .header(raw("Content-Disposition", &header::disposition("inline", &one.filename)))
            .header(raw("Content-ID", &format!("<{id}>"))),
        None => part.header(raw("Content-Disposition", &header::disposition("attachment", &one.filename))),
    };
    Part::Single(part.body(content))
}

/// A header of a part as it was checked at the door: lettre would parse a content type and write it its own way.
#[derive(Clone)]
struct Checked(HeaderValue);

fn raw(name: &'static str, value: &str) -> Checked {
    let name = HeaderName::new_from_ascii_str(name);
    Checked(HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned()))
}

impl Header for Checked {
    /// Asked for only where headers are read back, which nobody does here.
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Checked")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Err("never read back".into())
    }

    fn display(&self) -> HeaderValue {
        self.0.clone()
    }
}
