//! API keys on the command line: create, list, revoke; what is printed where.

use crate::support::Redis;
use postroom_shared::api_keys::{Mode, SecretKey};
use serde_json::{Value, json};

const ACCOUNT: &str = "shop@example.com";

#[test]
fn the_key_stands_alone_on_standard_output() {
    let redis = Redis::start();
    let ran = redis.run(&["key", "create", "ops", "--admin"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let key = SecretKey::parse(ran.out.trim_end()).unwrap();
    assert_eq!((ran.out.lines().count(), key.mode()), (1, Mode::Live));
    assert!(ran.err.contains(key.id().as_str()) && ran.err.contains("not shown again"), "{}", ran.err);
    assert!(!ran.err.contains(key.reveal()));
    let listed = redis.run(&["key", "list"]).ok();
    assert!(listed.contains(key.id().as_str()) && listed.contains("admin") && !listed.contains(key.reveal()));
    assert_eq!(redis.run(&["key", "revoke", key.id().as_str()]).ok(), format!("key {} revoked\n", key.id()));
    assert!(redis.run(&["key", "list"]).ok().contains("revoked at"));
    // Doing it again does no harm.
    redis.run(&["key", "revoke", key.id().as_str()]).ok();
    assert!(redis.run(&["key", "revoke", "0123456789ab"]).failed().contains("no such key"));
}

#[test]
fn a_key_is_as_it_was_asked_for() {
    let redis = Redis::start();
    redis.add(&[ACCOUNT]);
    let arguments =
        ["--test", "--scope", "send,read", "--account", ACCOUNT, "--expires", "90d", "--rate", "5", "--json"];
    let made = redis.run(&[&["key", "create", "shop"], &arguments[..]].concat()).json();
    let key = SecretKey::parse(made["token"].as_str().unwrap()).unwrap();
    assert_eq!((made["id"].as_str().unwrap(), key.mode()), (key.id().as_str(), Mode::Test));
    let listed = redis.run(&["key", "list", "--json"]).json();
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("token");
    assert_eq!(listed, json!([expected]));
    let lives = made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap();
    assert_eq!(lives, 90 * 86_400_000);
    for (field, value) in [
        ("name", json!("shop")),
        ("mode", json!("test")),
        ("scopes", json!(["send", "read"])),
        ("accounts", json!([ACCOUNT])),
        ("rate", json!(5)),
        ("last_used_at", Value::Null),
        ("revoked_at", Value::Null),
    ] {
        assert_eq!(made[field], value, "{field}");
    }
    let plain = redis.run(&["key", "create", "plain", "--json"]).json();
    assert_eq!((&plain["scopes"], &plain["mode"]), (&json!(["send", "read"]), &json!("live")));
    let names: Vec<Value> = redis.run(&["key", "list", "--json"]).json().as_array().unwrap().clone();
    let names: Vec<&str> = names.iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "shop"]);
}

#[test]
fn what_cannot_be_is_told_without_repeating_it() {
    let redis = Redis::start();
    let unknown = redis.run(&["key", "create", "shop", "--account", ACCOUNT]).failed();
    assert!(unknown.contains("--account 1: there is no such account"), "{unknown}");
    for arguments in [
        &["key", "create", " "][..],
        &["key", "create", "shop", "--scope", "write"],
        &["key", "create", "shop", "--scope", "send", "--admin"],
        &["key", "create", "shop", "--rate", "1000000"],
        &["key", "create", "shop", "--expires", "soon"],
        &["key", "revoke", "pr_live_secretsecret"],
    ] {
        let ran = redis.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(!ran.err.contains("secretsecret"), "{}", ran.err);
    }
    assert_eq!(redis.run(&["key", "list", "--json"]).json(), json!([]));
    assert_eq!(redis.run(&["key", "list"]).ok(), "");
}
