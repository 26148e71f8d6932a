//! The JWT byte by byte, as another implementation signs it, and its claims.

use base64::Engine as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::*;
use crate::tokens::service_account::tests::{key_file, key_one};

const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

fn service() -> ServiceAccount {
    ServiceAccount::from_key_file(&key_file(key_one())).unwrap()
}

fn signed(now: u64) -> String {
    let user = "alice@example.com".parse().unwrap();
    assertion(&service(), &user, AUDIENCE, Millis(now)).unwrap().expose_secret().to_owned()
}

#[test]
fn it_is_what_openssl_signs() {
    // RS256 signs the same text the same way each time, so a whole JWT can be compared.
    let expected = include_str!("../../../tests/keys/one.jwt").trim();
    assert_eq!(signed(1_800_000_000_000), expected);
    assert_ne!(signed(1_800_000_001_000), expected);
}

#[test]
fn its_claims_are_those_that_google_asks_for() {
    let text = signed(1_800_000_000_999);
    let part = |n: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({ "alg": "RS256", "typ": "JWT", "kid": "key-one" }));
    let claims = part(1);
    assert_eq!(claims["iss"], "postroom@project.iam.gserviceaccount.com");
    assert_eq!(claims["sub"], "alice@example.com");
    assert_eq!(claims["scope"], "https://mail.google.com/");
    assert_eq!(claims["aud"], AUDIENCE);
    let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(iat <= 1_800_000_000 && exp > 1_800_000_000 && exp - iat <= 3_600, "{claims}");
}
