//! Templates: subject, HTML and text of mails, written with minijinja, kept in Redis in versions, rendered at the door.
//!
//! | read | for |
//! |---|---|
//! | `folder` | templates as files |
//! | `parts` | layouts and other parts that templates share |
//! | [`Compiled`] | compiling and rendering |
//! | `html` | inlined CSS, and a text made from HTML |
//! | `fault` | what is wrong with a template, by file, line and variable |
//! | `bounds` | how much a template may do |
//! | `cache` | the templates that a client used last |
//!
//! docs/templates.md tells how to write them.

mod bounded;
mod bounds;
mod cache;
mod compiled;
mod fault;
mod folder;
mod html;
mod parts;

use std::collections::BTreeMap;

pub(crate) use self::cache::Remembered;
pub use self::compiled::{Compiled, Rendered};
pub use self::fault::TemplateFault;
pub use self::folder::read as read_folder;
pub use postroom_shared::templates::{TemplateName, TemplateRef, TemplateSource};
use serde_json::{Value, json};

/// The parts of `all` that a template uses: what to store with it.
#[must_use]
pub fn used_parts(source: &TemplateSource, all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let texts = [Some(&source.subject), source.html.as_ref(), source.text.as_ref()];
    parts::used(texts.into_iter().flatten().map(String::as_str), all)
}

/// Compiles and renders whatever `bytes` hold, with sample variables: an entry for fuzzers. The bytes are subject, HTML, text
/// and a part, with a NUL between them.
///
/// # Errors
/// What is wrong with it, as for any template.
pub fn render_untrusted(bytes: &[u8]) -> Result<Rendered, Vec<TemplateFault>> {
    let text = String::from_utf8_lossy(bytes);
    let mut files = text.split('\0').map(str::to_owned);
    let source = TemplateSource {
        subject: files.next().unwrap_or_default(),
        html: Some(files.next().unwrap_or_default()),
        text: files.next(),
        parts: files.next().map(|part| ("part.html".to_owned(), part)).into_iter().collect(),
        sample: None,
    };
    let name: TemplateName = "untrusted".parse().map_err(|message: String| vec![TemplateFault::new("", message)])?;
    let variables: Value = json!({ "user": { "name": "Ann <b>", "age": 42 }, "items": [1, 2.5, "x", null, true] });
    Compiled::new(&name, &source)?.render(&variables).map_err(|fault| vec![fault])
}

#[cfg(test)]
mod tests;
