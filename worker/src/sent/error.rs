//! What kept the Sent mailbox from answering. Texts of the server are masked when the error is made.

use postroom_shared::address::mask_addresses;
use postroom_shared::reply::Silence;

/// Why a look gave no answer. None of these ever means that the mail is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SentError {
    /// The server was not reached, fell silent, closed, or said what is no IMAP: passing, look again later.
    #[error("the IMAP server gave no answer: {} ({detail}); look again later", how.as_str())]
    Silent {
        /// How.
        how: Silence,
        /// The error in words, masked.
        detail: String,
    },
    /// The login was refused: refresh the token once and try again.
    #[error(
        "the IMAP login was refused: {text}; with a fresh token the consent or the account's IMAP access is missing"
    )]
    LoginRefused {
        /// The server's words, masked.
        text: String,
    },
    /// The account has no mailbox that is marked as Sent or named like it.
    #[error("the account has no Sent mailbox that IMAP shows: see Gmail's settings, Labels, \"Show in IMAP\"")]
    NoSentMailbox,
    /// The server refused a command (NO or BAD).
    #[error("the IMAP server refused {command}: {text}")]
    Refused {
        /// The command, without its arguments.
        command: &'static str,
        /// The server's words, masked.
        text: String,
    },
    /// The Message-ID holds what cannot be searched for: a blank, a control character, or anything that is not ASCII.
    #[error(
        "the Message-ID cannot be searched for: it holds a blank, a control character or is not ASCII, or is too long"
    )]
    MessageId,
}

impl SentError {
    pub(super) fn silent(how: Silence, detail: &str) -> Self {
        Self::Silent { how, detail: mask_addresses(detail) }
    }

    pub(super) fn refused(command: &'static str, text: &str) -> Self {
        Self::Refused { command, text: mask_addresses(text) }
    }

    pub(super) fn login(text: &str) -> Self {
        Self::LoginRefused { text: mask_addresses(text) }
    }
}
