//! The mails page by page, the newest first.

use serde_json::{Value, json};

use crate::api::{Api, mail};
use crate::sdk::send;

with_each_sdk!(pages_lead_through_all_mails_and_back);

fn list(page: Value) -> Value {
    json!({ "op": "list", "page": page })
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|mail| mail["id"].as_str().unwrap()).collect()
}

async fn pages_lead_through_all_mails_and_back(api: Api) {
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(api.call(send(&mail(&format!("Mail {n}")))).await.id());
    }
    all.reverse();
    let whole = api.call(list(json!({}))).await.data();
    assert_eq!((ids(&whole), &whole["has_more"]), (all.iter().map(String::as_str).collect(), &json!(false)));
    let newest = &whole["data"][0];
    assert_eq!((newest["subject"].as_str(), &newest["to"]), (Some("Mail 4"), &json!(["bob@example.org"])));

    let first = api.call(list(json!({ "limit": 2 }))).await.data();
    assert_eq!((ids(&first), &first["has_more"]), (vec![all[0].as_str(), &all[1]], &json!(true)));
    let second = api.call(list(json!({ "limit": 2, "after": all[1] }))).await.data();
    assert_eq!((ids(&second), &second["has_more"]), (vec![all[2].as_str(), &all[3]], &json!(true)));
    let last = api.call(list(json!({ "limit": 2, "after": all[3] }))).await.data();
    assert_eq!((ids(&last), &last["has_more"]), (vec![all[4].as_str()], &json!(false)));
    let back = api.call(list(json!({ "limit": 2, "before": all[4] }))).await.data();
    assert_eq!((ids(&back), &back["has_more"]), (vec![all[2].as_str(), &all[3]], &json!(true)));
    // Mails that come in meanwhile move no page.
    api.call(send(&mail("Newer"))).await.id();
    let again = api.call(list(json!({ "limit": 2, "after": all[1] }))).await.data();
    assert_eq!(ids(&again), ids(&second));
    let failure = api.call(list(json!({ "limit": 101 }))).await.refused(422, "invalid_parameter");
    assert!(failure.message.contains("limit"), "{}", failure.message);
}
