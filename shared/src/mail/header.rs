//! An app's own headers: which names it may set, and what a value may hold.
//!
//! A name that Postroom sets itself is refused, never written twice; no line end ever gets into a header.

use serde_json::Value;

use super::fault::{Faults, quoted};
use super::json::{kind, string};

/// Bytes of a header's value, of the subject and of a file name.
pub(super) const MAX_VALUE: usize = 16_384;
/// Characters of a header's name: what lettre takes.
const MAX_NAME: usize = 76;
/// Headers of one mail.
const MAX_HEADERS: usize = 100;

/// Names that are not the app's to set, in lower case, and what to do instead.
const TAKEN: &[(&str, &str)] = &[
    ("from", "use the field from"),
    ("to", "use the field to"),
    ("cc", "use the field cc"),
    ("bcc", "use the field bcc"),
    ("reply-to", "use the field reply_to"),
    ("subject", "use the field subject"),
    ("date", "Postroom sets it; use the field send_at to send later"),
    ("message-id", "Postroom sets it, to the mail's id"),
    ("sender", "Gmail sets it; use the field from"),
    ("return-path", "the receiving server sets it; use the field from"),
    ("received", "servers on the way set it"),
    ("dkim-signature", "Gmail signs the mail"),
    ("mime-version", "Postroom sets it; use the fields text, html and attachments"),
    ("content-type", "Postroom sets it; use the fields text, html and attachments"),
    ("content-transfer-encoding", "Postroom sets it; use the fields text, html and attachments"),
    ("content-disposition", "Postroom sets it; use the field attachments"),
    ("content-id", "Postroom sets it; use content_id in the field attachments"),
];

/// Whether `name` is an RFC 5322 header name.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| (33..=126).contains(b) && *b != b':')
}

/// What a subject, a header's value or a file name may hold.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("holds a line end or another control character: remove it".to_owned());
    }
    if text.len() > MAX_VALUE {
        return Err(format!("{} bytes long: {MAX_VALUE} at most", text.len()));
    }
    Ok(())
}

/// Reads the field `headers`: a map of name to value.
pub(super) fn parse(value: &Value, faults: &mut Faults) -> Vec<(String, String)> {
    let Value::Object(map) = value else {
        faults.add("headers", format!("expected an object of name to value, not {}", kind(value)));
        return Vec::new();
    };
    if map.len() > MAX_HEADERS {
        faults.add("headers", format!("{} headers: {MAX_HEADERS} at most", map.len()));
        return Vec::new();
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let path = format!("headers.{}", quoted(name));
        if let Err(message) = check_name(name) {
            faults.add(&path, message);
            continue;
        }
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            faults.add(&path, "given twice: header names are the same in lower and upper case");
            continue;
        }
        let Some(text) = string(value, &path, faults) else { continue };
        // Blanks around a value mean nothing (RFC 5322); kept, they would have to be encoded.
        match check_text(text) {
            Ok(()) => headers.push((name.clone(), text.trim_matches(' ').to_owned())),
            Err(message) => faults.add(&path, message),
        }
    }
    headers
}

fn check_name(name: &str) -> Result<(), String> {
    if !is_name(name.as_bytes()) {
        return Err("no header name: use ASCII letters, digits and -, without blanks and colons".to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("a header name of {} characters: {MAX_NAME} at most", name.len()));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("resent-") {
        return Err("Postroom sends mails and does not resend them: leave it out".to_owned());
    }
    match TAKEN.iter().find(|(taken, _)| *taken == lower) {
        Some((_, instead)) => Err(format!("not a header for apps to set: {instead}")),
        None => Ok(()),
    }
}
