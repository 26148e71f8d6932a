//! The token endpoint asked by service accounts: what it takes, and what it refuses in Google's words.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postroom_sandbox::{Sandbox, ServiceAccount};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::client::{Client, ME, get, http, post_form, post_json, sandbox};

const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
const ONE: &str = include_str!("../../../keys/one.pem");
const TWO: &str = include_str!("../../../keys/two.pem");

fn service() -> ServiceAccount {
    ServiceAccount {
        email: EMAIL.to_owned(),
        key_id: "key-one".to_owned(),
        public_key: include_str!("../../../keys/one.pub.pem").to_owned(),
        domains: vec!["example.com".to_owned()],
        disabled: false,
    }
}

#[expect(clippy::disallowed_methods, reason = "a JWT tells the time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The address of the token endpoint, as the raw client calls it.
const AUDIENCE: &str = "http://localhost/token";

fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": EMAIL,
        "sub": ME,
        "scope": "https://mail.google.com/",
        "aud": AUDIENCE,
        "iat": now() - 60,
        "exp": now() + 3_000,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn sign(pem: &str, header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn ask(sandbox: &Sandbox, jwt: &str) -> (u16, Value) {
    let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={jwt}");
    let answer = post_form(sandbox, "", &form).await;
    (answer.status, answer.json())
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": "key-one" })
}

#[tokio::test]
async fn a_delegated_service_account_gets_a_token_of_the_user() {
    let sandbox = sandbox().await;
    sandbox.put_service_account(service()).unwrap();
    let (status, answer) = ask(&sandbox, &sign(ONE, &header(), &claims(&json!({})))).await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(3599)));
    let token = answer["access_token"].as_str().unwrap();
    assert!(Client::greeted(&sandbox).await.auth(ME, token).await.starts_with("235 "));
    assert!(Client::greeted(&sandbox).await.auth("you@example.com", token).await.starts_with("334 "));
    assert_eq!(sandbox.stats().account(ME).token_requests, 1);
}

#[tokio::test]
async fn every_fault_of_a_jwt_has_googles_words() {
    let sandbox = sandbox().await;
    sandbox.put_service_account(service()).unwrap();
    let signed = |changes: Value| sign(ONE, &header(), &claims(&changes));
    let good = signed(json!({}));
    let (body, signature) = good.rsplit_once('.').unwrap();
    let flipped =
        if signature.starts_with('A') { signature.replacen('A', "B", 1) } else { format!("A{}", &signature[1..]) };
    let other_sub = URL_SAFE_NO_PAD.encode(claims(&json!({ "sub": "boss@example.com" })).to_string());
    let forged = format!("{}.{other_sub}.{signature}", body.split_once('.').unwrap().0);
    sandbox.revoke("gone@example.com");
    for (jwt, status, error, words) in [
        ("nonsense".to_owned(), 400, "invalid_grant", "Invalid JWT"),
        (sign(ONE, &json!({ "alg": "none" }), &claims(&json!({}))), 400, "invalid_grant", "RS256"),
        (format!("{body}.{flipped}"), 400, "invalid_grant", "Invalid JWT Signature."),
        (forged, 400, "invalid_grant", "Invalid JWT Signature."),
        (sign(TWO, &header(), &claims(&json!({}))), 400, "invalid_grant", "Invalid JWT Signature."),
        (
            sign(ONE, &json!({ "alg": "RS256", "kid": "key-two" }), &claims(&json!({}))),
            400,
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (signed(json!({ "iss": "nobody@project.iam.gserviceaccount.com" })), 400, "invalid_grant", "account not found"),
        (signed(json!({ "aud": "https://oauth2.googleapis.com/token" })), 400, "invalid_grant", "audience"),
        (signed(json!({ "iat": now() + 100 })), 400, "invalid_grant", "reasonable timeframe"),
        (
            signed(json!({ "iat": now() - 100, "exp": now() - 10 })),
            400,
            "invalid_grant",
            "short-lived token (60 minutes)",
        ),
        (signed(json!({ "iat": now() - 10, "exp": now() + 3_591 })), 400, "invalid_grant", "short-lived"),
        (signed(json!({ "scope": "https://www.googleapis.com/auth/gmail.send" })), 400, "invalid_scope", "OAuth scope"),
        (signed(json!({ "sub": "me@elsewhere.example" })), 401, "unauthorized_client", "any of the scopes requested."),
        (signed(json!({ "sub": "gone@example.com" })), 400, "invalid_grant", "Invalid email or User ID"),
        (signed(json!({ "sub": "nobody" })), 400, "invalid_grant", "Invalid email or User ID"),
    ] {
        let (answered, answer) = ask(&sandbox, &jwt).await;
        assert_eq!((answered, answer["error"].as_str().unwrap()), (status, error), "{words}: {answer}");
        assert!(answer["error_description"].as_str().unwrap().contains(words), "{words}: {answer}");
    }
    sandbox.put_service_account(ServiceAccount { disabled: true, ..service() }).unwrap();
    assert_eq!(ask(&sandbox, &good).await.1["error"], "disabled_client");
    sandbox.put_service_account(ServiceAccount { domains: vec![], ..service() }).unwrap();
    assert_eq!(ask(&sandbox, &good).await.1["error"], "unauthorized_client");
    assert_eq!(sandbox.stats().tokens_issued, 0);
}

#[tokio::test]
async fn service_accounts_are_registered_over_http() {
    let sandbox = sandbox().await;
    let body = serde_json::to_string(&service()).unwrap();
    assert_eq!(post_json(&sandbox, "/api/service-accounts", &body).await.status, 204);
    assert_eq!(get(&sandbox, "/api/service-accounts").await.json()[0]["email"], EMAIL);
    assert_eq!(ask(&sandbox, &sign(ONE, &header(), &claims(&json!({})))).await.0, 200);
    for (name, value, words) in [
        ("public_key", "no key", "no public key in PEM"),
        ("public_key", include_str!("../../../keys/ec.pub.pem"), "no RSA key"),
        ("domain", "example.com", "unknown field"),
    ] {
        let mut wrong = serde_json::to_value(service()).unwrap();
        wrong[name] = json!(value);
        let answer = post_json(&sandbox, "/api/service-accounts", &wrong.to_string()).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    let path = format!("/api/service-accounts/{EMAIL}");
    assert_eq!(http(&sandbox, "DELETE", &path, "", "").await.status, 204);
    assert_eq!(http(&sandbox, "DELETE", &path, "", "").await.status, 404);
    assert_eq!(ask(&sandbox, &sign(ONE, &header(), &claims(&json!({})))).await.0, 400);
}
