//! Headers on the wire: folded lines of ASCII that a MIME parser reads back as what they were made of.
//!
//! lettre's own encoder is not used: it leaves ASCII that looks like an encoded word as it is (the parser decodes it),
//! writes words of any length on one line (998 bytes is the limit), and loses blanks where it folds. Whatever these
//! functions are given, no line end but their own comes out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mail::Mailbox;

/// Columns of a line that is folded at blanks.
const WIDTH: usize = 76;
/// The longest piece that stays as it is; with a name of 76 it fits into a line of 998.
const MAX_PIECE: usize = 900;
/// Bytes in one encoded word: 60 characters of base64 and 12 around them.
const CHUNK: usize = 45;
/// Characters of a file name on one line.
const SEGMENT: usize = 50;

/// `name: value` of unstructured text: a subject, an app's own header.
pub(super) fn text(out: &mut String, name: &str, value: &str) {
    let mut line = Line::start(out, name);
    let mut pieces = pieces(value).peekable();
    while let Some(piece) = pieces.next() {
        if is_plain(piece) {
            line.piece(piece);
            continue;
        }
        // Blanks between two encoded words vanish, so neighbours are encoded together.
        let mut run = piece.to_owned();
        while let Some(next) = pieces.next_if(|next| !is_plain(next)) {
            run.push(' ');
            run.push_str(next);
        }
        line.encoded(&run);
    }
    line.end();
}

/// `name: value` where the value is ours: short, ASCII, nothing to encode.
pub(super) fn plain(out: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.push_str(part);
    }
}

/// `name: Ann <a@b.example>, …`; nothing if there is nobody. An address that is not ASCII goes out as it is (SMTPUTF8).
pub(super) fn mailboxes(out: &mut String, name: &str, list: &[Mailbox]) {
    if list.is_empty() {
        return;
    }
    let mut line = Line::start(out, name);
    for (index, mailbox) in list.iter().enumerate() {
        let comma = if index + 1 < list.len() { "," } else { "" };
        let address = mailbox.address.reveal();
        match &mailbox.name {
            Some(name) => {
                phrase(&mut line, name);
                line.piece(&format!("<{address}>{comma}"));
            }
            None => line.piece(&format!("{address}{comma}")),
        }
    }
    line.end();
}

/// The value of Content-Disposition. lettre's own leaves a name that looks like an encoded word as it is, and then
/// parsers decode it; it also never writes the plain `filename*=`, which more of them know than `filename*0*=`.
pub(super) fn disposition(kind: &str, filename: &str) -> String {
    if is_plain(filename) && filename.len() <= SEGMENT {
        return format!("{kind};\r\n filename=\"{}\"", escaped(filename));
    }
    let segments = percent_encoded(filename);
    let mut out = kind.to_owned();
    for (index, segment) in segments.iter().enumerate() {
        let number = if segments.len() == 1 { "*".to_owned() } else { format!("*{index}*") };
        let charset = if index == 0 { "utf-8''" } else { "" };
        out.push_str(&format!(";\r\n filename{number}={charset}{segment}"));
    }
    out
}

/// `text` as RFC 2231 has it, in segments of whole characters that fit into a line.
fn percent_encoded(text: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    for c in text.chars() {
        let mut encoded = String::new();
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        match segments.last_mut() {
            Some(last) if last.len() + encoded.len() <= SEGMENT => last.push_str(&encoded),
            _ => segments.push(encoded),
        }
    }
    segments
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A display name: words, a quoted string, or encoded words.
fn phrase(line: &mut Line<'_>, name: &str) {
    let blank = |c: char| c == ' ';
    let is_atoms = name.bytes().all(|b| b == b' ' || b.is_ascii_alphanumeric() || b"!#$%&'*+-/^_`{|}~".contains(&b))
        && !name.contains("  ")
        && !name.starts_with(blank)
        && !name.ends_with(blank);
    if is_atoms && name.len() <= MAX_PIECE {
        name.split(' ').for_each(|word| line.piece(word));
    } else if name.len() < WIDTH && is_plain(name) {
        line.piece(&format!("\"{}\"", escaped(name)));
    } else {
        line.encoded(name);
    }
}

/// The pieces of `value` between single blanks; longer runs of blanks stay inside of a piece.
fn pieces(value: &str) -> impl Iterator<Item = &str> {
    let bytes = value.as_bytes();
    let is_fold = |at: usize| {
        bytes[at] == b' ' && at > 0 && bytes[at - 1] != b' ' && bytes.get(at + 1).is_some_and(|next| *next != b' ')
    };
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= bytes.len() {
            return None;
        }
        let end = (start..bytes.len()).find(|at| is_fold(*at)).unwrap_or(bytes.len());
        let piece = &value[start..end];
        start = end + 1;
        Some(piece)
    })
}

/// Whether a piece can stand in a header as it is.
fn is_plain(piece: &str) -> bool {
    piece.bytes().all(|b| (32..=126).contains(&b))
        && piece.len() <= MAX_PIECE
        && !piece.contains("=?")
        && !piece.starts_with(' ')
        && !piece.ends_with(' ')
}

/// A header that is being written.
struct Line<'o> {
    out: &'o mut String,
    column: usize,
    is_first: bool,
}

impl<'o> Line<'o> {
    fn start(out: &'o mut String, name: &str) -> Self {
        out.push_str(name);
        out.push(':');
        Self { column: name.len() + 1, out, is_first: true }
    }

    /// Writes `piece` after one blank, on a new line if it does not fit; never an empty first line.
    fn piece(&mut self, piece: &str) {
        if !self.is_first && self.column + 1 + piece.len() > WIDTH {
            self.out.push_str("\r\n");
            self.column = 0;
        }
        self.is_first = false;
        self.out.push(' ');
        self.out.push_str(piece);
        self.column += 1 + piece.len();
    }

    /// Writes `text` as encoded words (RFC 2047), each of whole characters.
    fn encoded(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let mut end = rest.len().min(CHUNK);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (chunk, tail) = rest.split_at(end);
            rest = tail;
            self.piece(&format!("=?utf-8?B?{}?=", STANDARD.encode(chunk)));
        }
    }

    fn end(self) {
        self.out.push_str("\r\n");
    }
}
