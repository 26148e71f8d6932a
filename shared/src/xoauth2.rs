//! What a client says of itself in XOAUTH2, the same for SMTP and IMAP.

use crate::account::AccountId;
use crate::tokens::AccessToken;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use crate::secret::concat;

/// `user=U ^A auth=Bearer T ^A ^A` in base64, without the blanks.
pub fn initial_response(account: &AccountId, token: &AccessToken) -> SecretString {
    let token = token.secret().expose_secret();
    let plain = concat(&["user=", account.reveal(), "\x01auth=Bearer ", token, "\x01\x01"]);
    SecretString::from(STANDARD.encode(plain.expose_secret()))
}
