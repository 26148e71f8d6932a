//! API keys by the SDKs' own calls.

use serde_json::json;

use crate::api::{Api, mail};
use crate::caught::caught;
use crate::sdk::{get, send};

with_each_sdk!(a_key_is_made_used_and_revoked);

async fn a_key_is_made_used_and_revoked(api: Api) {
    let given = json!({ "name": "newsletter", "permission": "sending_access" });
    let made = api.call(json!({ "op": "key_create", "given": given })).await.data();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(token.starts_with("pr_live_"), "a token of another form");
    let mail_id = api.sdk.call(token, send(&mail("By the new key"))).await.id();
    caught(&api.rig, 1).await;
    // It may send and nothing else.
    api.sdk.call(token, get(&mail_id)).await.refused(401, "restricted_api_key");
    let listed = api.call(json!({ "op": "key_list" })).await.data();
    let shown = listed["data"].as_array().unwrap().iter().find(|key| key["id"] == id).expect("the key is listed");
    assert_eq!((shown["name"].as_str(), shown["created_at"].is_string()), (Some("newsletter"), true));
    assert!(!listed.to_string().contains(token), "a token is shown once");
    api.call(json!({ "op": "key_remove", "id": id })).await.data();
    api.sdk.call(token, send(&mail("By a revoked key"))).await.refused(403, "invalid_api_key");
    assert!(!api.logs().contains(token), "a token is logged");
    caught(&api.rig, 1).await;
}
