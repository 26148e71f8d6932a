//! When a row fits: codes, enhanced codes, silences, stages and words. What is left out asks nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::reply::{Enhanced, Reply, Said, Silence, Stage};

/// All ways to fall silent: what `silence = "any"` stands for.
pub(super) const SILENCES: [Silence; 5] =
    [Silence::Timeout, Silence::Closed, Silence::Unreachable, Silence::Tls, Silence::Garbage];

/// All stages, in the order of the dialogue.
pub(super) const STAGES: [Stage; 9] = [
    Stage::Token,
    Stage::Connect,
    Stage::Greeting,
    Stage::Ehlo,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Final,
];

/// Three digits of which each may be any: `421`, `4xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePattern([Option<u8>; 3]);

impl CodePattern {
    /// Whether it covers this code.
    #[must_use]
    pub fn covers(self, code: u16) -> bool {
        let digits = [code / 100, code / 10 % 10, code % 10];
        self.0.iter().zip(digits).all(|(wanted, digit)| wanted.is_none_or(|wanted| u16::from(wanted) == digit))
    }
}

impl FromStr for CodePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no code: write 421 or 4xx");
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Ok(Some(byte - b'0')),
            b'x' => Ok(None),
            _ => Err(wrong()),
        };
        let digits: Vec<_> = text.as_bytes().iter().map(digit).collect::<Result<_, _>>()?;
        <[Option<u8>; 3]>::try_from(digits).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| match digit {
            Some(digit) => write!(f, "{digit}"),
            None => f.write_str("x"),
        })
    }
}

/// An enhanced code of which each part may be any: `4.7.0`, `5.7.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedPattern([Option<u16>; 3]);

impl EnhancedPattern {
    /// Whether it covers this code.
    #[must_use]
    pub fn covers(self, code: Enhanced) -> bool {
        let parts = [u16::from(code.0), code.1, code.2];
        self.0.iter().zip(parts).all(|(wanted, part)| wanted.is_none_or(|wanted| wanted == part))
    }
}

impl FromStr for EnhancedPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no enhanced code: write 4.7.0 or 5.7.*");
        let part = |part: &str| match part {
            "*" => Ok(None),
            number => number.parse().map(Some).map_err(|_| wrong()),
        };
        let parts: Vec<_> = text.split('.').map(part).collect::<Result<_, _>>()?;
        <[Option<u16>; 3]>::try_from(parts).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for EnhancedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|part| part.map_or("*".to_owned(), |n| n.to_string())).collect();
        f.write_str(&parts.join("."))
    }
}

/// What a reply must be for its row to fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pattern {
    /// One of these codes; none: any code, or silence.
    #[serde(serialize_with = "in_words")]
    pub codes: Vec<CodePattern>,
    /// One of these enhanced codes; none: any or no enhanced code.
    #[serde(serialize_with = "in_words")]
    pub enhanced: Vec<EnhancedPattern>,
    /// One of these silences.
    pub silences: Vec<Silence>,
    /// One of these stages; none: any.
    pub stages: Vec<Stage>,
    /// At least one of these in the text, in lower case; none: any text.
    pub words: Vec<String>,
    /// None of these in the text, in lower case.
    pub not_words: Vec<String>,
}

impl Pattern {
    /// Whether the reply fits; `text` is its text in lower case.
    pub(super) fn fits(&self, reply: &Reply, text: &str) -> bool {
        let said = match &reply.said {
            Said::Reply { code, enhanced, .. } => self.covers(*code, *enhanced),
            Said::Silence { how, .. } => self.covers_silence(*how),
        };
        said && self.at(reply.stage) && self.says(text)
    }

    pub(super) fn at(&self, stage: Stage) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }

    pub(super) fn says(&self, text: &str) -> bool {
        let stands = |word: &String| text.contains(word.as_str());
        (self.words.is_empty() || self.words.iter().any(stands)) && !self.not_words.iter().any(stands)
    }

    /// Whether it asks nothing at all.
    pub(super) fn fits_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it fits some reply with this code; see also [`Self::covers_enhanced`].
    pub(super) fn covers_code(&self, code: u16) -> bool {
        self.silences.is_empty() && (self.codes.is_empty() || self.codes.iter().any(|pattern| pattern.covers(code)))
    }

    pub(super) fn covers_enhanced(&self, enhanced: Option<Enhanced>) -> bool {
        self.enhanced.is_empty()
            || enhanced.is_some_and(|enhanced| self.enhanced.iter().any(|pattern| pattern.covers(enhanced)))
    }

    fn covers(&self, code: u16, enhanced: Option<Enhanced>) -> bool {
        self.covers_code(code) && self.covers_enhanced(enhanced)
    }

    fn covers_silence(&self, how: Silence) -> bool {
        self.codes.is_empty() && self.enhanced.is_empty() && (self.silences.is_empty() || self.silences.contains(&how))
    }
}

fn in_words<T: fmt::Display, S: Serializer>(patterns: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(patterns.iter().map(ToString::to_string))
}
