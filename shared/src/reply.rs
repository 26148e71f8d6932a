//! What a server said, and at which stage; or at which stage it fell silent.
//!
//! A reply says nothing of what it means (the worker's verdict does) nor of what we do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::mask_addresses;

/// How far an attempt had come. The order is the order of the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Getting an access token, before any connection.
    Token,
    /// TCP and TLS.
    Connect,
    /// The server's first line.
    Greeting,
    /// `EHLO`.
    Ehlo,
    /// `AUTH XOAUTH2`.
    Auth,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`.
    Rcpt,
    /// `DATA`, or the bytes before the final dot (or before the end of `BDAT … LAST`).
    Data,
    /// After the final dot: the server may have taken the mail.
    Final,
}

impl Stage {
    /// The word in the timeline, in metrics and in the docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Final => "final",
        }
    }
}

/// An enhanced status code (RFC 3463), such as `5.7.8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// How a server fell silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Silence {
    /// No answer within the time limit.
    Timeout,
    /// The connection was closed or reset.
    Closed,
    /// The name did not resolve, or nobody answered at the address.
    Unreachable,
    /// TLS could not be agreed upon, or the certificate is not the server's.
    Tls,
    /// Bytes that are no SMTP reply.
    Garbage,
}

impl Silence {
    /// The word in the timeline, in metrics and in the docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Garbage => "garbage",
        }
    }
}

/// What came back: a reply with a code, or nothing that can be read. Its `Debug` masks addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// A reply of the SMTP dialogue.
    Reply {
        /// Three digits.
        code: u16,
        /// The enhanced code of its first line, if it has one.
        enhanced: Option<Enhanced>,
        /// All lines joined by blanks, without codes; may hold addresses, so it prints masked.
        text: String,
    },
    /// No reply.
    Silence {
        /// How.
        how: Silence,
        /// The error in words, for a person.
        detail: String,
    },
}

impl Said {
    fn words(&self) -> String {
        match self {
            Self::Reply { code, enhanced: Some(enhanced), text } => format!("{code} {enhanced} {text}"),
            Self::Reply { code, enhanced: None, text } => format!("{code} {text}"),
            Self::Silence { how, detail } => format!("{} ({detail})", how.as_str()),
        }
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_addresses(&self.words()))
    }
}

/// What the server said at a stage, or how it fell silent there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The stage it answers.
    pub stage: Stage,
    /// What was said.
    pub said: Said,
}

impl Reply {
    /// A reply with a code.
    #[must_use]
    pub fn new(stage: Stage, code: u16, enhanced: Option<Enhanced>, text: impl Into<String>) -> Self {
        Self { stage, said: Said::Reply { code, enhanced, text: text.into() } }
    }

    /// A silence.
    #[must_use]
    pub fn silence(stage: Stage, how: Silence, detail: impl Into<String>) -> Self {
        Self { stage, said: Said::Silence { how, detail: detail.into() } }
    }

    /// The three digits, if there was a reply.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.said {
            Said::Reply { code, .. } => Some(*code),
            Said::Silence { .. } => None,
        }
    }

    /// The reply in the clear, as an operator sees it: `550 5.1.1 no such user`.
    #[must_use]
    pub fn words(&self) -> String {
        self.said.words()
    }
}

/// Masked, for logs: `rcpt: 550 5.1.1 <b***@example.com> no such user`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage.as_str(), mask_addresses(&self.words()))
    }
}
