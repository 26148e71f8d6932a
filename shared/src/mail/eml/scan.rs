//! The lines of a ready message: CRLF everywhere, its header fields, and where its body starts.
//!
//! Linear in the size of the message. A line that only some readers take for a header is refused.

use crate::mail::fault::Faults;
use crate::mail::header::is_name;

/// Bytes of a line, without its CRLF (RFC 5322).
const MAX_LINE: usize = 998;

/// One header field of a message.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    /// What follows the colon, with its folds and its last CRLF.
    pub(super) value: &'a [u8],
    /// The whole field as it stands in the message.
    pub(super) all: &'a [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// `bytes` with CRLF at the end of every line, also the last one; faults for what no mail may hold.
pub(super) fn crlf(bytes: &[u8]) -> Result<Vec<u8>, Faults> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 32 + 4);
    let mut faults = Faults::default();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(message) = fault_of(line) {
            faults.add(format!("line {}", index + 1), message);
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    faults.or(out)
}

fn fault_of(line: &[u8]) -> Option<String> {
    if line.len() > MAX_LINE {
        let length = line.len();
        return Some(format!("{length} bytes long: {MAX_LINE} at most; encode the part as quoted-printable or base64"));
    }
    if line.contains(&0) {
        return Some("holds a NUL byte: encode the part as base64".to_owned());
    }
    line.contains(&b'\r').then(|| "holds a carriage return without a line feed: end lines with CRLF".to_owned())
}

/// The header fields and the place of the empty line after them. Every line of `bytes` ends with CRLF.
pub(super) fn fields(bytes: &[u8]) -> Result<(Vec<Field<'_>>, usize), Faults> {
    let mut faults = Faults::default();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut number) = (0, 0);
    while let Some(end) = bytes[at..].iter().position(|b| *b == b'\n') {
        let line = &bytes[at..=at + end];
        if line == b"\r\n" {
            break;
        }
        number += 1;
        let blank = line.iter().all(u8::is_ascii_whitespace);
        match (spans.last_mut(), line[0]) {
            _ if blank => faults.add(format!("line {number}"), "blanks alone: leave the line empty or out"),
            (Some(span), b' ' | b'\t') => span.1 = at + line.len(),
            _ => spans.push((at, at + line.len())),
        }
        if std::str::from_utf8(line).is_err() {
            faults.add(format!("line {number}"), "a header with bytes that are no UTF-8: encode it as RFC 2047 says");
        }
        if spans.last().is_some_and(|span| span.0 == at) && name_of(line).is_none() {
            faults
                .add(format!("line {number}"), "not a header: write Name: value, with an empty line after the headers");
        }
        at += line.len();
    }
    let found = spans.into_iter().filter_map(|(start, end)| {
        let all = &bytes[start..end];
        let name = name_of(all)?;
        Some(Field { name, value: &all[name.len() + 1..], all })
    });
    let found = found.collect();
    faults.or((found, at))
}

fn name_of(line: &[u8]) -> Option<&str> {
    let name = line.split(|b| *b == b':').next().filter(|name| name.len() < line.len())?;
    if is_name(name) { std::str::from_utf8(name).ok() } else { None }
}
