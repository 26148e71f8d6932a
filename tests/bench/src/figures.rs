//! What was measured, beside what it shall be (peers.md, "Figures"), as a table and as JSON.

use serde_json::{Value, json};

use crate::out::say;

/// What a figure shall be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// No less than this.
    Least(f64),
    /// No more than this.
    Most(f64),
}

impl Aim {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Least(bound) => value >= bound,
            Self::Most(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Least(bound) => format!("≥ {}", number(bound)),
            Self::Most(bound) => format!("≤ {}", number(bound)),
        }
    }
}

/// One figure.
struct Figure {
    part: &'static str,
    name: &'static str,
    value: f64,
    aim: Option<Aim>,
    note: String,
    must: bool,
}

/// All figures of a run.
#[derive(Default)]
pub(crate) struct Figures {
    list: Vec<Figure>,
    said: Vec<String>,
}

impl Figures {
    /// A figure without an aim.
    pub(crate) fn tell(&mut self, part: &'static str, name: &'static str, value: f64, note: impl Into<String>) {
        self.list.push(Figure { part, name, value, aim: None, note: note.into(), must: false });
    }

    /// A figure with an aim.
    pub(crate) fn aim(
        &mut self,
        part: &'static str,
        name: &'static str,
        value: f64,
        aim: Aim,
        note: impl Into<String>,
    ) {
        self.list.push(Figure { part, name, value, aim: Some(aim), note: note.into(), must: false });
    }

    /// A figure whose aim decides how the bench ends.
    pub(crate) fn must(&mut self, part: &'static str, name: &'static str, value: f64, aim: Aim) {
        let note = "decides the exit code".to_owned();
        self.list.push(Figure { part, name, value, aim: Some(aim), note, must: true });
    }

    /// A sentence under the table: how something was counted.
    pub(crate) fn say(&mut self, sentence: impl Into<String>) {
        self.said.push(sentence.into());
    }

    /// Whether everything holds that decides the exit code.
    pub(crate) fn must_hold(&self) -> bool {
        self.list.iter().filter(|figure| figure.must).all(|figure| figure.aim.is_none_or(|aim| aim.holds(figure.value)))
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let mut part = "";
        say("");
        say(&format!("{:<44}{:>12}{:>12}       note", "", "measured", "aim"));
        for figure in &self.list {
            if figure.part != part {
                part = figure.part;
                say(part);
            }
            let aim = figure.aim.map(Aim::text).unwrap_or_default();
            let word = match figure.aim {
                None => "",
                Some(aim) if aim.holds(figure.value) => "ok",
                Some(_) => "MISS",
            };
            let line = format!("  {:<42}{:>12}{aim:>12}  {word:<4} {}", figure.name, number(figure.value), figure.note);
            say(line.trim_end());
        }
        say("");
        for sentence in &self.said {
            say(sentence);
        }
    }

    /// All of it for a program.
    pub(crate) fn to_json(&self) -> Value {
        let figure = |figure: &Figure| {
            let (least, most) = match figure.aim {
                Some(Aim::Least(bound)) => (Some(bound), None),
                Some(Aim::Most(bound)) => (None, Some(bound)),
                None => (None, None),
            };
            json!({
                "part": figure.part,
                "name": figure.name,
                "value": figure.value,
                "at_least": least,
                "at_most": most,
                "ok": figure.aim.map(|aim| aim.holds(figure.value)),
                "note": figure.note,
            })
        };
        json!({ "figures": self.list.iter().map(figure).collect::<Vec<_>>(), "notes": self.said })
    }
}

/// As many digits as a figure of its size is worth.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if digits > 0 { text } else { grouped(&text) }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let table =
            [(51_766.4, "51,766"), (12.34, "12.3"), (0.296, "0.30"), (0.0123, "0.012"), (3.0, "3"), (1e6, "1,000,000")];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn only_what_must_hold_decides() {
        let mut figures = Figures::default();
        figures.aim("a", "b", 1.0, Aim::Least(2.0), "");
        assert!(figures.must_hold());
        figures.must("a", "c", 1.0, Aim::Least(2.0));
        assert!(!figures.must_hold());
    }
}
