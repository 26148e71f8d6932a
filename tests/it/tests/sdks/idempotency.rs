//! The same request under the same key is one mail.

use serde_json::{Value, json};

use crate::api::{Api, mail, mail_with};
use crate::caught::caught;
use crate::sdk::{send, send_once};

with_each_sdk!(
    the_same_request_is_one_mail,
    another_request_under_the_key_is_refused,
    a_batch_is_repeated_whole,
    a_key_too_long_is_refused,
);

fn batch_once(given: &[Value], key: &str) -> Value {
    json!({ "op": "batch", "given": given, "idempotency_key": key })
}

async fn the_same_request_is_one_mail(api: Api) {
    // Words that mean another time at every call are the same request all the same.
    for given in [mail("Once"), mail_with("Later", json!({ "scheduled_at": "in 1 hour" }))] {
        let key = format!("key of {}", given["subject"]);
        let first = api.call(send_once(&given, &key)).await.id();
        for _ in 0..3 {
            assert_eq!(api.call(send_once(&given, &key)).await.id(), first);
        }
        assert_ne!(api.call(send_once(&mail("Marker"), &format!("other {key}"))).await.id(), first);
    }
    let mails = caught(&api.rig, 3).await;
    let once = mails.iter().filter(|mail| mail.header("Subject") == "Once").count();
    assert_eq!(once, 1);
}

async fn another_request_under_the_key_is_refused(api: Api) {
    let first = api.call(send_once(&mail("One"), "order-7")).await.id();
    let failure = api.call(send_once(&mail("Another"), "order-7")).await.refused(409, "invalid_idempotent_request");
    assert!(!failure.message.is_empty());
    assert_eq!(api.call(send_once(&mail("One"), "order-7")).await.id(), first);
    api.call(send(&mail("Marker"))).await.id();
    let mails = caught(&api.rig, 2).await;
    assert!(mails.iter().all(|mail| mail.header("Subject") != "Another"));
}

async fn a_batch_is_repeated_whole(api: Api) {
    let given = [mail("One"), mail("Two")];
    let first = api.call(batch_once(&given, "batch-7")).await.data();
    assert_eq!(first["data"].as_array().unwrap().len(), 2);
    // The same ids; beside them it is told that they were known.
    let ids = |data: &serde_json::Value| -> Vec<serde_json::Value> {
        data["data"].as_array().unwrap().iter().map(|mail| mail["id"].clone()).collect()
    };
    assert_eq!(ids(&api.call(batch_once(&given, "batch-7")).await.data()), ids(&first));
    let other = [mail("One"), mail("Three")];
    api.call(batch_once(&other, "batch-7")).await.refused(409, "invalid_idempotent_request");
    caught(&api.rig, 2).await;
}

async fn a_key_too_long_is_refused(api: Api) {
    let failure = api.call(send_once(&mail("x"), &"k".repeat(257))).await.refused(400, "invalid_idempotency_key");
    assert!(failure.message.contains("256"), "{}", failure.message);
    api.call(send_once(&mail("Longest"), &"k".repeat(256))).await.id();
    assert_eq!(caught(&api.rig, 1).await[0].header("Subject"), "Longest");
}
