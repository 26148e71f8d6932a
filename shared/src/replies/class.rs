//! The closed lists of the table: what a reply means, whom it concerns, what becomes of the connection.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// What a reply means for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Try again with growing pauses.
    Soon,
    /// Once more at once on a new connection; no attempt is counted.
    Reconnect,
    /// The account waits for long; no attempt is counted.
    Quota,
    /// Refresh the access token once and try again at once.
    Token,
    /// The account waits until a person acts.
    Consent,
    /// Permanent for that recipient.
    Recipient,
    /// Permanent for the mail.
    Message,
    /// Our fault: permanent for the mail, and a person has to know.
    Config,
    /// Send again at once in smaller transactions.
    Split,
    /// The server may have taken the mail: look before it is sent again.
    Uncertain,
}

impl Class {
    /// All of them, in the order of the docs.
    pub const ALL: &'static [Self] = &[
        Self::Soon,
        Self::Reconnect,
        Self::Quota,
        Self::Token,
        Self::Consent,
        Self::Recipient,
        Self::Message,
        Self::Config,
        Self::Split,
        Self::Uncertain,
    ];

    /// The word in the table and in the docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Soon => "soon",
            Self::Reconnect => "reconnect",
            Self::Quota => "quota",
            Self::Token => "token",
            Self::Consent => "consent",
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Config => "config",
            Self::Split => "split",
            Self::Uncertain => "uncertain",
        }
    }

    /// What Postroom does, for a person.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Soon => "tries again with growing pauses, until the mail's deadline",
            Self::Reconnect => "tries again at once on a new connection, without counting an attempt",
            Self::Quota => "lets the account wait, without counting an attempt",
            Self::Token => "refreshes the access token and tries again at once",
            Self::Consent => "holds the account until a person acts; its mails wait and lose no attempt",
            Self::Recipient => "gives this recipient up and goes on with the others",
            Self::Message => "gives the mail up: it lies in the dead letters with its bytes",
            Self::Config => "gives the mail up as our own fault: it lies in the dead letters with its bytes",
            Self::Split => "sends again at once in smaller transactions",
            Self::Uncertain => "looks for the mail in the Sent mailbox before it sends it again",
        }
    }

    /// Whether it means a pause.
    #[must_use]
    pub fn waits(self) -> bool {
        match self {
            Self::Soon | Self::Quota => true,
            Self::Reconnect
            | Self::Token
            | Self::Consent
            | Self::Recipient
            | Self::Message
            | Self::Config
            | Self::Split
            | Self::Uncertain => false,
        }
    }

    /// Whom the class concerns unless a row says otherwise.
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Soon | Self::Reconnect | Self::Message | Self::Config | Self::Split | Self::Uncertain => Scope::Mail,
            Self::Recipient => Scope::Recipient,
            Self::Quota | Self::Token | Self::Consent => Scope::Account,
        }
    }

    /// The reason of the class's own, for a row that comes to it after some tries.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Soon => Reason::ServerBusy,
            Self::Reconnect => Reason::Connection,
            Self::Quota => Reason::Quota,
            Self::Token => Reason::TokenRefused,
            Self::Consent => Reason::Consent,
            Self::Recipient => Reason::Recipient,
            Self::Message => Reason::Message,
            Self::Config => Reason::Config,
            Self::Split => Reason::Split,
            Self::Uncertain => Reason::Uncertain,
        }
    }
}

/// Whose replies are counted, and who pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This mail.
    Mail,
    /// This recipient.
    Recipient,
    /// The account, on all its connections.
    Account,
    /// The account's new logins; connections that stand go on.
    Logins,
}

/// What becomes of the connection on which the reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// It may go on.
    #[default]
    Keep,
    /// It is given up.
    New,
    /// It is given up, and the account gets fewer of them.
    Fewer,
}

/// How the recipients of a transaction are parted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// In halves.
    Half,
    /// One transaction for each domain.
    Domain,
}
