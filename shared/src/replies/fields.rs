//! Reads the fields of one row of TOML by name and notes every fault with row and field.
//!
//! Nothing in here knows what a field means.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::{Table as Toml, Value};

/// One fault of a table of replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The row's name, or its place if it has none.
    pub row: String,
    /// The field.
    pub field: String,
    /// What is wrong, and what is right.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}, {}: {}", self.row, self.field, self.what)
    }
}

/// The fields of one row that were not taken yet, and the faults so far.
pub(super) struct Fields {
    row: String,
    left: Toml,
    known: Vec<&'static str>,
    faults: Vec<Fault>,
}

impl Fields {
    /// The fields of the row at a place, counted from 1.
    pub(super) fn new(place: usize, left: Toml) -> Self {
        let row = left.get("name").and_then(Value::as_str).map_or_else(|| format!("{place}"), str::to_owned);
        Self { row, left, known: Vec::new(), faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, field: &str, what: impl Into<String>) {
        self.faults.push(Fault { row: self.row.clone(), field: field.to_owned(), what: what.into() });
    }

    /// Faults for what was not taken, and all others.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        let unknown: Vec<String> = self.left.keys().cloned().collect();
        for field in unknown {
            let near = super::nearest(&field, self.known.iter().copied());
            self.fault(
                &field,
                near.map_or_else(|| "no such field".to_owned(), |near| format!("no such field: {near}?")),
            );
        }
        self.faults
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.left.remove(field)
    }

    /// A text, if it is there and not empty.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        let value = self.take(field)?;
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => self.wrong(field, "is empty"),
            None => self.not_a(field, "text", &value),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, field: &'static str) -> String {
        let missing = !self.left.contains_key(field);
        let text = self.text(field);
        if missing {
            self.fault(field, "is missing");
        }
        text.unwrap_or_default()
    }

    pub(super) fn flag(&mut self, field: &'static str) -> bool {
        match self.take(field) {
            None => false,
            Some(Value::Boolean(flag)) => flag,
            Some(other) => self.not_a(field, "true or false", &other).unwrap_or_default(),
        }
    }

    /// A whole number above zero.
    pub(super) fn number(&mut self, field: &'static str) -> Option<u32> {
        let value = self.take(field)?;
        match value.as_integer().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
            Some(number) => Some(number),
            None => self.not_a(field, "whole number above zero", &value),
        }
    }

    /// A span of time such as `90s`, `10m` or `24h`; zero if it is absent.
    pub(super) fn span(&mut self, field: &'static str) -> Duration {
        let Some(text) = self.text(field) else { return Duration::ZERO };
        read_span(&text).unwrap_or_else(|| {
            self.fault(field, format!("{text:?} is no span of time: write 90s, 10m or 24h"));
            Duration::ZERO
        })
    }

    /// One text or number, or a list of them.
    pub(super) fn list(&mut self, field: &'static str) -> Vec<String> {
        let values = match self.take(field) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(one) => vec![one],
        };
        if values.is_empty() {
            self.fault(field, "is an empty list: leave it out");
        }
        let mut texts = Vec::new();
        for value in values {
            match (value.as_str(), value.as_integer()) {
                (Some(text), _) => texts.push(text.to_owned()),
                (None, Some(number)) => texts.push(number.to_string()),
                (None, None) => drop(self.not_a::<String>(field, "text, or a list of texts", &value)),
            }
        }
        texts
    }

    /// As [`Self::list`], each read by its type.
    pub(super) fn parsed<T: std::str::FromStr<Err = String>>(&mut self, field: &'static str) -> Vec<T> {
        let texts = self.list(field);
        texts.iter().filter_map(|text| self.or_fault(field, text.parse())).collect()
    }

    /// These texts, each a word of a closed list.
    pub(super) fn words_of<T: DeserializeOwned>(&mut self, field: &str, texts: Vec<String>) -> Vec<T> {
        texts.into_iter().filter_map(|text| self.or_fault(field, word_of(text))).collect()
    }

    /// One word of a closed list that must be there.
    pub(super) fn needed_word<T: DeserializeOwned>(&mut self, field: &'static str, else_this: T) -> T {
        if !self.left.contains_key(field) {
            self.fault(field, "is missing");
        }
        self.word(field).unwrap_or(else_this)
    }

    /// One word of a closed list, if it is there.
    pub(super) fn word<T: DeserializeOwned>(&mut self, field: &'static str) -> Option<T> {
        let text = self.text(field)?;
        self.or_fault(field, word_of(text))
    }

    fn or_fault<T>(&mut self, field: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|what| self.fault(field, what)).ok()
    }

    fn not_a<T>(&mut self, field: &str, wanted: &str, found: &Value) -> Option<T> {
        self.wrong(field, &format!("must be a {wanted}, not a {}", found.type_str()))
    }

    fn wrong<T>(&mut self, field: &str, what: &str) -> Option<T> {
        self.fault(field, what);
        None
    }
}

fn word_of<T: DeserializeOwned>(text: String) -> Result<T, String> {
    Value::String(text).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn read_span(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    let seconds = match &text[unit..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}
