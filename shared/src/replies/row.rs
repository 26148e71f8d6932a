//! A row of the table, and what it says in words.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::class::{Class, Connection, Scope, Split};
use super::pattern::Pattern;
use crate::reason::Reason;
use crate::reply::{Silence, Stage};

/// A row: when it fits, what follows, and what it says to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name, for `postroom explain` and for faults.
    pub name: String,
    /// Whether an operator laid it on top.
    pub own: bool,
    /// Whether it stands for what no other row knows.
    pub fallback: bool,
    /// When it fits.
    pub when: Pattern,
    /// What the reply means.
    pub class: Class,
    /// Why, in one word.
    pub reason: Reason,
    /// What it means when it comes again and again.
    pub then: Option<Then>,
    /// The least pause of the first of its classes that waits, the row's own or the one that follows.
    #[serde(rename = "floor_seconds", serialize_with = "seconds")]
    pub floor: Duration,
    /// Up to which the pause grows while the same reply comes again; zero: as the retry settings say.
    #[serde(rename = "hold_seconds", serialize_with = "seconds")]
    pub hold: Duration,
    /// Whose replies are counted, and who pauses.
    pub scope: Scope,
    /// What becomes of the connection.
    pub connection: Connection,
    /// How the recipients are parted; only where a class is split.
    pub split: Option<Split>,
    /// Whether a person has to know.
    pub alert: bool,
    /// What it says, for a person.
    pub means: String,
    /// What a person should do.
    #[serde(rename = "do")]
    pub advice: String,
    /// From where we know: `doc`, `belief` or `seen`, and where it stands.
    pub source: String,
    /// A reply that this very row answers.
    pub example: Option<Example>,
}

/// What a reply means after so many of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Then {
    /// So many replies have the row's own class.
    pub tries: u32,
    /// The class of those that follow.
    pub class: Class,
    /// Their reason.
    pub reason: Reason,
}

/// A reply as it stands on the wire (`550-5.1.1 No such user`), or the word of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Where it comes.
    pub stage: Stage,
    /// What comes.
    pub said: String,
}

impl Row {
    /// Class and reason of the `nth` such reply in a row, counted from 1 for the row's scope.
    #[must_use]
    pub fn nth(&self, nth: u32) -> (Class, Reason) {
        match self.then {
            Some(then) if nth > then.tries => (then.class, then.reason),
            Some(_) | None => (self.class, self.reason),
        }
    }

    /// Whether any of its replies has this reason.
    #[must_use]
    pub fn has_reason(&self, reason: Reason) -> bool {
        self.reason == reason || self.then.is_some_and(|then| then.reason == reason)
    }

    /// Whether any of its replies has this class.
    #[must_use]
    pub fn has_class(&self, class: Class) -> bool {
        self.class == class || self.then.is_some_and(|then| then.class == class)
    }

    /// Code and enhanced code, or the silence: `421 4.7.0`, `closed`, `any`.
    #[must_use]
    pub fn reply(&self) -> String {
        let codes = join(&self.when.codes, ", ");
        let silences = match self.when.silences.len() {
            0 => String::new(),
            5 => "no answer".to_owned(),
            _ => join(&self.when.silences.iter().map(|how| how.as_str()).collect::<Vec<_>>(), ", "),
        };
        let parts: Vec<_> =
            [codes, silences, join(&self.when.enhanced, ", ")].into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { "anything else".to_owned() } else { parts.join(" ") }
    }

    /// The stages, or `any`.
    #[must_use]
    pub fn stages(&self) -> String {
        let stages: Vec<_> = self.when.stages.iter().map(|stage| stage.as_str()).collect();
        if stages.is_empty() { "any".to_owned() } else { stages.join(", ") }
    }

    /// The words that it asks for, or nothing.
    #[must_use]
    pub fn words(&self) -> String {
        let not: Vec<_> = self.when.not_words.iter().map(|word| format!("not {word:?}")).collect();
        let words: Vec<_> = self.when.words.iter().map(|word| format!("{word:?}")).collect();
        [words.join(" or "), not.join(", ")].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// What Postroom does, in a few sentences.
    #[must_use]
    pub fn does(&self) -> String {
        let mut said = capital(&self.deed(self.class));
        if let Some(then) = self.then {
            let deed = self.deed(then.class);
            said.push_str(&match (self.class, then.tries) {
                (Class::Message | Class::Config | Class::Recipient, tries) => {
                    format!(". After {tries} such replies it {deed}")
                }
                (_, 1) => format!(", once; then it {deed}"),
                (_, 2) => format!(", twice; then it {deed}"),
                (_, tries) => format!(", {tries} times; then it {deed}"),
            });
            if then.reason != self.reason {
                said.push_str(&format!(" ({})", then.reason.as_str()));
            }
        }
        said.push('.');
        if self.may_come_before_a_mail() {
            said.push_str(" Before MAIL it lets the account wait instead, for 1 min at first and up to 1 h.");
        }
        if self.class != Class::Reconnect {
            said.push_str(match self.connection {
                Connection::Keep => "",
                Connection::New => " Gives this connection up.",
                Connection::Fewer => " Gives this connection up and uses fewer of them.",
            });
        }
        if self.alert {
            said.push_str(" Raises an alert.");
        }
        said
    }

    /// Whether it refuses for good and fits at a stage at which nothing was said of any mail.
    fn may_come_before_a_mail(&self) -> bool {
        let for_good = [Class::Recipient, Class::Message, Class::Config].iter().any(|class| self.has_class(*class));
        let early = |stage: &Stage| *stage < Stage::Mail;
        for_good && (self.when.stages.is_empty() || self.when.stages.iter().any(early))
    }

    /// What it does for one of its classes, with the pause if that class waits.
    fn deed(&self, class: Class) -> String {
        let deed = if class == Class::Soon && class == self.class && self.then.is_some() {
            "tries again with growing pauses"
        } else {
            class.help()
        };
        let split = match self.split.filter(|_| class == Class::Split) {
            Some(Split::Domain) => ", one for each domain",
            Some(Split::Half) => ", in halves",
            None => "",
        };
        let pause = if class.waits() && (class == self.class || !self.class.waits()) {
            self.pause(class)
        } else {
            String::new()
        };
        format!("{deed}{split}{pause}")
    }

    fn pause(&self, class: Class) -> String {
        let (floor, hold) = (span(self.floor), span(self.hold));
        let whose = match self.scope {
            Scope::Mail | Scope::Logins => "",
            Scope::Recipient => " for this recipient",
            Scope::Account if class == Class::Soon => " for the whole account",
            Scope::Account => "",
        };
        match (self.floor.is_zero(), self.hold.is_zero()) {
            (true, _) => String::new(),
            (false, _) if class == Class::Quota && self.floor == self.hold => format!(", for {floor}"),
            (false, _) if class == Class::Quota => format!(", for {floor} at first and up to {hold}"),
            (false, true) => format!(", not before {floor}{whose}"),
            (false, false) => format!(", not before {floor} and later {hold}{whose}"),
        }
    }
}

impl Example {
    /// The silence that it is the word of.
    pub(super) fn silence(&self) -> Option<Silence> {
        super::pattern::SILENCES.into_iter().find(|how| how.as_str() == self.said)
    }
}

fn join<T: ToString>(parts: &[T], between: &str) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `90 s`, `10 min`, `24 h`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.as_secs())
}
