//! What a client says of itself in XOAUTH2, the same for SMTP and IMAP.

use crate::account::AccountId;
use crate::tokens::AccessToken;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// `user=U ^A auth=Bearer T ^A ^A` in base64, without the blanks.
pub fn initial_response(account: &AccountId, token: &AccessToken) -> SecretString {
    let plain = format!("user={}\x01auth=Bearer {}\x01\x01", account.reveal(), token.secret().expose_secret());
    SecretString::from(STANDARD.encode(SecretString::from(plain).expose_secret()))
}
