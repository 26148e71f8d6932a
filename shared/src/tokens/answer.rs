//! What an answer of the token endpoint means (gmail.md, "OAuth2 at Google"): one pure function over two lists of words.
//!
//! Never keeps the raw body: it may hold tokens.

use std::time::Duration;

use serde::Deserialize;

use super::service_refusal::ServiceRefusal;
use crate::address::mask_addresses;
use crate::clock::Millis;

/// A person has to consent again.
const CONSENT: &[&str] =
    &["invalid_grant", "admin_policy_enforced", "access_denied", "consent_required", "restricted_client"];

/// The OAuth2 client, or what we ask with it, is wrong. The last two never pass by waiting either: Google sends them
/// for a request that lacks something.
const CLIENT: &[&str] = &[
    "invalid_client",
    "deleted_client",
    "disabled_client",
    "unauthorized_client",
    "invalid_scope",
    "invalid_request",
    "unsupported_grant_type",
];

const LONGEST_TEXT: usize = 200;

/// Why a refresh gave no access token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The person's consent is gone.
    #[error("{error}: {description}")]
    Consent {
        /// The endpoint's word, such as `invalid_grant`.
        error: String,
        /// The endpoint's own text; may be empty.
        description: String,
    },
    /// The OAuth2 client is wrong.
    #[error("{error}: {description}")]
    Client {
        /// The endpoint's word, such as `invalid_client`.
        error: String,
        /// The endpoint's own text; may be empty.
        description: String,
    },
    /// A service account's JWT was refused: see [`ServiceRefusal`].
    #[error("{0}")]
    Service(Box<ServiceRefusal>),
    /// It may work later.
    #[error("{what}")]
    Passing {
        /// What happened.
        what: String,
        /// When the endpoint asked to come again.
        retry_after: Option<Duration>,
    },
}

impl RefreshError {
    pub(super) fn passing(what: impl Into<String>) -> Self {
        Self::Passing { what: what.into(), retry_after: None }
    }
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// What a refusal means; nothing if the status is 200, whose body is for the `oauth2` crate to read.
pub(super) fn refusal(status: u16, retry_after: Option<&str>, body: &[u8]) -> Option<RefreshError> {
    if status == 200 {
        return None;
    }
    let told: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let (error, description) = (word(&told.error), printable(&told.error_description));
    let can_be_final = (400..500).contains(&status) && status != 429;
    if can_be_final && CONSENT.contains(&error.as_str()) {
        return Some(RefreshError::Consent { error, description });
    }
    if can_be_final && CLIENT.contains(&error.as_str()) {
        return Some(RefreshError::Client { error, description });
    }
    let what = match (status, error.as_str()) {
        (300..400, _) => format!("the token endpoint answered {status}, a redirect: is POSTROOM_TOKEN_URL right?"),
        (404 | 405, _) => format!("the token endpoint answered {status}: is POSTROOM_TOKEN_URL right?"),
        (_, "") => format!("the token endpoint answered {status}"),
        (_, error) => format!("the token endpoint answered {status} ({error})"),
    };
    let retry_after = retry_after.and_then(|text| crate::http::parse_retry_after(text, Millis::now()));
    Some(RefreshError::Passing { what, retry_after })
}

/// The endpoint's word, if it is one.
fn word(text: &str) -> String {
    let is_word = text.len() <= 60 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word { text.to_owned() } else { String::new() }
}

/// Without what would move a cursor, and with addresses masked: it goes to the log and into a hold's note.
fn printable(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    mask_addresses(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = "<!DOCTYPE html><title>Error 403 (Forbidden)!!1</title>";

    fn class(status: u16, body: &str) -> &'static str {
        match refusal(status, None, body.as_bytes()) {
            None => "none",
            Some(RefreshError::Consent { .. }) => "consent",
            Some(RefreshError::Client { .. }) => "client",
            Some(RefreshError::Service(_)) => "service",
            Some(RefreshError::Passing { .. }) => "passing",
        }
    }

    #[test]
    fn every_answer_has_its_class() {
        for (status, body, expected) in [
            (200, r#"{"access_token":"x"}"#, "none"),
            (200, "garbage", "none"),
            (400, r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#, "consent"),
            (400, r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#, "consent"),
            (400, r#"{"error":"admin_policy_enforced"}"#, "consent"),
            (403, r#"{"error":"access_denied"}"#, "consent"),
            (400, r#"{"error":"consent_required"}"#, "consent"),
            (403, r#"{"error":"restricted_client"}"#, "consent"),
            (401, r#"{"error":"invalid_client"}"#, "client"),
            (401, r#"{"error":"deleted_client"}"#, "client"),
            (401, r#"{"error":"disabled_client"}"#, "client"),
            (401, r#"{"error":"unauthorized_client"}"#, "client"),
            (400, r#"{"error":"invalid_scope"}"#, "client"),
            (400, r#"{"error":"invalid_request"}"#, "client"),
            (429, r#"{"error":"invalid_grant"}"#, "passing"),
            (503, r#"{"error":"invalid_grant"}"#, "passing"),
            (400, r#"{"error":"rate_limit_exceeded"}"#, "passing"),
            (403, r#"{"error":"rate_limit_exceeded"}"#, "passing"),
            (400, r#"{"error":"internal_failure"}"#, "passing"),
            (400, r#"{"error":"a_word_of_tomorrow"}"#, "passing"),
            (403, HTML, "passing"),
            (403, r#"{"error":{"code":403,"message":"quota"}}"#, "passing"),
            (403, "", "passing"),
            (400, "", "passing"),
            (404, HTML, "passing"),
            (429, "", "passing"),
            (302, "", "passing"),
            (204, "", "passing"),
            (500, HTML, "passing"),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_hint_and_nothing_of_an_unknown_body() {
        let refused = refusal(429, Some(" 17 "), b"ya29.secret");
        let what = "the token endpoint answered 429".to_owned();
        assert_eq!(refused, Some(RefreshError::Passing { what, retry_after: Some(Duration::from_secs(17)) }));
        let text = refusal(400, None, br#"{"error":"ya29.secret <b>"}"#).unwrap().to_string();
        assert!(!text.contains("secret"), "{text}");
        let body = br#"{"error":"invalid_grant","error_description":"alice@example.com took it\u001b back"}"#;
        let Some(RefreshError::Consent { description, .. }) = refusal(400, None, body) else { panic!("no consent") };
        assert_eq!(description, "a***@example.com took it back");
    }
}
