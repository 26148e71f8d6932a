//! Service accounts: their public keys, the domains that delegated to them, and what is wrong with a JWT, in Google's words.
//! Holds no private key: whoever asks signs with its own.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::state::lock;
use crate::tokens::{Tokens, fold};

pub(crate) const SCOPE: &str = "https://mail.google.com/";
const LONGEST: u64 = 3_600;

/// A service account that the sandbox knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// Its address: `client_email` of its key file.
    pub email: String,
    /// The id of its one key: `private_key_id`.
    pub key_id: String,
    /// The public half of the key: RSA, PEM (`BEGIN PUBLIC KEY`).
    pub public_key: String,
    /// The domains that let it act for their users.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Whether it is disabled.
    #[serde(default)]
    pub disabled: bool,
}

/// What the token endpoint answers to a JWT that it does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

const fn invalid_grant(description: &'static str) -> Refusal {
    Refusal { status: 400, error: "invalid_grant", description }
}

const UNAUTHORIZED: Refusal = Refusal {
    status: 401,
    error: "unauthorized_client",
    description: "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the \
                  scopes requested.",
};
const TIMEFRAME: Refusal = invalid_grant(
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values \
     in the JWT claim.",
);
const DISABLED: Refusal =
    Refusal { status: 401, error: "disabled_client", description: "The OAuth client was disabled." };
const SCOPE_REFUSED: Refusal =
    Refusal { status: 400, error: "invalid_scope", description: "Invalid OAuth scope or ID token audience provided." };
const MALFORMED: Refusal = invalid_grant("Invalid JWT: the assertion is no JWT signed with RS256.");
const NO_ACCOUNT: Refusal = invalid_grant("Invalid grant: account not found");
const SIGNATURE: Refusal = invalid_grant("Invalid JWT Signature.");
const AUDIENCE: Refusal = invalid_grant("Invalid JWT: Failed audience check.");
const USER: Refusal = invalid_grant("Invalid email or User ID");

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: String,
    scope: String,
    aud: String,
    iat: u64,
    exp: u64,
}

#[derive(Debug, Default)]
pub(crate) struct ServiceAccounts(Mutex<HashMap<String, Known>>);

#[derive(Debug)]
struct Known {
    account: ServiceAccount,
    /// PKCS#1, as ring takes it.
    key: Vec<u8>,
}

impl ServiceAccounts {
    /// Adds one, in place of the one of this address.
    pub(crate) fn put(&self, account: ServiceAccount) -> Result<(), String> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(account.public_key.as_bytes())
            .map_err(|error| format!("public_key is no public key in PEM: {error}"))?;
        let key = rsa_of(&spki).ok_or("public_key is no RSA key")?.to_vec();
        lock(&self.0).insert(fold(&account.email), Known { account, key });
        Ok(())
    }

    pub(crate) fn remove(&self, email: &str) -> bool {
        lock(&self.0).remove(&fold(email)).is_some()
    }

    pub(crate) fn list(&self) -> Vec<ServiceAccount> {
        let mut all: Vec<_> = lock(&self.0).values().map(|known| known.account.clone()).collect();
        all.sort_by(|a, b| a.email.cmp(&b.email));
        all
    }

    /// The user for whom the JWT asks, if it may have a token; `now` in seconds.
    pub(crate) fn check(&self, jwt: &str, audience: &str, now: u64, tokens: &Tokens) -> Result<String, Refusal> {
        let parts: Vec<&str> = jwt.split('.').collect();
        let &[header, body, signature] = parts.as_slice() else { return Err(MALFORMED) };
        let head: Header = decoded(header).filter(|head: &Header| head.alg == "RS256").ok_or(MALFORMED)?;
        let claims: Claims = decoded(body).ok_or(MALFORMED)?;
        let all = lock(&self.0);
        let known = all.get(&fold(&claims.iss)).ok_or(NO_ACCOUNT)?;
        let signed = jwt.rsplit_once('.').map_or("", |(signed, _)| signed);
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &known.key);
        let is_our_key = head.kid.is_none_or(|kid| kid == known.account.key_id);
        if !is_our_key || key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(SIGNATURE);
        }
        known.account.judge(&claims, audience, now)?;
        let user = fold(&claims.sub);
        if tokens.is_revoked(&user) { Err(USER) } else { Ok(user) }
    }
}

impl ServiceAccount {
    fn judge(&self, claims: &Claims, audience: &str, now: u64) -> Result<(), Refusal> {
        let in_time = claims.iat <= now && now < claims.exp && claims.exp.saturating_sub(claims.iat) <= LONGEST;
        let domain = claims.sub.rsplit_once('@').map(|(_, domain)| fold(domain));
        match () {
            () if self.disabled => Err(DISABLED),
            () if claims.aud != audience => Err(AUDIENCE),
            () if !in_time => Err(TIMEFRAME),
            () if claims.scope != SCOPE => Err(SCOPE_REFUSED),
            () => match domain {
                None => Err(USER),
                Some(domain) if self.domains.iter().any(|ours| fold(ours) == domain) => Ok(()),
                Some(_) => Err(UNAUTHORIZED),
            },
        }
    }
}

/// Whom a JWT names as its user, before anything of it is checked.
pub(crate) fn claimed_user(jwt: &str) -> Option<String> {
    let claims: Claims = decoded(jwt.split('.').nth(1)?)?;
    claims.sub.contains('@').then(|| fold(&claims.sub))
}

fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The RSA key inside a SubjectPublicKeyInfo: a sequence of the algorithm and a bit string.
fn rsa_of(spki: &[u8]) -> Option<&[u8]> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let (inside, _) = element(spki, 0x30)?;
    let (algorithm, rest) = element(inside, 0x30)?;
    let (name, _) = element(algorithm, 0x06)?;
    let (bits, _) = element(rest, 0x03)?;
    let (unused, key) = bits.split_first()?;
    (name == RSA && *unused == 0).then_some(key)
}

/// The content of the first DER element, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (first == tag).then_some(())?;
    rest.split_at_checked(length)
}
