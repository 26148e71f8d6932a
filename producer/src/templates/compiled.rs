//! A template that is ready to be rendered: compiled once, rendered with each mail's variables.
//!
//! Rendering is bounded in steps, size and depth (`bounds`), reads no clock, no file and no network, and gives the same for the
//! same variables.

use std::collections::BTreeSet;
use std::fmt;

use minijinja::value::{Serde, Value as Any, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter};
use postroom_shared::templates::{LARGEST, TemplateName, TemplateSource};
use serde::Serialize;
use serde_json::Value;

use super::bounded::Bounded;
use super::bounds::{DEPTH, FUEL, LARGEST_SAMPLE, LARGEST_SUBJECT};
use super::fault::TemplateFault;
use super::{html, parts};
use crate::templated::{Fill, Filled};

/// A template, compiled.
pub struct Compiled {
    environment: Environment<'static>,
    subject: String,
    html: Option<String>,
    text: Option<String>,
}

/// What a template makes of variables: at least one of HTML and text, both if there is HTML.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Rendered {
    /// The subject, in one line.
    pub subject: String,
    /// The HTML, with its CSS in the elements.
    pub html: Option<String>,
    /// The plain text: the template's own, or made from the HTML.
    pub text: Option<String>,
}

/// Sizes only: a mail's words belong in no log.
impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |body: &Option<String>| body.as_ref().map_or(0, String::len);
        write!(f, "Rendered({} bytes of HTML, {} of text)", size(&self.html), size(&self.text))
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compiled({})", self.subject)
    }
}

impl Compiled {
    /// Compiles a template.
    ///
    /// # Errors
    /// All files that do not compile, each with its line; or what is missing or too large.
    pub fn new(name: &TemplateName, source: &TemplateSource) -> Result<Self, Vec<TemplateFault>> {
        let file = |what: &str| format!("{name}/{what}");
        let mut faults = sizes(name, source);
        let mut compiled = Self {
            environment: environment(),
            subject: file("subject.txt"),
            html: source.html.as_ref().map(|_| file("body.html")),
            text: source.text.as_ref().map(|_| file("body.txt")),
        };
        if faults.is_empty() {
            let own =
                [(Some(&compiled.subject), Some(&source.subject)), (compiled.html.as_ref(), source.html.as_ref())];
            let own = own.into_iter().chain([(compiled.text.as_ref(), source.text.as_ref())]);
            let own = own.filter_map(|(file, text)| Some((file?.clone(), text?)));
            let shared = source.parts.iter().map(|(part, text)| (format!("{}{part}", parts::FOLDER), text));
            for (file, text) in own.chain(shared) {
                faults.extend(parts::missing(&file, text, &source.parts));
                let added = compiled.environment.add_template_owned(file.clone(), text.clone());
                faults.extend(added.err().map(|error| TemplateFault::of(&error, &file, None)));
            }
        }
        if faults.is_empty() { Ok(compiled) } else { Err(faults) }
    }

    /// Compiles a template, and renders it with its sample data if it has some.
    ///
    /// # Errors
    /// As [`Compiled::new`], and what fails with the sample data.
    pub fn checked(name: &TemplateName, source: &TemplateSource) -> Result<Self, Vec<TemplateFault>> {
        let compiled = Self::new(name, source)?;
        if let Some(sample) = &source.sample {
            compiled.render(sample).map_err(|fault| vec![fault])?;
        }
        Ok(compiled)
    }

    /// Renders it.
    ///
    /// # Errors
    /// The first thing that fails: mostly a variable that is not given.
    pub fn render(&self, variables: &Value) -> Result<Rendered, TemplateFault> {
        let context = Any::from(Serde(variables));
        let subject = self.one(&self.subject, &context, variables)?.trim().to_owned();
        check_subject(&subject).map_err(|message| TemplateFault::new(&self.subject, message))?;
        let text = self.text.as_ref().map(|file| self.one(file, &context, variables)).transpose()?;
        let Some(file) = &self.html else { return Ok(Rendered { subject, html: None, text }) };
        let rendered = self.one(file, &context, variables)?;
        let fault = |message: String| TemplateFault::new(file, message);
        let checked = html::check(&rendered).map_err(fault)?;
        let text = match text {
            Some(text) => text,
            None => checked.to_text().map_err(fault)?,
        };
        Ok(Rendered { subject, html: Some(checked.with_css_inlined().map_err(fault)?), text: Some(text) })
    }

    /// The names of the variables that it uses, as far as they can be told without rendering.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<String> {
        let own: Vec<(&str, _)> = self.environment.templates().collect();
        let names = own.iter().flat_map(|(_, template)| template.undeclared_variables(true));
        let known: BTreeSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        names.filter(|name| !known.contains(name.as_str())).collect()
    }

    fn one(&self, file: &str, context: &Any, variables: &Value) -> Result<String, TemplateFault> {
        let fault = |error| TemplateFault::of(&error, file, Some(variables));
        let template = self.environment.get_template(file).map_err(fault)?;
        let mut out = Bounded::default();
        template.render_captured_to(context.clone(), &mut out).map_err(fault)?;
        out.text().ok_or_else(|| TemplateFault::new(file, "it does not make UTF-8"))
    }
}

impl Fill for Compiled {
    fn fill(&self, variables: &Value) -> Result<Filled, String> {
        let Rendered { subject, html, text } = self.render(variables).map_err(|fault| fault.to_string())?;
        Ok(Filled { subject, html, text })
    }
}

/// An engine without access to anything outside, that takes an undefined variable for a fault.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_path_join_callback(|name, parent| parts::resolve(name, parent).into());
    // Tells where an undefined value came from.
    environment.set_debug(true);
    environment.set_formatter(print);
    // The first prints all variables. With the second, loops can nest and double lists without end, which the engine's fuel does
    // not count: dropping such a list overflows the stack (docs/templates.md, "Who is trusted").
    ["debug", "namespace"].into_iter().for_each(|function| environment.remove_global(function));
    ["chain", "zip", "pprint"].into_iter().for_each(|filter| environment.remove_filter(filter));
    environment
}

/// Prints a value, escaped where its place asks for it. A list or a map in a mail is a mistake, and may be of any size.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Any) -> Result<(), Error> {
    let kind = value.kind();
    let why = if kind == ValueKind::Seq || kind == ValueKind::Iterable {
        "a list cannot be printed: use a loop, or the filter join"
    } else if kind == ValueKind::Map {
        "an object cannot be printed: name one of its fields"
    } else {
        return escape_formatter(out, state, value);
    };
    Err(Error::new(ErrorKind::InvalidOperation, why))
}

fn check_subject(subject: &str) -> Result<(), String> {
    if subject.chars().any(char::is_control) {
        return Err("the subject has a line end or another control character: a subject is one line".to_owned());
    }
    if subject.len() > LARGEST_SUBJECT {
        return Err(format!("the subject has {} bytes: {LARGEST_SUBJECT} at most", subject.len()));
    }
    Ok(())
}

fn sizes(name: &TemplateName, source: &TemplateSource) -> Vec<TemplateFault> {
    let mut faults = Vec::new();
    let mut add = |what: &str, message: String| faults.push(TemplateFault::new(format!("{name}/{what}"), message));
    if source.html.is_none() && source.text.is_none() {
        add("body.html", "no body: give body.html, body.txt or both".to_owned());
    }
    if source.size() > LARGEST {
        add("", format!("{} KiB with its parts: {} at most", source.size() >> 10, LARGEST >> 10));
    }
    if let Some(sample) = &source.sample {
        let size = sample.to_string().len();
        if size > LARGEST_SAMPLE {
            add("sample.json", format!("{} KiB: {} at most", size >> 10, LARGEST_SAMPLE >> 10));
        }
        if !sample.is_object() {
            add("sample.json", "not an object of variables".to_owned());
        }
    }
    faults.extend(parts::unfit_names(&source.parts));
    faults
}
