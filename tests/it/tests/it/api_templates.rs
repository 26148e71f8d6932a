//! Templates over the HTTP API: put, look, try out, send with, remove; and who may.

use postroom_it::{Answer, Api, Rig};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";

fn code(answer: &Answer) -> u16 {
    answer.status.as_u16()
}

async fn put(api: &Api, method: &str, body: &Value) -> Answer {
    api.ask(method, "/templates", body).await.unwrap()
}

fn mail(more: Value) -> Value {
    let mut mail = json!({ "from": SHOP, "to": ["ann@example.org"] });
    mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mail
}

#[tokio::test]
async fn a_template_from_put_to_remove() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let footer = |text: &str| {
        json!({
            "templates": {
                "welcome": {
                    "subject": "Welcome, {{ user.name }}!", "html": "<p>Hello {{ user.name }}</p>{% include 'footer' %}",
                    "sample": { "user": { "name": "Ann" } }
                },
                "plain": { "subject": "Hi", "text": "Your code is {{ code }}." }
            },
            "parts": { "footer.html": text }
        })
    };
    let first = put(&api, "PUT", &footer("<hr>one")).await;
    let line =
        |id: &str, version: u32, new: bool| json!({ "object": "template", "id": id, "version": version, "new": new });
    assert_eq!(first.body["data"], json!([line("plain", 1, true), line("welcome", 1, true)]), "{first:?}");

    // What was put counts for the next mail at once, and the older version stays as it was.
    let wanted = json!({ "template": { "id": "welcome", "variables": { "user": { "name": "Bob" } } } });
    let sent = api.post("/emails", &mail(wanted.clone())).await.unwrap();
    assert_eq!(code(&sent), 200, "{sent:?}");
    let second = put(&api, "PUT", &footer("<hr>two")).await;
    assert_eq!(second.body["data"], json!([line("plain", 1, false), line("welcome", 2, true)]), "{second:?}");
    let shown = api.get(&format!("/emails/{}", sent.text("id"))).await.unwrap();
    assert_eq!(shown.text("subject"), "Welcome, Bob!", "{shown:?}");
    for (name, end) in [("welcome", "<hr>two"), ("welcome@1", "<hr>one")] {
        let made = api.post(&format!("/templates/{name}/preview"), &json!({})).await.unwrap();
        assert_eq!(made.text("html"), format!("<p>Hello Ann</p>{end}"), "{made:?}");
        let shown = api.get(&format!("/templates/{name}")).await.unwrap();
        assert_eq!((&shown.body["versions"], &shown.body["variables"]), (&json!([1, 2]), &json!(["user.name"])));
    }
    let listed = api.get("/templates").await.unwrap();
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2, "{listed:?}");

    let removed = api.ask("DELETE", "/templates/welcome", &Value::Null).await.unwrap();
    assert_eq!(removed.body, json!({ "object": "template", "id": "welcome", "deleted": true }));
    for (method, path) in [("DELETE", "/templates/welcome"), ("GET", "/templates/welcome"), ("GET", "/templates/No")] {
        assert_eq!(code(&api.ask(method, path, &Value::Null).await.unwrap()), 404, "{method} {path}");
    }
    let refused = api.post("/emails", &mail(wanted)).await.unwrap();
    assert_eq!((code(&refused), &refused.body["faults"][0]["field"]), (422, &json!("template")), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_work_is_told_by_file_and_line() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let bad = json!({ "name": "welcome", "subject": "{{ a }}", "html": "\n{% if %}", "sample": { "b": 1 } });
    let refused = put(&api, "POST", &bad).await;
    assert_eq!(
        (code(&refused), &refused.body["faults"][0]["field"]),
        (422, &json!("welcome/body.html")),
        "{refused:?}"
    );
    assert!(refused.text("message").contains("line 2: syntax error"), "{refused:?}");
    assert_eq!(api.get("/templates").await.unwrap().body["data"], json!([]));

    let good = json!({ "name": "welcome", "subject": "Hi {{ user.name }}", "text": "x" });
    assert_eq!(code(&put(&api, "POST", &good).await), 200);
    let sent = api
        .post("/emails", &mail(json!({ "template": "welcome", "variables": { "user": {} }, "cc": "x" })))
        .await
        .unwrap();
    let told = sent.text("message");
    assert_eq!(code(&sent), 422, "{sent:?}");
    assert!(
        told.contains("welcome/subject.txt, line 1: \"user.name\" is undefined") && told.contains("cc[0]"),
        "{told}"
    );
    assert_eq!(code(&api.post("/templates/welcome/preview", &json!({})).await.unwrap()), 422);
    // A list is no object, though its entries could be taken for the fields.
    let listed = api.post("/templates/welcome/preview", &json!([{}])).await.unwrap();
    assert!(code(&listed) == 422 && listed.text("message").contains("this is a list"), "{listed:?}");

    // Templates are everybody's, so a key that is narrower than an admin's of all accounts only looks.
    let narrow = json!({ "name": "n", "scopes": ["admin"], "accounts": [SHOP] });
    let narrow = api.post("/keys", &narrow).await.unwrap();
    let test = api.post("/keys", &json!({ "name": "t", "mode": "test", "scopes": ["admin"] })).await.unwrap();
    for key in [narrow.text("token"), test.text("token")] {
        let refused = api.ask_with(key, "POST", "/templates", &[], &good).await.unwrap();
        assert_eq!((code(&refused), refused.text("name")), (401, "restricted_api_key"), "{refused:?}");
        assert_eq!(code(&api.ask_with(key, "GET", "/templates/welcome", &[], &Value::Null).await.unwrap()), 200);
    }
}
