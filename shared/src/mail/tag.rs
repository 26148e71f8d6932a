//! Tags: an app's own labels, given as `[{"name", "value"}]`, as `["word"]` or as `{"name": "value"}`.
//!
//! They are told in listings and webhooks; they never go out with the mail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::Faults;
use super::json::{kind, object, string};

/// Tags of one mail.
pub(super) const MAX_TAGS: usize = 50;
/// Characters of a tag's name, and of its value.
const MAX_LENGTH: usize = 256;

/// One label of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name: ASCII letters, digits, `_` and `-`.
    pub name: String,
    /// Its value, of the same characters; empty if the app gave a word alone.
    pub value: String,
}

/// Reads the field `tags`.
pub(super) fn parse(value: &Value, faults: &mut Faults) -> Vec<Tag> {
    let tags: Vec<Tag> = match value {
        Value::Array(list) if list.len() > MAX_TAGS => return too_many(list.len(), faults),
        Value::Object(map) if map.len() > MAX_TAGS => return too_many(map.len(), faults),
        Value::Array(list) => {
            list.iter().enumerate().filter_map(|(i, tag)| parse_one(tag, &format!("tags[{i}]"), faults)).collect()
        }
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| {
                let value = string(value, &format!("tags.{}", super::fault::quoted(name)), faults)?;
                Some(Tag { name: name.clone(), value: value.to_owned() })
            })
            .collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            faults.add("tags", format!("expected an array of {{name, value}}, not {}", kind(other)));
            return Vec::new();
        }
    };
    for (index, tag) in tags.iter().enumerate() {
        if let Err(message) = check(tag) {
            faults.add(format!("tags[{index}]"), message);
        }
    }
    tags
}

/// Reads `name=value` or `name`, as the header `X-Postroom-Tag` has it.
pub(super) fn parse_text(text: &str) -> Result<Tag, String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let tag = Tag { name: name.trim().to_owned(), value: value.trim().to_owned() };
    check(&tag).map(|()| tag)
}

fn too_many(count: usize, faults: &mut Faults) -> Vec<Tag> {
    faults.add("tags", format!("{count} tags: {MAX_TAGS} at most"));
    Vec::new()
}

fn parse_one(value: &Value, path: &str, faults: &mut Faults) -> Option<Tag> {
    if let Value::String(word) = value {
        return Some(Tag { name: word.clone(), value: String::new() });
    }
    let fields = object(value, path, &["name", "value"], faults)?;
    let mut read = |field: &str| match fields.get(field) {
        Some(text) => string(text, &format!("{path}.{field}"), faults).map(str::to_owned),
        None => {
            faults.add(format!("{path}.{field}"), "missing: a tag has a name and a value");
            None
        }
    };
    let (name, value) = (read("name"), read("value"));
    Some(Tag { name: name?, value: value? })
}

fn check(tag: &Tag) -> Result<(), String> {
    if tag.name.is_empty() {
        return Err("a tag without a name: give it one".to_owned());
    }
    for (what, text) in [("name", &tag.name), ("value", &tag.value)] {
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(format!("the {what} of a tag may hold ASCII letters, digits, _ and - only"));
        }
        if text.len() > MAX_LENGTH {
            return Err(format!("the {what} of a tag is {} characters long: {MAX_LENGTH} at most", text.len()));
        }
    }
    Ok(())
}
