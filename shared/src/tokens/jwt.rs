//! The signed request (JWT, RS256) with which a service account asks for a token of a user: pure but for the key's blinding.
//!
//! It opens the mailbox as long as it lives, so it is a secret like a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use secrecy::SecretString;
use serde::Serialize;
use zeroize::Zeroizing;

use super::consent::SCOPE;
use super::service_account::{KeyFileError, ServiceAccount};
use crate::account::AccountId;
use crate::clock::Millis;

/// Google takes at most an hour from `iat` to `exp`.
const LIFE: u64 = 3_600;

/// `iat` lies so far back, in seconds, that a clock which is a little fast does not sign in the future.
const BACK: u64 = 60;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// The JWT by which a service account asks for a token of this user at the token endpoint `audience`.
///
/// # Errors
/// If the key cannot sign.
pub(super) fn assertion(
    service: &ServiceAccount,
    user: &AccountId,
    audience: &str,
    now: Millis,
) -> Result<SecretString, KeyFileError> {
    let iat = (now.0 / 1_000).saturating_sub(BACK);
    let header = Header { alg: "RS256", typ: "JWT", kid: service.key_id() };
    let claims =
        Claims { iss: service.email().reveal(), sub: user.reveal(), scope: SCOPE, aud: audience, iat, exp: iat + LIFE };
    let mut text = Zeroizing::new(format!("{}.{}", part(&header)?, part(&claims)?));
    let pair = service.key_pair()?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| KeyFileError::Key)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(SecretString::from(text.as_str()))
}

fn part(json: &impl Serialize) -> Result<String, KeyFileError> {
    serde_json::to_vec(json).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| KeyFileError::Key)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
