//! Aligned columns of plain text.
//!
//! Control characters are replaced: a subject or a server's words must not move a terminal's cursor.

use std::fmt;

use super::Failure;
use super::output::Out;

/// Blanks between two columns.
const GAP: usize = 2;

/// Rows under a head; prints nothing if there is no row.
pub(super) struct Table {
    head: Option<Vec<String>>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a head.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: Some(head.iter().map(|word| (*word).to_owned()).collect()), rows: Vec::new() }
    }

    /// Names and values.
    pub(super) fn plain() -> Self {
        Self { head: None, rows: Vec::new() }
    }

    /// One more row.
    pub(super) fn row<const N: usize>(&mut self, cells: [impl fmt::Display; N]) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell.to_string())).collect());
    }

    /// A row of a name and a value.
    pub(super) fn pair(&mut self, name: &str, value: impl fmt::Display) {
        self.row([name.to_owned(), value.to_string()]);
    }

    /// Prints it, each line after `indent`.
    pub(super) fn print(self, out: &mut Out, indent: &str) -> Result<(), Failure> {
        self.lines().into_iter().try_for_each(|line| out.line(format!("{indent}{line}")))
    }

    fn lines(self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let rows: Vec<Vec<String>> = self.head.into_iter().chain(self.rows).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0) + GAP).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<String>().trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }
}

/// The text without what would move the cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_replaced() {
        let mut table = Table::new(&["ID", "SUBJECT"]);
        table.row(["1", "Grüße\x1b[2J"]);
        table.row(["1000", ""]);
        assert_eq!(table.lines(), ["ID    SUBJECT", "1     Grüße\u{fffd}[2J", "1000"]);
        assert!(Table::new(&["ID"]).lines().is_empty());
    }
}
