//! Pools on the command line: put, list, show, remove; which mails a pool takes.

use crate::support::Redis;
use serde_json::{Value, json};

const A: &str = "a@example.com";
const B: &str = "b@example.com";

fn mail(from: &str) -> Value {
    json!({ "from": from, "to": ["ann@example.org"], "subject": "Order", "text": "Thank you.", "pool": "shop" })
}

fn account_of(redis: &Redis, id: &str) -> String {
    let shown = redis.run(&["mail", "show", id.trim(), "--json"]).json();
    assert_eq!(shown["pool"], "shop");
    shown["account"].as_str().unwrap().to_owned()
}

#[test]
fn a_pool_from_put_to_remove() {
    let redis = Redis::start();
    assert!(redis.run(&["pool", "show", "shop"]).failed().contains("there is no pool: put one"));
    redis.add(&[A, "--alias", "shop@example.com"]);
    assert!(redis.run(&["pool", "put", "shop", A, B]).failed().contains("address 2: there is no such account"));
    redis.add(&[B, "--alias", "shop@example.com", "--limit", "700"]);
    assert_eq!(redis.run(&["pool", "put", "shop", A, B, A]).ok(), "pool shop has 2 accounts\n");
    let listed = redis.run(&["pool", "list", "--json"]).json();
    assert_eq!(listed, json!([{ "name": "shop", "accounts": [A, B] }]));
    assert!(redis.run(&["pool", "list"]).ok().contains("a@example.com, b@example.com"));
    redis.run(&["account", "hold", A]).ok();
    let shown = redis.run(&["pool", "show", "shop", "--json"]).json();
    let member = |id: &str, held: Value, left: u32| {
        json!({ "id": id, "known": true, "held": held, "left": left,
        "waiting": 0, "shard": 0 })
    };
    assert_eq!(shown["accounts"], json!([member(A, json!("operator"), 500), member(B, Value::Null, 700)]));
    assert!(redis.run(&["pool", "show", "shop"]).ok().contains("operator, until a person acts"));
    assert!(redis.run(&["pool", "show", "shp"]).failed().contains("did you mean \"shop\"?"));
    assert_eq!(redis.run(&["pool", "put", "Shop", A]).code, 2);
    assert_eq!(redis.run(&["pool", "remove", "shop"]).ok(), "pool shop removed\n");
    assert!(redis.run(&["pool", "remove", "shop"]).failed().contains("there is no pool"));
}

#[test]
fn mails_that_name_a_pool() {
    let redis = Redis::start();
    redis.add(&[A, "--alias", "shop@example.com", "--limit", "5"]);
    redis.add(&[B, "--alias", "shop@example.com", "--limit", "50"]);
    let send = |mail: &Value| redis.run_with(&["send", "-"], &[], &mail.to_string());
    let err = send(&mail("shop@example.com")).failed();
    assert!(err.contains("pool: no pool has been put yet: put one with `postroom pool put"), "{err}");
    redis.run(&["pool", "put", "shop", A, B]).ok();

    let id = send(&mail("shop@example.com")).ok();
    assert_eq!(account_of(&redis, &id), B);
    assert!(redis.run(&["mail", "show", id.trim()]).ok().contains("Pool"));
    // Only a may write its own address, however little it has left.
    assert_eq!(account_of(&redis, &send(&mail(A)).ok()), A);
    let err = send(&mail("other@example.com")).failed();
    assert!(err.contains("from: Gmail would rewrite From") && err.contains("any account of pool shop"), "{err}");
    let mut wrong = mail("shop@example.com");
    wrong["pool"] = "shoop".into();
    assert!(send(&wrong).failed().contains("pool: unknown pool \"shoop\": did you mean \"shop\"?"));
    wrong["pool"] = "shop".into();
    wrong["account"] = A.into();
    assert!(send(&wrong).failed().contains("pool: an account is given, too"));

    // What is asked for beside the mail takes the place of what it says.
    let file = redis.file("one.json", &mail("shop@example.com").to_string());
    let shown = redis.run(&["send", &file, "--account", A]).ok();
    let shown = redis.run(&["mail", "show", shown.trim(), "--json"]).json();
    assert_eq!((&shown["account"], shown.get("pool")), (&json!(A), None));
    let plain = json!({ "from": A, "to": "ann@example.org", "text": "x", "account": A }).to_string();
    let id = redis.run_with(&["send", "-", "--pool", "shop"], &[], &plain).ok();
    assert_eq!(account_of(&redis, &id), A);
    assert_eq!(redis.run(&["send", &file, "--account", A, "--pool", "shop"]).code, 2);

    // A ready message: the option does not go out, and an answer goes with its thread.
    let eml =
        "From: shop@example.com\nTo: ann@example.org\nMessage-ID: <first@example.com>\nX-Postroom-Pool: shop\n\nHi\n";
    let first = redis.run_with(&["send", "-", "--eml"], &[], eml).ok();
    assert_eq!(account_of(&redis, &first), B);
    assert!(!redis.run(&["mail", "show", first.trim(), "--raw"]).ok().contains("X-Postroom"));
    redis.run(&["account", "add", A, "--limit", "900", "--keep-credentials"]).ok();
    let mut answer = mail("shop@example.com");
    answer["headers"] = json!({ "In-Reply-To": "<first@example.com>" });
    assert_eq!(account_of(&redis, &send(&answer).ok()), B);
    assert_eq!(account_of(&redis, &send(&mail("shop@example.com")).ok()), A);
    assert!(
        redis
            .run_with(
                &["send", "-", "--eml"],
                &[],
                &eml.replace("Hi", "X").replace("Pool: shop", "Pool: shop\nX-Postroom-Account: a@example.com")
            )
            .failed()
            .contains("X-Postroom-Pool: an account is given, too")
    );
}

#[test]
fn one_idempotency_key_is_one_mail_whichever_account_is_chosen() {
    let redis = Redis::start();
    for account in [A, B] {
        redis.add(&[account, "--alias", "shop@example.com"]);
    }
    redis.run(&["pool", "put", "shop", A, B]).ok();
    let mut keyed = mail("shop@example.com");
    keyed["idempotency_key"] = "k".into();
    let send = || redis.run_with(&["send", "-"], &[], &keyed.to_string()).ok();
    let id = send();
    redis.run(&["account", "hold", &account_of(&redis, &id)]).ok();
    assert_eq!(send(), id);
}
