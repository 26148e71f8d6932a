//! Templates as they are stored: what an app's mails are made of, put by name, in versions that never change.
//!
//! A version holds all that it needs: its own files and the parts (layouts, footers) that it uses, as they were when it was put.
//! So a later change of a part changes no version. Nothing in here renders, or knows what stands in a template.

mod name;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::name::{TemplateName, TemplateRef};
use crate::clock::Millis;
use crate::store::keys::{SERVICE_SHARD, ShardKeys};
use crate::store::{Script, Store, StoreError};

/// Versions of a template that are kept.
pub const KEPT_VERSIONS: u32 = 50;
/// Templates that there may be.
pub const MOST_TEMPLATES: usize = 1_000;
/// Bytes of one version, over all its files.
pub const LARGEST: usize = 512 << 10;
/// How records are written now; told in each.
const FORM: u8 = 1;

/// What a template is made of.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TemplateSource {
    /// Makes the subject.
    pub subject: String,
    /// Makes the HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Makes the plain text; if absent, it is made from the HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Layouts and other parts by their file names, such as `layout.html`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
    /// Variables for a look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Value>,
}

impl TemplateSource {
    /// Bytes of its files, without the sample data.
    #[must_use]
    pub fn size(&self) -> usize {
        let parts = self.parts.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        self.subject.len() + [&self.html, &self.text].into_iter().flatten().map(String::len).sum::<usize>() + parts
    }
}

/// Shapes only: what stands in a template belongs in no log.
impl fmt::Debug for TemplateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemplateSource({} bytes, {} parts)", self.size(), self.parts.len())
    }
}

/// One version of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Template {
    /// Its name.
    pub name: TemplateName,
    /// Its number.
    pub version: u32,
    /// When it was put.
    pub put_at: Millis,
    /// SHA-256 of its source, in hex.
    pub sha: String,
    /// What it is made of.
    #[serde(flatten)]
    pub source: TemplateSource,
}

/// The newest version of a template, in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateSummary {
    /// Its name.
    pub name: TemplateName,
    /// The newest version's number.
    pub version: u32,
    /// What is told of that version.
    #[serde(flatten)]
    pub facts: TemplateFacts,
}

/// What is told of a version without its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFacts {
    /// When it was put.
    pub put_at: Millis,
    /// SHA-256 of its source, in hex.
    pub sha: String,
    /// Bytes of its files.
    pub bytes: usize,
    /// It has a text of its own.
    pub has_text: bool,
    /// It has sample data.
    pub has_sample: bool,
    /// The parts that it uses.
    pub parts: Vec<String>,
}

/// A version as it lies in Redis.
#[derive(Serialize, Deserialize)]
struct Record {
    form: u8,
    put_at: Millis,
    sha: String,
    source: TemplateSource,
}

/// What a put came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is a new version.
    New(u32),
    /// The newest version is the same already.
    Same(u32),
    /// There are as many templates as there may be: remove some first.
    TooMany,
}

/// The templates in Redis.
#[derive(Clone)]
pub struct Templates {
    store: Store,
    keys: ShardKeys,
}

impl Templates {
    /// The templates of a queue's Redis.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), keys: store.keys(SERVICE_SHARD) }
    }

    /// Puts a template. If its newest version is made of the same, nothing changes.
    ///
    /// # Errors
    /// If Redis did not do it; putting it again harms nothing.
    pub async fn put(&self, name: &TemplateName, source: &TemplateSource, now: Millis) -> Result<Put, StoreError> {
        let sha = fingerprint(source)?;
        let facts = TemplateFacts {
            put_at: now,
            sha: sha.clone(),
            bytes: source.size(),
            has_text: source.text.is_some(),
            has_sample: source.sample.is_some(),
            parts: source.parts.keys().cloned().collect(),
        };
        let record = Record { form: FORM, put_at: now, sha: sha.clone(), source: source.clone() };
        let script = Script::new(&[include_str!("put.lua")]);
        let mut call = script.call(&self.keys);
        call.arg(name.as_str()).arg(sha).arg(written(&record)?).arg(written(&facts)?);
        call.arg(KEPT_VERSIONS).arg(MOST_TEMPLATES);
        let (number, new): (u32, u32) = call.invoke_async(&mut self.store.connection()).await?;
        Ok(match (number, new) {
            (0, _) => Put::TooMany,
            (number, 0) => Put::Same(number),
            (number, _) => Put::New(number),
        })
    }

    /// One version of a template; `None`: there is none such (any more).
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn get(&self, wanted: &TemplateRef) -> Result<Option<Template>, StoreError> {
        let newest = match wanted.version {
            Some(version) => Some(version),
            None => self.newest(&wanted.name).await?.map(|summary| summary.version),
        };
        let Some(version) = newest else { return Ok(None) };
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.template(&wanted.name)).arg(version);
        let found: Option<String> = command.query_async(&mut self.store.connection()).await?;
        let Some(text) = found else { return Ok(None) };
        let record: Record = read(&text)?;
        if record.form != FORM {
            let told = format!("template {wanted} was put by a newer Postroom (form {}): update this one", record.form);
            return Err(StoreError::Wrong(told));
        }
        let Record { put_at, sha, source, .. } = record;
        Ok(Some(Template { name: wanted.name.clone(), version, put_at, sha, source }))
    }

    /// The newest version of a template in few words.
    ///
    /// # Errors
    /// As [`Templates::get`].
    pub async fn newest(&self, name: &TemplateName) -> Result<Option<TemplateSummary>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(self.keys.templates()).arg(name.as_str());
        let found: Option<String> = command.query_async(&mut self.store.connection()).await?;
        found.map(|text| summary(name.clone(), &text)).transpose()
    }

    /// All templates, by name.
    ///
    /// # Errors
    /// As [`Templates::get`].
    pub async fn list(&self) -> Result<Vec<TemplateSummary>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.templates());
        let rows: BTreeMap<String, String> = command.query_async(&mut self.store.connection()).await?;
        let one = |(name, text): (String, String)| summary(name.parse().map_err(unreadable)?, &text);
        rows.into_iter().map(one).collect()
    }

    /// The numbers of the versions that are kept of a template, in order; none: there is no such template.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn versions(&self, name: &TemplateName) -> Result<Vec<u32>, StoreError> {
        let mut command = redis::cmd("HKEYS");
        command.arg(self.keys.template(name));
        let fields: Vec<String> = command.query_async(&mut self.store.connection()).await?;
        let mut numbers: Vec<u32> = fields.iter().filter_map(|field| field.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes a template with all its versions. Answers whether there was one.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn remove(&self, name: &TemplateName) -> Result<bool, StoreError> {
        let script = Script::new(&[include_str!("remove.lua")]);
        let mut call = script.call(&self.keys);
        call.arg(name.as_str());
        Ok(call.invoke_async::<u32>(&mut self.store.connection()).await? > 0)
    }
}

/// SHA-256 of a source, in hex.
///
/// # Errors
/// Never in practice: a source can be written as JSON.
pub fn fingerprint(source: &TemplateSource) -> Result<String, StoreError> {
    let digest = Sha256::digest(written(source)?.as_bytes());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What stands in the hash of all templates: the number, a line end, the facts.
fn summary(name: TemplateName, text: &str) -> Result<TemplateSummary, StoreError> {
    let (number, facts) = text.split_once('\n').ok_or_else(|| unreadable("no line end"))?;
    Ok(TemplateSummary { name, version: number.parse().map_err(unreadable)?, facts: read(facts)? })
}

fn written(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(unreadable)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(unreadable)
}

fn unreadable(why: impl fmt::Display) -> StoreError {
    StoreError::Wrong(format!("a template in Redis cannot be read ({why}): put it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_first_form_are_still_read() {
        let text = r#"{"form":1,"put_at":1800000000000,"sha":"ab","source":{"subject":"Hi","html":"<p>","parts":{"footer.html":"x"},"sample":{"a":1}}}"#;
        let record: Record = read(text).unwrap();
        assert_eq!((record.form, record.put_at, record.sha.as_str()), (1, Millis(1_800_000_000_000), "ab"));
        assert_eq!(record.source.html.as_deref(), Some("<p>"));
        assert_eq!(record.source.size(), 2 + 3 + 11 + 1);
        assert_eq!(written(&record).unwrap(), text);
        let told = summary("welcome".parse().unwrap(), "7\n{}").unwrap_err().to_string();
        assert!(told.contains("put it again"), "{told}");
    }

    #[test]
    fn what_it_prints_is_its_shape() {
        let source = TemplateSource { subject: "secret".to_owned(), ..TemplateSource::default() };
        assert_eq!(format!("{source:?}"), "TemplateSource(6 bytes, 0 parts)");
    }
}
