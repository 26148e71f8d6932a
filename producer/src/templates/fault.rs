//! What is wrong with a template: file, line and variable. A fault tells names of variables, never what is in them.

use std::error::Error as _;
use std::fmt;

use minijinja::{Error, ErrorKind};
use postroom_shared::address::mask_addresses;
use serde::Serialize;
use serde_json::Value;

use super::bounds::{DEPTH, FUEL, LARGEST_BODY};

/// Names that are told of those that were given.
const TOLD: usize = 20;
/// Characters of a name or a sentence that are told.
const CLIPPED: usize = 200;

/// One thing that is wrong with a template, or with the variables that it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateFault {
    /// The file, such as `welcome/body.html` or `_parts/layout.html`.
    pub file: String,
    /// The line in it.
    pub line: Option<usize>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl TemplateFault {
    pub(super) fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, message: message.into() }
    }

    /// What the engine says of `file`, told as a fault. `variables` are those that it was given, if it was rendered.
    pub(super) fn of(error: &Error, file: &str, variables: Option<&Value>) -> Self {
        let error = innermost(error);
        let file = error.name().unwrap_or(file).to_owned();
        Self { file, line: error.line(), message: message(error, variables) }
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        let told = match line {
            Some(line) => format!("{file}, line {line}: {message}"),
            None => format!("{file}: {message}"),
        };
        // A template may name a part as it likes: an address is masked, and what would change a terminal or a log is a blank.
        f.write_str(&mask_addresses(&told.replace(char::is_control, " ")))
    }
}

impl std::error::Error for TemplateFault {}

/// The error where it happened: a part that fails is told by whatever uses it, too.
fn innermost(error: &Error) -> &Error {
    let mut found = error;
    while let Some(next) = found.source().and_then(|source| source.downcast_ref::<Error>()) {
        found = next;
    }
    found
}

fn message(error: &Error, variables: Option<&Value>) -> String {
    let detail = error.detail().unwrap_or_default();
    if let Some(expression) = undefined(error, detail) {
        let given = variables.map(|variables| given(&expression, variables)).unwrap_or_default();
        return format!("{:?} is undefined{given}", clipped(&expression));
    }
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        return format!(
            "it does too much, more than {FUEL} steps: is there a loop that hardly ends, or very much data?"
        );
    }
    if kind == ErrorKind::WriteFailure {
        return format!("it makes more than {} KiB, which is the most that a body may have", LARGEST_BODY >> 10);
    }
    if detail.contains("recursion limit") {
        return format!("parts or macros stand in each other too deeply ({DEPTH} levels): does one use itself?");
    }
    if kind == ErrorKind::TemplateNotFound {
        return missing(error, detail);
    }
    // The engine tells the numbers, which may be the app's data.
    if detail.is_empty() || detail.starts_with("unable to calculate") {
        return kind.to_string();
    }
    format!("{kind}: {}", clipped(detail))
}

/// The expression that is undefined, if that is what is wrong.
fn undefined(error: &Error, detail: &str) -> Option<String> {
    let told = detail.split_once("` is undefined").and_then(|(before, _)| before.rsplit_once('`'));
    if let Some((_, expression)) = told {
        return Some(expression.to_owned());
    }
    if error.kind() != ErrorKind::UndefinedError {
        return None;
    }
    let source = error.template_source()?;
    source.get(error.range()?).map(|text| text.trim_matches(['{', '}', '%', '-', ' ']).to_owned())
}

/// The names that were given: those beside the one that is missing, and those of the highest level.
fn given(expression: &str, variables: &Value) -> String {
    let mut path = String::new();
    let mut place = variables;
    let mut names = Vec::new();
    for step in expression.split('.') {
        let Some(inner) = place.get(step).filter(|inner| inner.is_object()) else { break };
        path = format!("{path}{step}.");
        place = inner;
    }
    if !path.is_empty() {
        names.extend(keys(place).map(|key| format!("{path}{key}")));
    }
    names.extend(keys(variables).map(str::to_owned));
    let more = names.len().saturating_sub(TOLD);
    let shown: Vec<String> = names.iter().take(TOLD).map(|name| clipped(name)).collect();
    match (shown.is_empty(), more) {
        (true, _) => "; no variables were given".to_owned(),
        (false, 0) => format!("; given: {}", shown.join(", ")),
        (false, more) => format!("; given: {} and {more} more", shown.join(", ")),
    }
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str))
}

/// A part that is not there. Its name is told only if it stands in the template: else it is the app's data.
fn missing(error: &Error, detail: &str) -> String {
    let name = detail.split('"').nth(1).unwrap_or_default();
    let stem = name.trim_start_matches("_parts/").split('.').next().unwrap_or_default();
    let written = !stem.is_empty() && error.template_source().is_some_and(|source| source.contains(stem));
    let which = if written { format!("there is no {}", clipped(name)) } else { "there is no such part".to_owned() };
    format!("{which}: put it into _parts, and write its name out in quotes where it is used")
}

fn clipped(text: &str) -> String {
    let short: String = text.chars().take(CLIPPED).map(|c| if c.is_control() { ' ' } else { c }).collect();
    mask_addresses(&short)
}
