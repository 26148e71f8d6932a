//! How a template is named: `welcome` (its newest version) or `welcome@3`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const LONGEST: usize = 64;

/// Names a template: lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(String);

impl TemplateName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TemplateName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins || name.len() > LONGEST || !name.chars().all(fits) {
            return Err(format!(
                "not the name of a template: 1 to {LONGEST} of a-z, 0-9, dot, hyphen and underscore, a letter or digit first"
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for TemplateName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<TemplateName> for String {
    fn from(name: TemplateName) -> Self {
        name.0
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A template, in its newest version or in a certain one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TemplateRef {
    /// Which template.
    pub name: TemplateName,
    /// Which version; `None`: the newest.
    pub version: Option<u32>,
}

impl FromStr for TemplateRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, version: None });
        };
        let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        let number = version.parse().ok().filter(|number| digits && *number > 0);
        let wrong = || "not a version of a template: write it as in welcome@3".to_owned();
        Ok(Self { name: name.parse()?, version: Some(number.ok_or_else(wrong)?) })
    }
}

impl fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for text in ["welcome", "welcome@3", "a.b_c-1@4294967295"] {
            assert_eq!(text.parse::<TemplateRef>().unwrap().to_string(), text);
        }
        let bad = [
            "",
            "Welcome",
            "_parts",
            "../x",
            ".x",
            "a b",
            "ä",
            "w@",
            "w@0",
            "w@-1",
            "w@+1",
            "w@1@2",
            "w@x",
            "w@4294967296",
        ];
        for text in bad.into_iter().chain([&*"x".repeat(65)]) {
            assert!(text.parse::<TemplateRef>().is_err(), "{text:?}");
        }
        assert!(serde_json::from_str::<TemplateName>("\"_parts\"").is_err());
    }
}
