//! Gmail's table of replies as data: `table.toml` says what each reply means, and the first row that fits counts.
//!
//! | read | for |
//! |---|---|
//! | `table.toml` | the rows; a correction is a line in there |
//! | [`class`] | the closed lists: what a reply means, whom it concerns |
//! | [`pattern`], [`row`] | when a row fits, and what it says |
//! | [`query`] | what `postroom explain` asks |
//! | [`markdown`] | docs/replies.md |
//!
//! Nothing in here decides what follows for a mail, and nothing in here asks whether a reply is a success.

pub mod class;
mod fields;
pub mod markdown;
mod own;
pub mod pattern;
pub mod query;
mod read;
pub mod row;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use class::Class;
pub use fields::Fault;
pub use own::{VARIABLE, from_settings};
pub use query::Query;
pub use row::Row;
pub use wire::read_reply;

use crate::reason::Reason;
use crate::reply::{Reply, Said};
use row::Example;

static BUILTIN: LazyLock<Result<Table, TableError>> = LazyLock::new(|| Table::parse(include_str!("table.toml")));

/// Why a table of replies cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is no TOML.
    #[error("not TOML: {0}")]
    Toml(String),
    /// Rows or fields are wrong; all of them are told.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The rows in their order. The last one fits everything, so that there is an answer to every reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    version: String,
    rows: Vec<Row>,
    last: Row,
}

/// What the table says of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding<'t> {
    /// The first row that fits.
    pub row: &'t Row,
}

impl Finding<'_> {
    /// Class and reason of the `nth` such reply in a row, counted from 1 for the row's scope.
    #[must_use]
    pub fn nth(&self, nth: u32) -> (Class, Reason) {
        self.row.nth(nth)
    }
}

impl Table {
    /// The table that Postroom brings along, read once. A test reads it too, so it does not fail in a build that passed.
    ///
    /// # Errors
    /// If the table is wrong.
    pub fn builtin() -> Result<&'static Self, TableError> {
        BUILTIN.as_ref().map_err(Clone::clone)
    }

    /// The builtin table with an operator's rows before its own.
    ///
    /// # Errors
    /// If the text is no TOML or a row is wrong; every fault names row and field.
    pub fn with_overlay(toml: &str) -> Result<Self, TableError> {
        let builtin = Self::builtin()?;
        let (_, own) = read::read(toml, true)?;
        let version = match own.len() {
            0 => builtin.version.clone(),
            more => format!("{} with {more} own", builtin.version),
        };
        let rows = own.into_iter().chain(builtin.rows.iter().cloned()).collect();
        let table = Self { version, rows, last: builtin.last.clone() };
        table.check_order(|row| row.own)?;
        Ok(table)
    }

    fn parse(toml: &str) -> Result<Self, TableError> {
        let (version, mut rows) = read::read(toml, false)?;
        let fault = |row: &str, field: &str, what: &str| {
            TableError::Faults(vec![Fault { row: row.to_owned(), field: field.to_owned(), what: what.to_owned() }])
        };
        let version = version.ok_or_else(|| fault("(none)", "version", "is missing"))?;
        let last = rows.pop().ok_or_else(|| fault("(none)", "row", "there is none"))?;
        if !last.when.fits_all() {
            return Err(fault(&last.name, "code", "the last row must fit every reply and every silence"));
        }
        let table = Self { version, rows, last };
        table.check_order(|_| true)?;
        Ok(table)
    }

    /// When the table was last corrected, and how many rows of an operator's lie on top.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All rows, first match first.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain([&self.last])
    }

    /// What the reply or silence means. Ask only if it is not the reply that was hoped for: a 250 after the final dot
    /// is a delivery and none of the table's business.
    #[must_use]
    pub fn classify(&self, reply: &Reply) -> Finding<'_> {
        let text = match &reply.said {
            Said::Reply { text, .. } => text.to_lowercase(),
            Said::Silence { .. } => String::new(),
        };
        let row = self.rows.iter().find(|row| row.when.fits(reply, &text)).unwrap_or(&self.last);
        Finding { row }
    }

    /// Every example of these rows is answered by its own row: none of them is hidden by one before it.
    fn check_order(&self, these: impl Fn(&Row) -> bool) -> Result<(), TableError> {
        let faults: Vec<Fault> = self.rows().filter(|row| these(row)).filter_map(|row| self.misplaced(row)).collect();
        if faults.is_empty() { Ok(()) } else { Err(TableError::Faults(faults)) }
    }

    fn misplaced(&self, row: &Row) -> Option<Fault> {
        let example = row.example.as_ref()?;
        let what = match example.reply() {
            None => "is neither a reply that begins with a code nor the word of a silence".to_owned(),
            Some(reply) => match self.classify(&reply).row {
                found if std::ptr::eq(found, row) => return None,
                found => format!("is answered by the row {}", found.name),
            },
        };
        Some(Fault { row: row.name.clone(), field: "example".to_owned(), what })
    }
}

impl Example {
    /// The reply, or the silence, that it stands for.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        match self.silence() {
            Some(how) => Some(Reply::silence(self.stage, how, "an example")),
            None => read_reply(self.stage, &self.said),
        }
    }
}

/// The word that is most like what was typed, if any is.
fn nearest<'w>(typed: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let typed = typed.to_lowercase();
    let scored = words.map(|word| (strsim::jaro_winkler(word, &typed), word));
    scored.filter(|(score, _)| *score > 0.75).max_by(|one, two| one.0.total_cmp(&two.0)).map(|(_, word)| word)
}
