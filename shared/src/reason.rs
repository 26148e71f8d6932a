//! The closed list of reasons: one word for why a mail waits, failed or died, and why an account is held.
//!
//! The same word stands in the timeline, in metrics, in the API and in the docs.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Why. See each variant; [`Reason::as_str`] is the word used everywhere.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)+
        }

        impl Reason {
            /// All of them, in the order of the docs.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in the timeline, in metrics, in the API and in the docs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// One sentence for a person.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

reasons! {
    /// The server took the mail.
    Delivered = "delivered",
    /// The server asked to try again later.
    ServerBusy = "server_busy",
    /// The account reached one of Gmail's sending limits.
    Quota = "quota",
    /// The account logged in too often in a short time.
    LoginLimit = "login_limit",
    /// Gmail takes the mail, or what the account sends, for unsolicited.
    Reputation = "reputation",
    /// The sending domain's SPF, DKIM, DMARC or PTR records do not vouch for the mail.
    SenderAuth = "sender_auth",
    /// The server could not be reached, or the connection was lost before the mail was handed over.
    Connection = "connection",
    /// The connection was lost after the final dot: the server may have taken the mail.
    Uncertain = "uncertain",
    /// The mail was found in the account's Sent mailbox after the connection, or the worker, had been lost.
    Found = "found",
    /// The worker's lease ran out before it settled the mail.
    LeaseLost = "lease_lost",
    /// The worker stopped and handed the mail back.
    HandedBack = "handed_back",
    /// The token service could not be reached or refused for now.
    TokenUnavailable = "token_unavailable",
    /// The server refused the access token: it is refreshed once.
    TokenRefused = "token_refused",
    /// The account's consent is gone or its login was refused: a person has to log in again.
    Consent = "consent",
    /// The OAuth2 client, or the service account, is refused: a person has to correct it.
    Client = "client",
    /// The server refused these recipients for good.
    Recipient = "recipient",
    /// The recipient gets more mail than the server lets them.
    RecipientBusy = "recipient_busy",
    /// The recipient's mailbox is full.
    RecipientFull = "recipient_full",
    /// More recipients than one transaction may have: they go out in smaller ones.
    Split = "split",
    /// A rule of a domain, or of Gmail for contents, forbids the mail.
    Policy = "policy",
    /// The mail is larger than the server takes.
    Size = "size",
    /// The server refused the mail itself for good.
    Message = "message",
    /// Postroom or its settings broke a rule of the server.
    Config = "config",
    /// The mail's deadline passed.
    Expired = "expired",
    /// The code that handled the mail panicked.
    Panic = "panic",
    /// The attempt took longer than its time limit.
    Stuck = "stuck",
    /// The mail took three workers down with it.
    Poison = "poison",
    /// What lay in Redis could not be read.
    Unreadable = "unreadable",
    /// The account was removed while mail waited for it.
    NoAccount = "no_account",
    /// An operator asked for it.
    Operator = "operator",
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|reason| reason.as_str()).collect();
            format!("{word:?} is no reason: use one of {}", words.join(", "))
        })
    }
}
