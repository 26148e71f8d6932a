//! Each error as the SDKs know it: status, name, words.

use serde_json::{Value, json};

use crate::api::{Api, BOB, mail, mail_with};
use crate::sdk::{Kind, get, send};

with_each_sdk!(
    without_a_key_or_with_a_wrong_one_nothing_is_served,
    a_key_does_only_what_it_may,
    a_faulty_mail_is_told_all_at_once,
    what_is_not_there_is_told,
    too_many_requests_are_told_when_to_come_again,
    without_redis_nothing_is_half_accepted,
);

const NOBODY: &str = "01990000-0000-7000-8000-000000000000";

/// The name by which Python's SDK raises it.
fn python(api: &Api) -> bool {
    matches!(api.sdk.kind(), Kind::Python | Kind::PythonAsync)
}

async fn without_a_key_or_with_a_wrong_one_nothing_is_served(api: Api) {
    // The asynchronous client of Python cannot write a header without a key: it gets another wrong one.
    let (none, status, name) = match api.sdk.kind() {
        Kind::PythonAsync => ("pr_live_none", 403, "invalid_api_key"),
        Kind::Node | Kind::NodeBefore637 | Kind::Python | Kind::Rust => ("", 401, "missing_api_key"),
    };
    let missing = api.sdk.call(none, send(&mail("x"))).await.refused(status, name);
    let mut wrong = api.server.key.clone();
    let last = if wrong.ends_with('a') { 'b' } else { 'a' };
    wrong.pop();
    wrong.push(last);
    let unknown = "pr_live_0123456789abcdefghijklmnopqrstuvwxyz";
    let mut failures = Vec::new();
    for key in [wrong.as_str(), unknown, "re_123456789"] {
        failures.push(api.sdk.call(key, send(&mail("x"))).await.refused(403, "invalid_api_key"));
    }
    if api.sdk.kind() == Kind::Python {
        assert_eq!(
            (&missing.all["class"], &failures[0].all["class"]),
            (&json!("MissingApiKeyError"), &json!("InvalidApiKeyError"))
        );
    }
    assert!(api.rig.sandbox.mails().is_empty());
}

async fn a_key_does_only_what_it_may(api: Api) {
    let sender = api.new_key(&["sender", "--scope", "send"]).await;
    let id = api.sdk.call(&sender, send(&mail("May"))).await.id();
    let list = json!({ "op": "list", "page": {} });
    let keys = json!({ "op": "key_list" });
    let cancel = json!({ "op": "cancel", "id": id });
    for call in [get(&id), list, keys] {
        api.sdk.call(&sender, call).await.refused(401, "restricted_api_key");
    }
    let reader = api.new_key(&["reader", "--scope", "read"]).await;
    assert_eq!(api.sdk.call(&reader, get(&id)).await.data()["subject"], "May");
    for call in [send(&mail("May not")), cancel] {
        api.sdk.call(&reader, call).await.refused(401, "restricted_api_key");
    }
}

async fn a_faulty_mail_is_told_all_at_once(api: Api) {
    let faulty =
        mail_with("x", json!({ "to": [BOB, "no address"], "headers": { "Bcc": "eve@example.org" }, "cc": ["a@b@c"] }));
    let failure = api.call(send(&faulty)).await.refused(422, "validation_error");
    for field in ["to[1]", "cc[0]", "headers"] {
        assert!(failure.message.contains(field), "{field}: {}", failure.message);
    }
    if api.sdk.kind() == Kind::Node {
        let fields: Vec<_> = failure.all["faults"].as_array().unwrap().iter().map(|fault| &fault["field"]).collect();
        assert_eq!(fields.len(), 3, "{fields:?}");
    }
    if python(&api) {
        assert_eq!(failure.all["class"], "ValidationError");
    }
    // A sender for whom there is no account.
    let stranger = mail_with("x", json!({ "from": "stranger@example.net" }));
    let failure = api.call(send(&stranger)).await.error.expect("refused");
    assert_eq!(failure.name, "validation_error", "{failure:?}");
    // Nothing to send.
    let mut empty = mail("x");
    empty.as_object_mut().unwrap().remove("text");
    let failure = api.call(send(&empty)).await.refused(422, "missing_required_field");
    assert!(failure.message.contains("html"), "{}", failure.message);
    assert!(api.rig.sandbox.mails().is_empty());
}

async fn what_is_not_there_is_told(api: Api) {
    let update = json!({ "op": "update", "id": NOBODY, "scheduled_at": "in 1 hour" });
    for call in [get(NOBODY), get("nonsense"), json!({ "op": "cancel", "id": NOBODY }), update] {
        api.call(call).await.refused(404, "not_found");
    }
    api.call(json!({ "op": "key_remove", "id": "nonsense" })).await.refused(404, "not_found");
    api.call(json!({ "op": "fetch", "path": "/domains" })).await.refused(404, "not_found");
    api.call(json!({ "op": "put", "path": "/emails" })).await.refused(405, "method_not_allowed");
}

async fn too_many_requests_are_told_when_to_come_again(api: Api) {
    let slow = api.new_key(&["slow", "--admin", "--rate", "2"]).await;
    let list = json!({ "op": "list", "page": {} });
    let mut refused = None;
    for _ in 0..50 {
        let answer = api.sdk.call(&slow, list.clone()).await;
        if answer.error.is_some() {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("fifty at once are too many");
    assert_eq!((refused.number("ratelimit-limit"), refused.number("ratelimit-remaining")), (2, 0));
    assert!(refused.number("ratelimit-reset") <= 1);
    if api.sdk.kind() != Kind::Rust {
        assert!((0..=1).contains(&refused.number("retry-after")), "{:?}", refused.headers);
    }
    let failure = refused.refused(429, "rate_limit_exceeded");
    if python(&api) {
        assert_eq!(failure.all["class"], "RateLimitError");
    }
    // Another key is not held back.
    let answer = api.call(list).await;
    if api.sdk.kind() != Kind::Rust {
        assert!(answer.number("ratelimit-remaining") > 0);
    }
    answer.data();
}

async fn without_redis_nothing_is_half_accepted(api: Api) {
    api.call(send(&mail("Before"))).await.id();
    // It answers nothing to this, for it is gone.
    let _ = api.rig.redis.ask::<()>(&["SHUTDOWN", "NOSAVE"]).await;
    let answer = api.call(send(&mail("Never"))).await;
    let headers = answer.headers.clone();
    let failure = answer.error.expect("there is no Redis");
    assert_eq!(failure.status, 503, "{failure:?}");
    if api.sdk.kind() != Kind::Rust {
        assert!(headers["retry-after"].as_str().is_some_and(|value| value.parse::<u64>().is_ok()), "{headers}");
    }
    assert!(!failure.message.is_empty());
    assert_ne!(failure.all, Value::Null);
}
