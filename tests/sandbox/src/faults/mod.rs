//! Scripted faults: at which stage, for which mail, how often, and what happens then.
//! Decides only; the SMTP and HTTP sides carry an [`Action`] out.

mod book;
mod check;

use serde::{Deserialize, Serialize};

pub(crate) use book::{FaultBook, Scene};

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A TCP connection was accepted; TLS has not begun.
    Connect,
    /// In place of the 220 greeting.
    Greeting,
    /// In answer to EHLO or HELO.
    Ehlo,
    /// In answer to AUTH.
    Auth,
    /// In answer to MAIL.
    Mail,
    /// In answer to each RCPT.
    Rcpt,
    /// In answer to DATA, or before the content of a mail's first BDAT is read.
    Data,
    /// After all content came.
    Final,
    /// A request at the token endpoint.
    Token,
    /// IMAP: a TCP connection was accepted; TLS has not begun.
    ImapConnect,
    /// IMAP: in answer to AUTHENTICATE.
    ImapLogin,
    /// IMAP: in answer to SEARCH.
    ImapSearch,
}

/// An SMTP reply of one or more lines; `"451 4.3.0 text"` or a list of such lines in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "Vec<String>")]
pub struct Reply(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Reply {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(line) => Self(line.lines().map(str::to_owned).collect()),
            OneOrMany::Many(lines) => Self(lines),
        }
    }
}

impl From<Reply> for Vec<String> {
    fn from(reply: Reply) -> Self {
        reply.0
    }
}

/// An answer of the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body; served as JSON if it begins with `{`, else as HTML.
    #[serde(default)]
    pub body: String,
    /// Milliseconds before the answer.
    #[serde(default)]
    pub delay_ms: u64,
}

/// What happens when a fault fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Refuse with this 4xx or 5xx reply; 421 closes the connection after it.
    Reply(Reply),
    /// Wait this many milliseconds, then go on as if nothing had been.
    DelayMs(u64),
    /// Never answer again, and keep the connection open.
    Silence,
    /// Reset the TCP connection.
    Cut,
    /// Final only: store the mail, then reset the TCP connection without a reply.
    AcceptThenCut,
    /// Final only: store the mail, wait this many milliseconds, then reply.
    StoreAndDelayMs(u64),
    /// IMAP login and search only: refuse with NO and this text.
    No(String),
    /// Token only: answer so.
    Http(HttpAnswer),
    /// SMTP: say this, which is no reply, and close the connection.
    Garbage(String),
}

impl Action {
    /// A refusal; the lines of a reply of more than one are parted by `\n`.
    #[must_use]
    pub fn reply(text: &str) -> Self {
        Self::Reply(Reply(text.lines().map(str::to_owned).collect()))
    }

    /// An answer of the token endpoint.
    #[must_use]
    pub fn http(status: u16, body: &str) -> Self {
        Self::Http(HttpAnswer { status, body: body.to_owned(), delay_ms: 0 })
    }
}

/// One rule. Every condition that is set must hold; of several rules the first that fires wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where.
    pub stage: Stage,
    /// What happens.
    pub action: Action,
    /// Only for this account (known from AUTH on, and at the token endpoint).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Only if a recipient contains this (from RCPT on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Only if MAIL FROM contains this (from MAIL on).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Only if the raw headers contain this, capitals or not (final only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Only if the decoded subject contains this (final only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Fire with this probability, from 0 to 1, by the sandbox's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Fire at every nth match only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Fire this many times at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Fire this many times at most for each mail: for each Message-ID at `final`; before the content is known
    /// for each recipient (`rcpt`), sender (`mail`), envelope (`data`) or account (`auth`, `token`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_mail_times: Option<u64>,
}

impl Fault {
    /// A rule that fires always at a stage; the methods below narrow it.
    #[must_use]
    pub fn new(stage: Stage, action: Action) -> Self {
        Self {
            stage,
            action,
            account: None,
            recipient: None,
            from: None,
            header: None,
            subject: None,
            probability: None,
            every: None,
            times: None,
            per_mail_times: None,
        }
    }

    /// Only for this account.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Only for recipients that contain this.
    #[must_use]
    pub fn recipient(mut self, part: &str) -> Self {
        self.recipient = Some(part.to_owned());
        self
    }

    /// Only for subjects that contain this.
    #[must_use]
    pub fn subject(mut self, part: &str) -> Self {
        self.subject = Some(part.to_owned());
        self
    }

    /// With this probability.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// At every nth match.
    #[must_use]
    pub fn every(mut self, nth: u64) -> Self {
        self.every = Some(nth);
        self
    }

    /// This many times at most.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// This many times at most for each mail.
    #[must_use]
    pub fn per_mail_times(mut self, times: u64) -> Self {
        self.per_mail_times = Some(times);
        self
    }
}

/// A rule in force and what it did so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultView {
    /// Its number, for deleting it.
    pub id: u64,
    /// How often its conditions held.
    pub matched: u64,
    /// How often it fired.
    pub fired: u64,
    /// The rule.
    pub fault: Fault,
}
