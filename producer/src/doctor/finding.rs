//! A finding: what was seen, how bad it is, why it matters and what mends it.
//!
//! Words of others are cleaned here: no control characters, and no address in the clear.

use postroom_shared::address::mask_addresses;
use serde::{Serialize, Serializer};

use super::ids::Id;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Mail goes, or will go by itself, but something should be mended.
    Warning,
    /// Mail does not go, or may be lost.
    Error,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a finding belongs to; the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Redis,
    Clock,
    Network,
    Keys,
    Accounts,
    Domains,
    /// The doctor itself.
    All,
}

impl Subject {
    pub(crate) const EACH: [Self; 7] =
        [Self::Redis, Self::Clock, Self::Network, Self::Keys, Self::Accounts, Self::Domains, Self::All];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Clock => "clock",
            Self::Network => "network",
            Self::Keys => "keys",
            Self::Accounts => "accounts",
            Self::Domains => "domains",
            Self::All => "doctor",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) id: Id,
    pub(crate) severity: Severity,
    /// The account, domain or server that it is about.
    pub(crate) about: Option<String>,
    pub(crate) what: String,
    /// Instead of what mends it in general.
    mend: Option<String>,
    /// What it probably comes from, the likeliest first.
    pub(crate) causes: Vec<Cause>,
}

/// What a finding may come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// A word for programs.
    pub(crate) cause: &'static str,
    /// How likely it is by what is known.
    pub(crate) likelihood: Likelihood,
    /// Why, and what to do.
    pub(crate) text: String,
}

/// How likely a cause is, the likeliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Likelihood {
    /// The endpoint's words say so.
    Told,
    Probable,
    Possible,
    Unlikely,
}

impl Likelihood {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Probable => "probable",
            Self::Possible => "possible",
            Self::Unlikely => "unlikely",
        }
    }
}

impl Finding {
    pub(crate) fn new(id: Id, severity: Severity, what: impl Into<String>) -> Self {
        let what = mask_addresses(&what.into()).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { id, severity, about: None, what, mend: None, causes: Vec::new() }
    }

    pub(crate) fn ok(id: Id, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Ok, what)
    }

    pub(crate) fn note(id: Id, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Note, what)
    }

    pub(crate) fn warning(id: Id, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Warning, what)
    }

    pub(crate) fn error(id: Id, what: impl Into<String>) -> Self {
        Self::new(id, Severity::Error, what)
    }

    /// Says whom it is about, unless that is said already.
    pub(crate) fn about(mut self, name: &str) -> Self {
        self.about.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Says what mends it, where that is not what mends it in general.
    pub(crate) fn mended_by(mut self, mend: &str) -> Self {
        self.mend = Some(mend.to_owned());
        self
    }

    pub(crate) fn because(mut self, causes: Vec<Cause>) -> Self {
        self.causes = causes;
        self
    }

    /// Why it matters; nothing if all is well.
    pub(crate) fn why(&self) -> Option<&'static str> {
        Some(self.id.why()).filter(|why| self.severity > Severity::Ok && !why.is_empty())
    }

    /// What mends it, with the names in place; nothing if all is well.
    pub(crate) fn mend(&self) -> Option<String> {
        let general = self.mend.as_deref().unwrap_or(self.id.mend());
        let placeholder = if self.id.subject() == Subject::Domains { "DOMAIN" } else { "ADDRESS" };
        let named =
            || self.about.as_ref().map_or_else(|| general.to_owned(), |name| general.replace(placeholder, name));
        (self.severity > Severity::Ok && !general.is_empty()).then(named)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            id: &'a str,
            subject: &'a str,
            severity: Severity,
            about: Option<&'a str>,
            what: &'a str,
            why: Option<&'a str>,
            mend: Option<String>,
            #[serde(skip_serializing_if = "<[Cause]>::is_empty")]
            causes: &'a [Cause],
        }
        let shown = Shown {
            id: self.id.as_str(),
            subject: self.id.subject().as_str(),
            severity: self.severity,
            about: self.about.as_deref(),
            what: &self.what,
            why: self.why(),
            mend: self.mend(),
            causes: &self.causes,
        };
        shown.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_in_and_addresses_of_others_masked() {
        let finding = Finding::error(Id::CredentialsMissing, "none for bob@example.org\r\n").about("ann@example.com");
        assert_eq!(finding.what, "none for b***@example.org  ");
        assert_eq!(finding.mend().unwrap(), "postroom account add ann@example.com");
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!((json["id"].as_str(), json["severity"].as_str()), (Some("credentials-missing"), Some("error")));
        assert!(json["causes"].is_null());
        let ok = Finding::ok(Id::Spf, "x");
        assert_eq!((ok.why(), ok.mend()), (None, None));
    }

    #[test]
    fn every_id_has_a_word_of_its_own_and_whatever_is_wrong_can_be_mended() {
        let words: std::collections::BTreeSet<_> = Id::ALL.iter().map(|id| id.as_str()).collect();
        assert_eq!(words.len(), Id::ALL.len());
        for id in Id::ALL {
            assert!(!id.means().is_empty());
            let severities: Vec<_> = id.severities().split(", ").collect();
            assert!(severities.iter().all(|word| ["ok", "note", "warning", "error"].contains(word)), "{id:?}");
            if severities.iter().any(|word| ["warning", "error"].contains(word)) {
                assert!(!id.why().is_empty() && !id.mend().is_empty(), "{id:?}");
            }
        }
    }
}
