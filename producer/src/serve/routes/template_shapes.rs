//! The shapes of requests and answers about templates.

use std::collections::BTreeMap;

use postroom_shared::templates::TemplateSummary;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::serve::emails::shape::time;

/// A template's files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesRequest {
    /// Makes the subject.
    #[schema(example = "Welcome, {{ user.name }}!")]
    pub(super) subject: String,
    /// Makes the HTML. Give html, text or both.
    #[schema(example = "<p>Hello {{ user.name }}</p>")]
    pub(super) html: Option<String>,
    /// Makes the plain text; default: it is made from the HTML.
    pub(super) text: Option<String>,
    /// Variables to try it out with; it must work with them.
    #[schema(value_type = Option<Object>)]
    pub(super) sample: Option<Value>,
}

/// A template.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateRequest {
    /// Its name: a-z, 0-9, dot, hyphen and underscore.
    #[schema(example = "welcome")]
    pub(super) name: String,
    /// Makes the subject.
    #[schema(example = "Welcome, {{ user.name }}!")]
    pub(super) subject: String,
    /// Makes the HTML. Give html, text or both.
    #[schema(example = "<p>Hello {{ user.name }}</p>")]
    pub(super) html: Option<String>,
    /// Makes the plain text; default: it is made from the HTML.
    pub(super) text: Option<String>,
    /// Variables to try it out with; it must work with them.
    #[schema(value_type = Option<Object>)]
    pub(super) sample: Option<Value>,
    /// Layouts and other parts that it uses, by their file names, such as `layout.html`.
    #[serde(default)]
    pub(super) parts: BTreeMap<String, String>,
}

/// Templates that are put together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplatesRequest {
    /// The templates by their names.
    pub(super) templates: BTreeMap<String, FilesRequest>,
    /// Layouts and other parts that they share, by their file names.
    #[serde(default)]
    pub(super) parts: BTreeMap<String, String>,
}

/// A template that was put.
#[derive(Serialize, ToSchema)]
pub(super) struct PutBody {
    /// Always `template`.
    pub(super) object: &'static str,
    /// Its name.
    pub(super) id: String,
    /// The version that it is now.
    pub(super) version: u32,
    /// That is a new version: something has changed.
    pub(super) new: bool,
}

/// Templates that were put.
#[derive(Serialize, ToSchema)]
pub(super) struct PutList {
    /// Always `list`.
    pub(super) object: &'static str,
    /// Each of them.
    pub(super) data: Vec<PutBody>,
}

/// A template in few words.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateSummaryBody {
    /// Always `template`.
    pub(super) object: &'static str,
    /// Its name.
    pub(super) id: String,
    /// Its newest version.
    pub(super) version: u32,
    /// When that was put.
    #[schema(format = DateTime)]
    pub(super) put_at: String,
    /// SHA-256 of what it is made of.
    pub(super) sha: String,
    /// Bytes of its files.
    pub(super) bytes: usize,
    /// The parts that it uses.
    pub(super) parts: Vec<String>,
}

impl From<TemplateSummary> for TemplateSummaryBody {
    fn from(TemplateSummary { name, version, facts }: TemplateSummary) -> Self {
        let (id, put_at) = (name.to_string(), time(facts.put_at));
        Self { object: "template", id, version, put_at, sha: facts.sha, bytes: facts.bytes, parts: facts.parts }
    }
}

/// The templates.
#[derive(Serialize, ToSchema)]
pub(super) struct SummaryList {
    /// Always `list`.
    pub(super) object: &'static str,
    /// Each in its newest version, by name.
    pub(super) data: Vec<TemplateSummaryBody>,
}

/// One version of a template with its files.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateBody {
    /// Always `template`.
    pub(super) object: &'static str,
    /// Its name.
    pub(super) id: String,
    /// This version.
    pub(super) version: u32,
    /// The versions that are kept.
    pub(super) versions: Vec<u32>,
    /// When this one was put.
    #[schema(format = DateTime)]
    pub(super) put_at: String,
    /// SHA-256 of what it is made of.
    pub(super) sha: String,
    /// The variables that it uses, as far as they can be told.
    pub(super) variables: Vec<String>,
    /// Makes the subject.
    pub(super) subject: String,
    /// Makes the HTML.
    pub(super) html: Option<String>,
    /// Makes the plain text; null: it is made from the HTML.
    pub(super) text: Option<String>,
    /// The parts that it uses.
    pub(super) parts: BTreeMap<String, String>,
    /// Variables to try it out with.
    #[schema(value_type = Option<Object>)]
    pub(super) sample: Option<Value>,
}

/// What a template shall be tried out with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewRequest {
    /// The variables; default: the template's sample.
    #[schema(value_type = Option<Object>)]
    pub(super) variables: Option<Value>,
}

/// What a template makes.
#[derive(Serialize, ToSchema)]
pub(super) struct PreviewBody {
    /// The subject.
    pub(super) subject: String,
    /// The HTML, with its CSS in the elements.
    pub(super) html: Option<String>,
    /// The plain text.
    pub(super) text: Option<String>,
}
