//! Reading mails: one message, one JSON object, an array, or JSON Lines in slices.
//!
//! What is wrong with the text is told by place; a text is never repeated.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use postroom::Draft;

use super::places::Place;
use crate::cli::Failure;

/// The largest mail in JSON: the largest message, as base64 and with room.
const LONGEST: usize = 64 << 20;
/// An array is read whole; what is larger belongs into JSON Lines.
const LARGEST_WHOLE: usize = 256 << 20;
/// A slice ends after so many mails or bytes, or when reading on would have to wait.
const SLICE: usize = 1_000;
const SLICE_BYTES: usize = 16 << 20;
const BUFFER: usize = 1 << 20;

/// A mail and where it stands.
pub(super) struct Item {
    pub(super) place: Place,
    /// The mail, or why it could not be read.
    pub(super) draft: Result<Draft, String>,
}

/// Mails, slice by slice.
pub(super) struct Input {
    reader: BufReader<Box<dyn Read>>,
    size: Option<u64>,
    read: u64,
    rest: Rest,
}

/// What is still to come.
enum Rest {
    /// Mails that were read whole.
    Items(std::vec::IntoIter<Item>),
    /// JSON Lines: the number of the line read last, and a line that was read ahead.
    Lines { number: u64, ahead: Option<Line> },
}

/// The form of JSON in a file.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Array,
    Object,
    Lines,
}

/// A line, or the fact that it is longer than any mail.
type Line = Result<Vec<u8>, TooLong>;

struct TooLong;

impl Input {
    /// Opens a file, or standard input for `-`, and finds out what it holds.
    pub(super) fn open(path: &Path, eml: bool) -> Result<Self, Failure> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
        let unread = |error: io::Error| Failure::Failed(format!("{name} cannot be read: {error}"));
        let (source, size): (Box<dyn Read>, _) = if is_stdin {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(unread)?;
            let size = file.metadata().map_err(unread)?.len();
            (Box::new(file), Some(size))
        };
        let rest = Rest::Items(Vec::new().into_iter());
        let mut input = Self { reader: BufReader::with_capacity(BUFFER, source), size, read: 0, rest };
        input.find_form(path, eml).map_err(|why| Failure::Failed(format!("{name}: {why}")))?;
        Ok(input)
    }

    fn find_form(&mut self, path: &Path, eml: bool) -> Result<(), String> {
        let extension = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        if eml || extension == "eml" {
            let bytes = self.whole(Vec::new())?;
            self.rest = one(Draft::from_eml(bytes));
            return Ok(());
        }
        let (number, first) = self.first_line()?;
        let form = match &first {
            Ok(first) => form(first, &extension)?,
            Err(TooLong) => Form::Lines,
        };
        self.rest = match (form, first) {
            (Form::Lines, first) => Rest::Lines { number: number - 1, ahead: Some(first) },
            (Form::Object, Ok(first)) => one(Draft::from_json_bytes(self.whole(first)?)),
            (Form::Array, Ok(first)) => array(&self.whole(first)?)?,
            (Form::Object | Form::Array, Err(TooLong)) => return Err("it is too long for one mail".to_owned()),
        };
        Ok(())
    }

    /// The size of the file, if it is one.
    pub(super) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The next mails; none at the end.
    pub(super) fn next_slice(&mut self) -> Result<Vec<Item>, Failure> {
        let unread = |why: String| Failure::Failed(format!("reading broke off: {why}"));
        let (mut number, mut ahead) = match &mut self.rest {
            Rest::Items(items) => return Ok(items.by_ref().take(SLICE).collect()),
            Rest::Lines { number, ahead } => (*number, ahead.take()),
        };
        let mut slice = Vec::new();
        let mut bytes = 0;
        while let Some(line) = next(&mut ahead, || self.line()).map_err(unread)? {
            number += 1;
            let place = Place::Line(number);
            match line {
                Ok(line) if is_blank(&line) => {}
                Ok(line) => {
                    bytes += line.len();
                    slice.push(Item { place, draft: Ok(Draft::from_json_bytes(line)) });
                }
                Err(TooLong) => slice.push(Item { place, draft: Err("longer than any mail may be".to_owned()) }),
            }
            let must_wait = !slice.is_empty() && !self.reader.buffer().contains(&b'\n');
            if must_wait || slice.len() >= SLICE || bytes >= SLICE_BYTES {
                break;
            }
        }
        self.rest = Rest::Lines { number, ahead: None };
        Ok(slice)
    }

    /// The first line that is not blank, without a byte order mark, and its number.
    fn first_line(&mut self) -> Result<(u64, Line), String> {
        let mut number = 0;
        loop {
            number += 1;
            match self.line()? {
                None => return Err("there is no mail in it: it is empty".to_owned()),
                Some(Ok(line)) => {
                    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
                    if !is_blank(line) {
                        return Ok((number, Ok(line.to_owned())));
                    }
                }
                Some(Err(TooLong)) => return Ok((number, Err(TooLong))),
            }
        }
    }

    /// One line with its end; what is too long is read over.
    fn line(&mut self) -> Result<Option<Line>, String> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let limit = (LONGEST + 1 - line.len()) as u64;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
            self.read += read as u64;
            let ended = read == 0 || line.ends_with(b"\n");
            if line.len() > LONGEST {
                too_long = true;
                line.clear();
            }
            if ended && too_long {
                return Ok(Some(Err(TooLong)));
            }
            if ended {
                return Ok((!line.is_empty()).then_some(Ok(line)));
            }
        }
    }

    /// All that is left, after what was read already.
    fn whole(&mut self, mut start: Vec<u8>) -> Result<Vec<u8>, String> {
        let limit = (LARGEST_WHOLE + 1).saturating_sub(start.len()) as u64;
        let read = self.reader.by_ref().take(limit).read_to_end(&mut start).map_err(|error| error.to_string())?;
        self.read += read as u64;
        if start.len() > LARGEST_WHOLE {
            return Err(format!("more than {} MiB at once: use JSON Lines, one mail a line", LARGEST_WHOLE >> 20));
        }
        Ok(start)
    }
}

fn next<T, E>(ahead: &mut Option<T>, read: impl FnOnce() -> Result<Option<T>, E>) -> Result<Option<T>, E> {
    match ahead.take() {
        Some(item) => Ok(Some(item)),
        None => read(),
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn one(draft: Draft) -> Rest {
    Rest::Items(vec![Item { place: Place::Only, draft: Ok(draft) }].into_iter())
}

fn array(bytes: &[u8]) -> Result<Rest, String> {
    let entries = entries(bytes)?;
    let item = |(index, bytes): (usize, &[u8])| Item {
        place: Place::Entry(index + 1),
        draft: Ok(Draft::from_json_bytes(bytes.to_owned())),
    };
    Ok(Rest::Items(entries.into_iter().enumerate().map(item).collect::<Vec<_>>().into_iter()))
}

/// What a text is whose first line is `first`.
fn form(first: &[u8], extension: &str) -> Result<Form, String> {
    if extension == "jsonl" || extension == "ndjson" {
        return Ok(Form::Lines);
    }
    let first = first.trim_ascii();
    match first.first() {
        Some(b'[') => Ok(Form::Array),
        Some(b'{') => Ok(match serde_json::from_slice::<serde::de::IgnoredAny>(first) {
            Ok(_) => Form::Lines,
            Err(error) if error.is_eof() => Form::Object,
            // A slip in the first of many lines, or in the first line of an object?
            Err(_) if first.ends_with(b"}") => Form::Lines,
            Err(_) => Form::Object,
        }),
        Some(_) | None => Err("neither JSON nor a file named .eml: begin with { or [, or say --eml".to_owned()),
    }
}

/// The entries of a JSON array, each as it stands, so that a field that is given twice can be told later.
fn entries(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let broken = |at: usize| {
        let line = bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("not a JSON array, from line {line} on: nothing was handed over")
    };
    let skip = |at: usize| at + bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut entries = Vec::new();
    let mut at = skip(skip(0) + 1);
    if bytes.get(at) == Some(&b']') {
        at += 1;
    } else {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<serde::de::IgnoredAny>();
            match values.next() {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(broken(at)),
            }
            let end = at + values.byte_offset();
            entries.push(bytes[at..end].trim_ascii());
            at = skip(end);
            match bytes.get(at) {
                Some(b',') => at = skip(at + 1),
                Some(b']') => break at += 1,
                Some(_) | None => return Err(broken(at)),
            }
        }
    }
    if skip(at) == bytes.len() { Ok(entries) } else { Err(broken(at)) }
}

#[cfg(test)]
mod tests;
