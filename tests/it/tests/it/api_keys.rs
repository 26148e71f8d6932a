//! Keys of the HTTP API: what they open, what not, and that a revoked one opens nothing any more, on any server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use postroom::Millis;
use postroom_it::{Answer, Api, PATIENCE, Rig, until};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";
const NEWS: &str = "news@example.com";

async fn rig() -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    rig.add_account(NEWS).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    (rig, api)
}

fn mail(from: &str) -> Value {
    json!({ "from": from, "to": ["ann@example.org"], "subject": "Your order", "text": "Thank you." })
}

async fn with(api: &Api, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    api.ask_with(key, method, path, &[], body).await.unwrap()
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.text("name"))
}

#[tokio::test]
async fn without_a_key_nothing_is_answered_but_health() {
    let (_rig, api) = rig().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(with(&api, "", "GET", path, &Value::Null).await.status.as_u16(), 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/nothing/here"),
        ("POST", "/emails"),
        ("GET", "/emails"),
        ("PUT", "/emails"),
        ("GET", "/keys"),
        ("POST", "/api-keys"),
        ("GET", "/queue"),
        ("GET", "/openapi.json"),
        ("GET", "/docs/"),
    ] {
        let answer = with(&api, "", method, path, &mail(SHOP)).await;
        assert_eq!(told(&answer), (401, "missing_api_key"), "{method} {path}");
        let answer = with(&api, "re_123456789", method, path, &mail(SHOP)).await;
        // The page asks a browser for a key, also after a wrong one.
        let status = if path.starts_with("/docs") || path == "/openapi.json" { 401 } else { 403 };
        assert_eq!(told(&answer), (status, "invalid_api_key"), "{method} {path}");
    }
}

#[tokio::test]
async fn a_key_of_each_form_is_made_used_listed_and_revoked() {
    let (rig, api) = rig().await;
    let sender = api.post("/api-keys", &json!({ "name": "sender", "permission": "sending_access" })).await.unwrap();
    assert_eq!(sender.status.as_u16(), 201, "{sender:?}");
    // Keys are listed by when they were made.
    let made = Millis::now();
    until("the next millisecond", PATIENCE, || async { Ok((Millis::now() > made).then_some(())) }).await.unwrap();
    let wanted = json!({ "name": "shop", "scopes": ["send", "read"], "accounts": [SHOP], "rate": 500,
        "expires_at": "2100-01-01T00:00:00Z" });
    let shop = api.post("/keys", &wanted).await.unwrap();
    assert_eq!(shop.status.as_u16(), 201, "{shop:?}");
    assert_eq!((shop.text("mode"), &shop.body["accounts"], &shop.body["rate"]), ("live", &json!([SHOP]), &json!(500)));

    // What each may do.
    assert_eq!(with(&api, sender.text("token"), "POST", "/emails", &mail(NEWS)).await.status.as_u16(), 200);
    let refused = with(&api, sender.text("token"), "GET", "/emails", &Value::Null).await;
    assert_eq!(told(&refused), (401, "restricted_api_key"));
    assert_eq!(refused.text("message"), "This API key is restricted to only send emails");
    let sent = with(&api, shop.text("token"), "POST", "/emails", &mail(SHOP)).await;
    assert_eq!((sent.status.as_u16(), sent.headers["ratelimit-limit"].to_str().unwrap()), (200, "500"));
    let of_other = with(&api, shop.text("token"), "POST", "/emails", &mail(NEWS)).await;
    assert_eq!(of_other.status.as_u16(), 422, "{of_other:?}");
    for (method, path) in [("POST", "/keys"), ("GET", "/keys"), ("GET", "/api-keys"), ("POST", "/api-keys")] {
        let refused = with(&api, shop.text("token"), method, path, &wanted).await;
        assert_eq!(told(&refused), (401, "restricted_api_key"), "{method} {path}");
    }

    // Both forms list the same keys, and none shows its text.
    let listed = api.get("/keys").await.unwrap();
    let names: Vec<&str> =
        listed.body["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!((names, &listed.body["has_more"]), (vec!["shop", "sender", "test"], &json!(false)));
    let first = api.get("/api-keys?limit=1").await.unwrap();
    assert_eq!((&first.body["data"][0]["name"], &first.body["has_more"]), (&json!("shop"), &json!(true)));
    let rest = api.get(&format!("/api-keys?after={}", shop.text("id"))).await.unwrap();
    assert_eq!((rest.body["data"].as_array().unwrap().len(), &rest.body["has_more"]), (2, &json!(false)));
    let before = api.get(&format!("/keys?before={}&limit=1", sender.text("id"))).await.unwrap();
    assert_eq!((&before.body["data"][0]["name"], &before.body["has_more"]), (&json!("shop"), &json!(false)));
    for query in ["limit=0", "limit=x", "after=nobody", "after=a&before=b"] {
        assert_eq!(api.get(&format!("/keys?{query}")).await.unwrap().status.as_u16(), 422, "{query}");
    }
    for token in [sender.text("token"), shop.text("token"), &api.key] {
        assert!(!listed.body.to_string().contains(token) && !api.process.log().contains(token));
        assert!(!everything(&rig).await.contains(&token[21..53]));
    }

    // Revoked: refused by the server that was asked from its answer on, and gone from Resend's list only.
    let removed = api.ask("DELETE", &format!("/api-keys/{}", sender.text("id")), &Value::Null).await.unwrap();
    assert_eq!((removed.status.as_u16(), &removed.body["deleted"]), (200, &json!(true)));
    let refused = with(&api, sender.text("token"), "POST", "/emails", &mail(NEWS)).await;
    assert_eq!((told(&refused), refused.text("message")), ((403, "invalid_api_key"), "API key is invalid"));
    assert_eq!(api.get("/api-keys").await.unwrap().body["data"].as_array().unwrap().len(), 2);
    let shown = api.get(&format!("/keys/{}", sender.text("id"))).await.unwrap();
    assert!(shown.body["revoked_at"].is_string(), "{shown:?}");
    let missing = api.ask("DELETE", "/keys/0123456789ab", &Value::Null).await.unwrap();
    assert_eq!(told(&missing), (404, "not_found"));
}

/// All that Redis has of keys.
async fn everything(rig: &Rig) -> String {
    let mut connection = rig.store().await.unwrap().connection();
    let names: Vec<String> = redis::cmd("KEYS").arg("*api-key*").query_async(&mut connection).await.unwrap();
    let mut all = String::new();
    for name in names.iter().filter(|name| name.contains("api-key:")) {
        let fields: HashMap<String, String> =
            redis::cmd("HGETALL").arg(name).query_async(&mut connection).await.unwrap();
        all.push_str(&format!("{name} {fields:?}\n"));
    }
    assert!(all.contains("shop"), "{all}");
    all
}

#[tokio::test]
async fn a_key_revoked_at_the_command_line_is_refused_at_once_by_every_server() {
    let (rig, api) = rig().await;
    let (_second, base) = rig.serve_process(&[]).await.unwrap();
    let client = postroom_it::client().unwrap();
    let status = |base: String, key: String| {
        let request = client.get(format!("{base}/queue")).bearer_auth(key);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let mut worst = Duration::ZERO;
    for _ in 0..10 {
        let key = rig.key(&["create", "app", "--scope", "read"]).await.unwrap();
        for server in [&api.base, &base] {
            assert_eq!(status(server.clone(), key.clone()).await, 200);
        }
        let id = key.split('_').nth(2).unwrap().to_owned();
        rig.key(&["revoke", &id]).await.unwrap();
        let revoked = Instant::now();
        for server in [&api.base, &base] {
            while status(server.clone(), key.clone()).await != 403 {
                // A server would remember it for 5 s if it did not hear of it.
                assert!(revoked.elapsed() < Duration::from_secs(2), "still let in");
            }
        }
        worst = worst.max(revoked.elapsed());
    }
    println!("refused by both servers {worst:?} after the command, at worst");
}

#[tokio::test]
async fn no_key_makes_one_that_reaches_further() {
    let (rig, api) = rig().await;
    let bound = rig.key(&["create", "bound", "--admin", "--account", SHOP]).await.unwrap();
    let test = rig.key(&["create", "test", "--admin", "--test"]).await.unwrap();
    let wanted = |change: Value| {
        let mut wanted = json!({ "name": "more", "scopes": ["send"] });
        wanted.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        wanted
    };
    for (key, change) in [
        (&bound, json!({ "accounts": [] })),
        (&bound, json!({ "accounts": [SHOP, NEWS] })),
        (&test, json!({ "mode": "live" })),
    ] {
        let refused = with(&api, key, "POST", "/keys", &wanted(change.clone())).await;
        assert_eq!(told(&refused), (401, "restricted_api_key"), "{change}");
    }
    // What is not said is taken from the key that makes it.
    let made = with(&api, &bound, "POST", "/keys", &wanted(json!({}))).await;
    assert_eq!((made.status.as_u16(), &made.body["accounts"]), (201, &json!([SHOP])));
    let made = with(&api, &test, "POST", "/api-keys", &json!({ "name": "more" })).await;
    assert!(made.text("token").starts_with("pr_test_"), "{made:?}");
    // Others are not there for it.
    let listed = with(&api, &bound, "GET", "/keys", &Value::Null).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
    let ours = api.key.split('_').nth(2).unwrap();
    for (key, method) in [(&bound, "GET"), (&bound, "DELETE"), (&test, "DELETE")] {
        let refused = with(&api, key, method, &format!("/keys/{ours}"), &Value::Null).await;
        assert_eq!(told(&refused), (404, "not_found"));
    }
    assert_eq!(api.get("/queue").await.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn what_cannot_be_is_told_with_its_field() {
    let (_rig, api) = rig().await;
    for (path, body, field) in [
        ("/keys", json!({ "name": "x", "scopes": [] }), "scopes"),
        ("/keys", json!({ "name": "", "scopes": ["send"] }), "name"),
        ("/keys", json!({ "name": "x", "scopes": ["send"], "accounts": ["nobody"] }), "accounts[0]"),
        ("/keys", json!({ "name": "x", "scopes": ["send"], "accounts": [SHOP, "x@example.com"] }), "accounts[1]"),
        ("/keys", json!({ "name": "x", "scopes": ["send"], "expires_at": "2001-01-01T00:00:00Z" }), "expires_at"),
        ("/keys", json!({ "name": "x", "scopes": ["send"], "expires_at": "soon" }), "expires_at"),
        ("/keys", json!({ "name": "x", "scopes": ["send"], "rate": 100_001 }), "rate"),
        ("/api-keys", json!({ "name": "x".repeat(51) }), "name"),
        ("/api-keys", json!({ "name": "x", "domain_id": "4dd369bc" }), "domain_id"),
    ] {
        let refused = api.post(path, &body).await.unwrap();
        assert_eq!(refused.status.as_u16(), 422, "{body}");
        assert_eq!(refused.body["faults"][0]["field"], field, "{refused:?}");
    }
    // A misspelt bound must not make a key without bounds.
    for (path, body) in [
        ("/keys", json!({ "name": "x", "scopes": ["send"], "account": SHOP })),
        ("/keys", json!({ "name": "x", "scopes": ["write"] })),
        ("/api-keys", json!({ "name": "x", "scopes": ["send"] })),
    ] {
        assert_eq!(api.post(path, &body).await.unwrap().status.as_u16(), 422, "{body}");
    }
    assert_eq!(api.get("/keys").await.unwrap().body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_again() {
    let rig = Rig::start().await.unwrap();
    let api = rig.serve(&[("POSTROOM_API_RATE", "3")]).await.unwrap();
    let answers = futures::future::join_all((0..30).map(|_| api.get("/queue"))).await;
    let answers: Vec<Answer> = answers.into_iter().map(Result::unwrap).collect();
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status.as_u16() == 200);
    assert!(served.len() >= 3 && !refused.is_empty(), "{} served", served.len());
    for answer in &refused {
        assert_eq!(told(answer), (429, "rate_limit_exceeded"));
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert_eq!((header("retry-after"), header("ratelimit-limit"), header("ratelimit-remaining")), ("1", "3", "0"));
    }
    // Health is not counted.
    assert_eq!(with(&api, "", "GET", "/livez", &Value::Null).await.status.as_u16(), 200);
}
