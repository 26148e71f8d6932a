//! XOAUTH2 as SMTP and IMAP both have it: what a client says of itself, and what a refused token is told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::tokens::fold;

/// What a refused token is told in a challenge, in base64; the refusal comes after the client's empty line.
pub(crate) const TOKEN_PROBLEM: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;

/// What the client said about itself.
pub(crate) struct Claim {
    pub(crate) account: String,
    pub(crate) token: String,
}

impl Claim {
    /// Reads base64 of `user=U ^A auth=Bearer T ^A ^A` (^A is byte 1; no blanks around it).
    pub(crate) fn read(response: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(response).ok()?).ok()?;
        let (account, auth) = text.strip_prefix("user=")?.split_once('\u{1}')?;
        let token = auth.strip_prefix("auth=Bearer ")?.strip_suffix("\u{1}\u{1}")?;
        Some(Self { account: fold(account), token: token.to_owned() })
    }
}
