//! What a person asks the table: a code, a reply, a reason, a class or the name of a row.

use std::str::FromStr;

use super::class::Class;
use super::pattern::STAGES;
use super::row::Row;
use super::wire::{read_enhanced, read_reply};
use super::{Table, nearest};
use crate::reason::Reason;
use crate::reply::{Enhanced, Reply, Said, Stage};

/// A question that the table may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// What is known of a reply: a code, an enhanced code, a text, or some of them.
    Reply {
        /// The three digits.
        code: Option<u16>,
        /// The enhanced code.
        enhanced: Option<Enhanced>,
        /// The text in lower case, if there is one.
        text: Option<String>,
    },
    /// A reason or a class; often one word is both.
    Meaning(Option<Reason>, Option<Class>),
    /// A row.
    Name(String),
}

/// The stage of this word.
///
/// # Errors
/// If it is none.
pub fn stage(word: &str) -> Result<Stage, String> {
    STAGES.into_iter().find(|stage| stage.as_str() == word).ok_or_else(|| {
        let words: Vec<_> = STAGES.iter().map(|stage| stage.as_str()).collect();
        format!("{word:?} is no stage: use one of {}", words.join(", "))
    })
}

impl Table {
    /// Reads a question: `550-5.4.5`, `550 5.4.5 Daily user sending limit exceeded`, `5.4.5`, `quota`, `daily-limit`.
    ///
    /// # Errors
    /// If it is none that the table can answer; says what is nearest.
    pub fn query(&self, text: &str) -> Result<Query, String> {
        let text = text.trim();
        if let Some(Reply { said: Said::Reply { code, enhanced, text }, .. }) = read_reply(Stage::Final, text) {
            let known = self.rows().any(|row| !row.when.codes.is_empty() && row.when.covers_code(code));
            let text = Some(text.to_lowercase()).filter(|text| !text.is_empty());
            return if known { Ok(Query::Reply { code: Some(code), enhanced, text }) } else { Err(self.no_code(code)) };
        }
        if let Some(enhanced) = read_enhanced(text) {
            return Ok(Query::Reply { code: None, enhanced: Some(enhanced), text: None });
        }
        let word = text.to_lowercase();
        let class = Class::ALL.iter().copied().find(|class| class.as_str() == word);
        match (Reason::from_str(&word).ok(), class) {
            (None, None) if self.rows().any(|row| row.name == word) => Ok(Query::Name(word)),
            (None, None) => Err(self.no_word(text)),
            (reason, class) => Ok(Query::Meaning(reason, class)),
        }
    }

    /// The rows that answer a question, in the order of the table.
    #[must_use]
    pub fn answer(&self, query: &Query, stage: Option<Stage>) -> Vec<&Row> {
        let at = |row: &&Row| stage.is_none_or(|stage| row.when.at(stage));
        match query {
            Query::Name(name) => self.rows().filter(|row| row.name == *name).collect(),
            Query::Meaning(reason, class) => {
                let has = |row: &&Row| {
                    reason.is_some_and(|reason| row.has_reason(reason))
                        || class.is_some_and(|class| row.has_class(class))
                };
                self.rows().filter(has).filter(at).collect()
            }
            Query::Reply { code, enhanced, text } => {
                let mut found = Vec::new();
                for row in self.rows().filter(at).filter(|row| may_fit(row, *code, *enhanced, text.as_deref())) {
                    found.push(row);
                    if hides_the_rest(row, *code, *enhanced, text.is_some(), stage) {
                        break;
                    }
                }
                found
            }
        }
    }

    fn no_code(&self, code: u16) -> String {
        let codes: Vec<String> = self.rows().flat_map(|row| &row.when.codes).map(ToString::to_string).collect();
        let digits = code.to_string();
        let near = codes.iter().map(String::as_str).filter(|known| !known.contains('x'));
        let near = near.min_by_key(|known| strsim::damerau_levenshtein(known, &digits));
        format!("{code} is no refusal of SMTP: those are 4xx and 5xx; the nearest known is {}", near.unwrap_or("421"))
    }

    /// Does not repeat what was typed: it may hold an address.
    fn no_word(&self, word: &str) -> String {
        let words = Reason::ALL.iter().map(|reason| reason.as_str());
        let words = words.chain(Class::ALL.iter().map(|class| class.as_str()));
        let near = nearest(word, words.chain(self.rows().map(|row| row.name.as_str())));
        let near = near.map_or_else(String::new, |near| format!("; the nearest is {near}"));
        format!("that is no code, reason, class or name of a row{near}")
    }
}

/// Whether the row fits some reply that is like what is known.
fn may_fit(row: &Row, code: Option<u16>, enhanced: Option<Enhanced>, text: Option<&str>) -> bool {
    let when = &row.when;
    let by_code = match code {
        Some(code) => when.covers_code(code) && !(when.codes.is_empty() && when.enhanced.is_empty()),
        None => !when.enhanced.is_empty(),
    };
    by_code
        && (enhanced.is_none() || when.covers_enhanced(enhanced))
        && text.is_none_or(|text| when.covers_enhanced(enhanced) && when.says(text))
}

/// Whether the row fits every reply that is like what is known, so that no later row can answer.
fn hides_the_rest(
    row: &Row,
    code: Option<u16>,
    enhanced: Option<Enhanced>,
    text_known: bool,
    stage: Option<Stage>,
) -> bool {
    let when = &row.when;
    code.is_some_and(|code| when.covers_code(code))
        && when.covers_enhanced(enhanced)
        && (text_known || (when.words.is_empty() && when.not_words.is_empty()))
        && (when.stages.is_empty() || stage.is_some())
}
