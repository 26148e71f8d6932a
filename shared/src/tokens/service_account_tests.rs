//! Key files: one that is taken, and a sentence for each fault, with nothing of the key in it.

use serde_json::{Value, json};

use super::*;

pub(in crate::tokens) fn key_one() -> &'static str {
    include_str!("../../../tests/keys/one.pem")
}

/// A key file as Google writes it, with this private key.
pub(in crate::tokens) fn key_file(pem: &str) -> String {
    file_with(&json!({ "private_key": pem }))
}

fn file_with(changes: &Value) -> String {
    let mut file = json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key-one",
        "private_key": key_one(),
        "client_email": "Postroom@project.iam.gserviceaccount.com",
        "client_id": "123456789012345678901",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://elsewhere.example/token",
        "universe_domain": "googleapis.com",
    });
    for (name, value) in changes.as_object().unwrap() {
        file[name] = value.clone();
    }
    file.to_string()
}

#[test]
fn googles_file_is_taken_and_prints_nothing_of_the_key() {
    let service = ServiceAccount::from_key_file(&key_file(key_one())).unwrap();
    assert_eq!(service.email().reveal(), "postroom@project.iam.gserviceaccount.com");
    assert_eq!((service.client_id(), service.key_id()), ("123456789012345678901", "key-one"));
    assert_eq!(format!("{service:?}"), "ServiceAccount(p***@project.iam.gserviceaccount.com, key key-one, ***)");
}

#[test]
fn every_fault_has_its_sentence_and_repeats_nothing() {
    let secret = "MIIEvQIBADANBgkq";
    let with = |changes: Value| file_with(&changes);
    let pem = |kind: &str, text: &str| format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
    let small = include_str!("../../../tests/keys/small.pem");
    let ec = include_str!("../../../tests/keys/ec.pem");
    for (text, words) in [
        (secret.to_owned(), "not JSON (line 1, column 1)"),
        (key_file(key_one())[..900].to_owned(), "not JSON"),
        (String::new(), "not JSON"),
        (json!({ "installed": { "client_secret": secret } }).to_string(), "file of an OAuth client"),
        (json!({ "web": { "client_secret": secret } }).to_string(), "file of an OAuth client"),
        (json!({ "type": "authorized_user", "refresh_token": secret }).to_string(), "login of a person"),
        (with(json!({ "type": "external_account" })), "\"external_account\""),
        (with(json!({ "type": secret })), "another one"),
        ("{}".to_owned(), "type is not told"),
        (with(json!({ "client_email": null })), "client_email is missing"),
        (with(json!({ "client_email": secret })), "client_email is no address"),
        (with(json!({ "client_id": "" })), "client_id is missing"),
        (with(json!({ "client_id": secret })), "client_id is not the number"),
        (with(json!({ "private_key_id": null })), "private_key_id is missing"),
        (with(json!({ "private_key_id": "a b" })), "private_key_id is not the id"),
        (with(json!({ "private_key": null })), "private_key is missing"),
        (with(json!({ "private_key": { "d": secret } })), "unexpected form"),
        (key_file(secret), "cannot be read"),
        (key_file(&key_one()[..900]), "cannot be read"),
        (key_file(&pem("PRIVATE KEY", secret)), "cannot be read"),
        (key_file(&pem("RSA PRIVATE KEY", secret)), "cannot be read"),
        (key_file(&pem("EC PRIVATE KEY", secret)), "not RSA"),
        (key_file(ec), "not RSA"),
        (key_file(small), "fewer than 2,048 bits"),
    ] {
        let error = ServiceAccount::from_key_file(&text).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains(words), "{words}: {told}");
        assert!(!told.contains(secret), "{told}");
    }
}
