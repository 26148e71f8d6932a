//! Attachments: files that go with a mail, and images shown inside its HTML.
//!
//! Contents are decoded here, once; a fault says where base64 breaks, never what stands there.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::ContentType;
use serde_json::Value;

use super::fault::Faults;
use super::header::check_text;
use super::json::{kind, object, string};

const FIELDS: &[&str] = &["filename", "content", "content_type", "content_id"];
const OCTETS: &str = "application/octet-stream";
/// Attachments of one mail.
const MAX_ATTACHMENTS: usize = 500;
/// Characters of a content type, and of a content id.
const MAX_LENGTH: usize = 255;

/// Content types of the common file names; all others are [`OCTETS`].
const TYPES: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// A file that goes with a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, as the receiver sees it.
    pub filename: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its MIME type.
    pub content_type: String,
    /// What the HTML calls it (`cid:…`), without angle brackets; `None`: a file to download.
    pub content_id: Option<String>,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({}, {} bytes)", self.content_type, self.content.len())
    }
}

/// Reads the field `attachments`.
pub(super) fn parse(value: &Value, faults: &mut Faults) -> Vec<Attachment> {
    let Value::Array(list) = value else {
        faults.add("attachments", format!("expected an array of {{filename, content}}, not {}", kind(value)));
        return Vec::new();
    };
    if list.len() > MAX_ATTACHMENTS {
        faults.add("attachments", format!("{} attachments: {MAX_ATTACHMENTS} at most", list.len()));
        return Vec::new();
    }
    let attachments: Vec<Attachment> =
        list.iter().enumerate().filter_map(|(i, one)| parse_one(one, &format!("attachments[{i}]"), faults)).collect();
    for (index, one) in attachments.iter().enumerate() {
        let twice =
            attachments[..index].iter().any(|other| one.content_id.is_some() && other.content_id == one.content_id);
        if twice {
            faults.add(format!("attachments[{index}].content_id"), "given twice: each content_id names one attachment");
        }
    }
    attachments
}

fn parse_one(value: &Value, path: &str, faults: &mut Faults) -> Option<Attachment> {
    let fields = object(value, path, FIELDS, faults)?;
    let mut read = |field: &str, needed: &str, check: fn(&str) -> Result<String, String>| {
        let path = format!("{path}.{field}");
        match fields.get(field).filter(|value| !value.is_null()) {
            Some(value) => match check(string(value, &path, faults)?) {
                Ok(text) => return Some(text),
                Err(message) => faults.add(path, message),
            },
            None if !needed.is_empty() => faults.add(path, needed),
            None => {}
        }
        None
    };
    let filename = read("filename", "missing: give the name that the receiver shall see", filename);
    let content_type = read("content_type", "", content_type);
    let content_id = read("content_id", "", content_id);
    let content = fields.get("content").filter(|value| !value.is_null());
    let content = match content {
        Some(value) => decode(string(value, &format!("{path}.content"), faults)?),
        None => Err("missing: give the file's bytes as base64".to_owned()),
    };
    let content = content.map_err(|message| faults.add(format!("{path}.content"), message)).ok();
    let filename = filename?;
    let content_type = content_type.unwrap_or_else(|| guess(&filename).to_owned());
    Some(Attachment { content: content?, content_type, content_id, filename })
}

fn filename(text: &str) -> Result<String, String> {
    check_text(text)?;
    if text.trim().is_empty() { Err("empty: give the file a name".to_owned()) } else { Ok(text.to_owned()) }
}

/// Multipart and message types may not travel as base64 (RFC 2045), and everything attached does.
fn content_type(text: &str) -> Result<String, String> {
    let printable = text.len() <= MAX_LENGTH && text.bytes().all(|b| (32..=126).contains(&b));
    if !printable || ContentType::parse(text).is_err() {
        return Err("not a MIME type: write type/subtype, such as application/pdf".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("multipart/") || lower.starts_with("message/") {
        return Err(format!("multipart and message types cannot be attached: use {OCTETS}"));
    }
    Ok(text.to_owned())
}

fn content_id(text: &str) -> Result<String, String> {
    let id = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    let allowed = |b: u8| (33..=126).contains(&b) && !b"<>\"()\\,;".contains(&b);
    if id.is_empty() || id.len() > MAX_LENGTH || !id.bytes().all(allowed) {
        return Err(format!(
            "not a content id: use 1 to {MAX_LENGTH} ASCII letters, digits, dots and hyphens, as in cid:logo"
        ));
    }
    Ok(id.to_owned())
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    use base64::DecodeError;
    const WANTED: &str = "give standard base64 (RFC 4648, section 4) with its padding, without line ends";
    STANDARD.decode(text).map_err(|error| match error {
        DecodeError::InvalidByte(at, _) if text.starts_with("data:") => {
            format!("not base64 at character {at}: leave out the \"data:…;base64,\" in front; {WANTED}")
        }
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => {
            format!("not base64 at character {at} (counted from 0): {WANTED}")
        }
        DecodeError::InvalidLength(length) => format!("base64 that breaks off after {length} characters: {WANTED}"),
        DecodeError::InvalidPadding => format!("base64 with wrong or missing padding at its end: {WANTED}"),
    })
}

fn guess(filename: &str) -> &'static str {
    let extension = filename.rsplit_once('.').map_or(String::new(), |(_, end)| end.to_ascii_lowercase());
    TYPES.iter().find(|(end, _)| *end == extension).map_or(OCTETS, |(_, content_type)| content_type)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn base64_says_where_it_breaks() {
        let table = [
            ("aGk=", Ok(b"hi".to_vec())),
            ("", Ok(Vec::new())),
            ("aGk", Err("padding")),
            ("aG k=", Err("at character 2")),
            ("aGk=\n", Err("at character 4")),
            ("a_k=", Err("at character 1")),
            ("aGkaa", Err("after")),
            ("data:image/png;base64,aGk=", Err("leave out")),
        ];
        for (text, expected) in table {
            match (decode(text), expected) {
                (Ok(bytes), Ok(expected)) => assert_eq!(bytes, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{text:?}: {error}"),
                (got, _) => panic!("{text:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn types_are_guessed_and_checked() {
        for (name, expected) in [("a.PDF", "application/pdf"), ("a.tar.gz", "application/gzip"), ("pdf", OCTETS)] {
            assert_eq!(guess(name), expected);
        }
        for good in ["image/png", "text/csv; charset=utf-8", "application/vnd.x+json"] {
            assert_eq!(content_type(good).unwrap(), good);
        }
        for bad in ["", "png", "image/png\r\nX: y", "multipart/mixed", "message/rfc822", "image/pñg", "a b/c"] {
            assert!(content_type(bad).is_err(), "{bad:?}");
        }
        assert_eq!(content_id("<logo@x>").unwrap(), "logo@x");
        for bad in ["", "a b", "a>", "a\r\n", "é"] {
            assert!(content_id(bad).is_err(), "{bad:?}");
        }
    }
}
