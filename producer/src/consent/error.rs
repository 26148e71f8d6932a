//! Why a login by consent failed: what happened, why, and what to do. Never holds a code, a token, a secret or an address.

use std::time::Duration;

use postroom_shared::address::mask_addresses;
use postroom_shared::tokens::RefreshError;

/// Why a login by consent failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// The person said no.
    #[error(
        "the consent was denied in the browser (access_denied): nothing was stored; log in again and choose \"Allow\""
    )]
    Denied,
    /// Google did not let the person consent.
    #[error(
        "Google refused the consent ({word}): nothing was stored; an administrator's policy or the settings of the OAuth2 \
         client's consent screen forbid it: have them allow the client and its scope https://mail.google.com/, then log in \
         again"
    )]
    Refused {
        /// Google's word, such as `admin_policy_enforced`.
        word: String,
    },
    /// The person consented, but not to mail.
    #[error(
        "the consent does not cover mail: the box of the scope https://mail.google.com/ was not ticked; nothing was stored: \
         log in again and tick it"
    )]
    ScopeMissing,
    /// The consent is another mailbox's.
    #[error(
        "the consent is not of the mailbox that was named: Gmail refused the login as it ({said}); nothing was stored: log \
         in again and choose that very account in the browser, or name the account that you chose"
    )]
    WrongMailbox {
        /// What Gmail said, masked.
        said: String,
    },
    /// Gmail neither took nor refused the token.
    #[error(
        "the consent was given, but whether it opens the mailbox could not be tried ({said}); nothing was stored: see that \
         the SMTP server (POSTROOM_SMTP_URL) is reached and lets the account in, then log in again"
    )]
    LoginNotTried {
        /// What the server said or how it fell silent, masked.
        said: String,
    },
    /// The answer belongs to another login.
    #[error(
        "the browser brought the answer to another login than this one (its `state` is not ours): it was not used; close old \
         tabs of earlier logins and open the address of this login"
    )]
    StateMismatch,
    /// Nobody answered.
    #[error(
        "no answer came from the browser within {}: nothing was stored; log in again and consent in time. If the page in \
         the browser showed an error instead, correct the OAuth2 client: invalid_client means its id, redirect_uri_mismatch \
         its type, which must be \"Desktop app\"; docs/google-setup.md explains others. If the browser runs on another \
         machine, use --no-browser",
        spelt(*.0)
    )]
    TimedOut(Duration),
    /// Somebody else listens there.
    #[error(
        "port {0} of 127.0.0.1 is taken by another program, so the browser could not bring the answer there: choose another \
         with --port, or leave it out for a free one"
    )]
    PortTaken(u16),
    /// The port cannot be had.
    #[error(
        "port {port} of 127.0.0.1 cannot be used for the browser's answer ({why}): choose another with --port, or leave it \
         out for a free one"
    )]
    PortUnusable {
        /// Which.
        port: u16,
        /// The system's words.
        why: String,
    },
    /// An access token came, but nothing to renew it with.
    #[error(
        "Google gave no refresh token, without which nothing can be sent after an hour; nothing was stored: remove the app's \
         access at https://myaccount.google.com/connections as that account, then log in again"
    )]
    NoRefreshToken,
    /// The client is wrong.
    #[error(
        "the OAuth2 client is refused ({told}): nothing was stored; correct its id and secret (POSTROOM_CLIENT_ID, \
         POSTROOM_CLIENT_SECRET or --client), which must be of one client of the type \"Desktop app\", then log in again"
    )]
    Client {
        /// The token endpoint's words.
        told: String,
    },
    /// The code is not good, or not any more.
    #[error(
        "the code that the browser brought is refused ({told}): it was used before, is too old, or belongs to another login; \
         nothing was stored: log in again"
    )]
    CodeRefused {
        /// The token endpoint's words.
        told: String,
    },
    /// The token endpoint gave no tokens for now.
    #[error("the consent was given, but it could not be exchanged for tokens: {0}; nothing was stored: log in again")]
    NotExchanged(String),
    /// It cannot begin.
    #[error("the login cannot begin: {0}")]
    NotSetUp(String),
}

impl ConsentError {
    /// What an `error` in place of a code means.
    pub(super) fn refused(word: &str) -> Self {
        let is_word = word.len() <= 60 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match word {
            "access_denied" => Self::Denied,
            word => Self::Refused { word: if is_word { word } else { "no reason told" }.to_owned() },
        }
    }

    /// What it means that a code could not be exchanged.
    pub(super) fn of_exchange(error: RefreshError) -> Self {
        let told = |error: String, description: &str| match description {
            "" => error,
            description => format!("{error}: {}", mask_addresses(description)),
        };
        match error {
            RefreshError::Consent { error, description } => Self::CodeRefused { told: told(error, &description) },
            RefreshError::Client { error, description } => Self::Client { told: told(error, &description) },
            RefreshError::Service(refusal) => Self::NotExchanged(refusal.to_string()),
            RefreshError::Passing { what, .. } => Self::NotExchanged(what),
        }
    }
}

/// A span for people: `5 min`, `90 s`.
#[must_use]
pub fn spelt(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_meaning_and_repeats_only_words() {
        assert_eq!(ConsentError::refused("access_denied"), ConsentError::Denied);
        assert!(ConsentError::refused("admin_policy_enforced").to_string().contains("(admin_policy_enforced)"));
        assert!(!ConsentError::refused("<b>4/0secret").to_string().contains("secret"));
    }

    #[test]
    fn a_failed_exchange_has_its_meaning() {
        let consent = RefreshError::Consent { error: "invalid_grant".into(), description: "ann@example.org".into() };
        let text = ConsentError::of_exchange(consent).to_string();
        assert!(text.contains("(invalid_grant: a***@example.org)") && text.contains("used before"), "{text}");
        let client = RefreshError::Client { error: "invalid_client".into(), description: String::new() };
        assert_eq!(ConsentError::of_exchange(client), ConsentError::Client { told: "invalid_client".into() });
    }

    #[test]
    fn spans_are_spelt() {
        assert_eq!([300, 90, 0].map(|seconds| spelt(Duration::from_secs(seconds))), ["5 min", "90 s", "0 s"]);
    }
}
