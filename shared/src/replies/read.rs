//! From TOML to rows, and what must be true of them. All faults are told at once.

use std::collections::BTreeSet;

use toml::{Table as Toml, Value};

use super::TableError;
use super::class::Class;
use super::fields::{Fault, Fields};
use super::pattern::{Pattern, SILENCES};
use super::row::{Example, Row, Then};
use crate::reason::Reason;

/// The version and the rows of a table's text.
pub(super) fn read(text: &str, own: bool) -> Result<(Option<String>, Vec<Row>), TableError> {
    let mut toml: Toml = text.parse().map_err(|error: toml::de::Error| TableError::Toml(error.to_string()))?;
    let mut faults = Vec::new();
    let version = match toml.remove("version") {
        None => None,
        Some(Value::String(version)) => Some(version),
        Some(other) => {
            faults.push(head_fault("version", &format!("must be a text, not a {}", other.type_str())));
            None
        }
    };
    let found = match toml.remove("row") {
        None => Vec::new(),
        Some(Value::Array(found)) => found,
        Some(_) => {
            faults.push(head_fault("row", "each row begins with [[row]]"));
            Vec::new()
        }
    };
    faults.extend(toml.keys().map(|key| head_fault(key, "no such field: rows begin with [[row]]")));
    let mut rows = Vec::new();
    for (place, value) in found.into_iter().enumerate() {
        let kind = value.type_str();
        if let Value::Table(fields) = value {
            rows.push(row(Fields::new(place + 1, fields), own, &mut faults));
        } else {
            faults.push(head_fault("row", &format!("must be a table, not a {kind}")));
        }
    }
    faults.extend(twice(&rows));
    if faults.is_empty() { Ok((version, rows)) } else { Err(TableError::Faults(faults)) }
}

fn head_fault(field: &str, what: &str) -> Fault {
    Fault { row: "(none)".to_owned(), field: field.to_owned(), what: what.to_owned() }
}

fn twice(rows: &[Row]) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let again = rows.iter().filter(|row| !row.name.is_empty() && !seen.insert(&row.name));
    again
        .map(|row| Fault { row: row.name.clone(), field: "name".to_owned(), what: "stands twice".to_owned() })
        .collect()
}

fn row(mut fields: Fields, own: bool, faults: &mut Vec<Fault>) -> Row {
    let name = fields.needed("name");
    let class = fields.needed_word("class", Class::Soon);
    let reason = fields.needed_word("reason", class.reason());
    let row = Row {
        name,
        own,
        fallback: fields.flag("fallback"),
        when: pattern(&mut fields),
        class,
        reason,
        then: then(&mut fields, reason),
        floor: fields.span("floor"),
        hold: fields.span("hold"),
        scope: fields.word("scope").unwrap_or(class.scope()),
        connection: fields.word("connection").unwrap_or_default(),
        split: fields.word("split"),
        alert: fields.flag("alert"),
        means: fields.needed("means"),
        advice: fields.needed("do"),
        source: fields.needed("source"),
        example: example(&mut fields),
    };
    check(&row, &mut fields);
    faults.extend(fields.finish());
    row
}

fn pattern(fields: &mut Fields) -> Pattern {
    let codes = fields.parsed("code");
    let silences = match fields.list("silence") {
        words if words == ["any"] => SILENCES.to_vec(),
        words => fields.words_of("silence", words),
    };
    let stages = fields.list("stages");
    let when = Pattern {
        codes,
        enhanced: fields.parsed("enhanced"),
        silences,
        stages: fields.words_of("stages", stages),
        words: fields.list("words"),
        not_words: fields.list("not_words"),
    };
    for (field, words) in [("words", &when.words), ("not_words", &when.not_words)] {
        for word in words.iter().filter(|word| word.is_empty() || word.to_lowercase() != **word) {
            fields.fault(field, format!("{word:?} must be in lower case and not empty"));
        }
    }
    if !when.silences.is_empty() && (!when.codes.is_empty() || !when.enhanced.is_empty()) {
        fields.fault("silence", "a row is for a silence or for a code, not for both");
    }
    when
}

fn then(fields: &mut Fields, own: Reason) -> Option<Then> {
    let (tries, class) = (fields.number("tries"), fields.word::<Class>("then"));
    let reason = fields.word("then_reason");
    match (tries, class) {
        (Some(tries), Some(class)) => {
            let usual = if class == Class::Soon { own } else { class.reason() };
            Some(Then { tries, class, reason: reason.unwrap_or(usual) })
        }
        (None, None) if reason.is_none() => None,
        (_, Some(_)) | (None, None) => {
            fields.fault("tries", "must say after how many replies `then` holds");
            None
        }
        (Some(_), None) => {
            fields.fault("then", "must say the class of those that follow `tries`");
            None
        }
    }
}

fn example(fields: &mut Fields) -> Option<Example> {
    let (said, stage) = (fields.text("example"), fields.word("example_stage"));
    match (said, stage) {
        (Some(said), Some(stage)) => Some(Example { stage, said }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            fields.fault("example_stage", "an example has both, what was said and at which stage");
            None
        }
    }
}

/// What must be true of a row by itself.
fn check(row: &Row, fields: &mut Fields) {
    let after = row.then.map(|then| then.class);
    if row.has_class(Class::Quota) && (row.floor.is_zero() || row.hold.is_zero()) {
        fields.fault("hold", "a quota needs floor and hold: for how long the account waits");
    }
    if !row.hold.is_zero() && row.hold < row.floor {
        fields.fault("hold", "is shorter than floor");
    }
    if matches!(row.class, Class::Reconnect | Class::Token | Class::Split) && after.is_none() {
        fields.fault("then", "a class that counts no attempt needs an end: tries and then");
    }
    if (row.class == Class::Split) != row.split.is_some() {
        fields.fault("split", "half or domain, for the class split and for no other");
    }
    if !["doc", "belief", "seen"].iter().any(|kind| row.source.starts_with(&format!("{kind}: "))) {
        fields.fault("source", "begins with `doc: `, `belief: ` or `seen: `");
    }
    if row.own && row.fallback {
        fields.fault("fallback", "only the table itself has fallbacks");
    }
}
