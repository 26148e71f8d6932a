//! `/emails` of the HTTP API: one mail's way from the request to the server, and what can be asked of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_it::{Answer, Api, PATIENCE, Rig, until};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";

async fn rig() -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    (rig, api)
}

fn mail(to: &str) -> Value {
    json!({ "from": format!("Shop <{SHOP}>"), "to": [to], "subject": "Your order", "html": "<p>Thank you.</p>" })
}

async fn sent(api: &Api, id: &str) -> Answer {
    until("the mail is sent", PATIENCE, || async {
        let found = api.get(&format!("/emails/{id}")).await?;
        Ok((found.text("state") == "sent").then_some(found))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_mail_is_stored_when_the_answer_comes_and_then_sent() {
    let (rig, api) = rig().await;
    let stored = api.post("/emails", &mail("ann@example.org")).await.unwrap();
    assert_eq!(stored.status, 200, "{stored:?}");
    let id = stored.text("id");
    let state = rig.queue().await.unwrap().mail(id.parse().unwrap()).await.unwrap().unwrap().state;
    assert_eq!(state.as_str(), "ready");
    assert_eq!((stored.text("state"), stored.text("why")), ("ready", "no_worker"));

    let waiting = api.get(&format!("/emails/{id}")).await.unwrap();
    assert_eq!(
        (waiting.text("from"), waiting.text("html").trim_end()),
        ("Shop <shop@example.com>", "<p>Thank you.</p>")
    );
    assert_eq!((waiting.text("last_event"), waiting.text("object")), ("queued", "email"));
    assert_eq!(waiting.body["to"], json!(["ann@example.org"]));
    let _worker = rig.worker(&[]).unwrap();
    let done = sent(&api, id).await;
    assert_eq!((done.text("last_event"), &done.body["html"]), ("sent", &Value::Null));
    assert_eq!((done.body["to"].clone(), done.text("subject")), (json!(["ann@example.org"]), "Your order"));
    let timeline = api.get(&format!("/emails/{id}/timeline")).await.unwrap();
    let events: Vec<_> =
        timeline.body["data"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["queued", "attempt"]);
    assert_eq!(timeline.body["data"][1]["reply"]["code"], 250);
    let caught = rig.sandbox.mails();
    assert_eq!(caught.len(), 1);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_another_mail_a_conflict() {
    let (_rig, api) = rig().await;
    let key = [("Idempotency-Key", "order-1001")];
    let ask = async |mail: Value| api.ask_with(&api.key, "POST", "/emails", &key, &mail).await.unwrap();
    let (first, again) = (ask(mail("ann@example.org")).await, ask(mail("ann@example.org")).await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
    assert_eq!(first.text("id"), again.text("id"));
    assert_eq!(again.body["known"], true);
    let other = ask(mail("bob@example.org")).await;
    assert_eq!((other.status.as_u16(), other.text("name")), (409, "invalid_idempotent_request"));
    let bad = [("Idempotency-Key", "")];
    let bad = api.ask_with(&api.key, "POST", "/emails", &bad, &mail("ann@example.org")).await.unwrap();
    assert_eq!((bad.status.as_u16(), bad.text("name")), (400, "invalid_idempotency_key"));
}

#[tokio::test]
async fn all_faults_of_a_mail_come_at_once_and_nothing_is_stored() {
    let (_rig, api) = rig().await;
    let bad = json!({
        "from": "nobody", "to": ["x"], "subjct": "s", "scheduled_at": "whenever", "topic_id": "news",
        "attachments": [{"path": "https://example.com/a.pdf"}],
    });
    let refused = api.post("/emails", &bad).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.text("name")), (422, "validation_error"));
    assert_eq!(refused.body["statusCode"], 422);
    let fields: Vec<_> =
        refused.body["faults"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap()).collect();
    for field in ["from", "to[0]", "scheduled_at", "topic_id", "attachments[0].path"] {
        assert!(fields.contains(&field), "{field}: {fields:?}");
    }
    assert!(refused.text("message").contains("unknown field \"subjct\": did you mean \"subject\"?"), "{refused:?}");
    let missing = api.post("/emails", &json!({ "from": SHOP, "text": "hi" })).await.unwrap();
    assert_eq!((missing.status.as_u16(), missing.text("name")), (422, "missing_required_field"), "{missing:?}");
    let broken = api.ask_with(&api.key, "POST", "/emails", &[], &json!("not an object")).await.unwrap();
    assert_eq!(broken.status, 422);
    assert_eq!(api.get("/queue").await.unwrap().body["states"]["ready"], 0);
}

#[tokio::test]
async fn attachments_come_as_each_client_sends_them() {
    let (rig, api) = rig().await;
    let _worker = rig.worker(&[]).unwrap();
    let mut mail = mail("ann@example.org");
    mail["html"] = json!("<img src=\"cid:logo\">");
    mail["attachments"] = json!([
        { "filename": "a.txt", "content": STANDARD.encode("base64") },
        { "filename": "b.txt", "content": [110, 117, 109, 98, 101, 114, 115] },
        { "filename": "c.txt", "content": { "type": "Buffer", "data": [98, 117, 102] } },
        { "filename": "d.png", "content": STANDARD.encode("png"), "content_type": "image/png", "content_id": "logo" },
    ]);
    let id = api.post("/emails", &mail).await.unwrap().text("id").to_owned();
    sent(&api, &id).await;
    let bytes = rig.sandbox.mail_bytes(rig.sandbox.mails()[0].n).unwrap();
    let raw = String::from_utf8_lossy(&bytes);
    for content in ["base64", "numbers", "buf", "png"] {
        assert!(raw.contains(&STANDARD.encode(content)), "{content}: {raw}");
    }
    assert!(raw.contains("Content-ID: <logo>"), "{raw}");
}

#[tokio::test]
async fn a_mail_is_scheduled_moved_and_cancelled() {
    let (_rig, api) = rig().await;
    let mut mail = mail("ann@example.org");
    mail["scheduled_at"] = json!("in 1 hour");
    let stored = api.post("/emails", &mail).await.unwrap();
    assert_eq!((stored.text("state"), stored.text("why")), ("scheduled", "due"), "{stored:?}");
    let path = format!("/emails/{}", stored.text("id"));
    let moved =
        api.ask("PATCH", &path, &json!({ "id": "beside", "scheduled_at": "2099-01-01T00:00:00Z" })).await.unwrap();
    assert_eq!(moved.status, 422, "too far ahead: {moved:?}");
    let moved = api.ask("PATCH", &path, &json!({ "scheduled_at": "in 2 days" })).await.unwrap();
    assert_eq!((moved.status.as_u16(), moved.text("object")), (200, "email"), "{moved:?}");
    let missing = api.ask("PATCH", &path, &json!({})).await.unwrap();
    assert_eq!((missing.status.as_u16(), missing.text("name")), (422, "missing_required_field"));
    let found = api.get(&path).await.unwrap();
    assert!(found.text("scheduled_at") > stored.text("estimated_at"), "{found:?}");
    let cancelled = api.post(&format!("{path}/cancel"), &Value::Null).await.unwrap();
    assert_eq!((cancelled.status.as_u16(), cancelled.text("object")), (200, "email"));
    assert_eq!(api.get(&path).await.unwrap().text("last_event"), "canceled");
    let again = api.post(&format!("{path}/cancel"), &Value::Null).await.unwrap();
    assert_eq!(again.status, 200, "the wish is fulfilled");
    let late = api.ask("PATCH", &path, &json!({ "scheduled_at": "in 1 hour" })).await.unwrap();
    assert_eq!((late.status.as_u16(), late.text("name")), (422, "validation_error"));
    for missing in ["/emails/0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10", "/emails/nonsense", "/nowhere"] {
        let answer = api.get(missing).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text("name")), (404, "not_found"), "{missing}");
    }
    let wrong = api.ask("DELETE", "/emails", &Value::Null).await.unwrap();
    assert_eq!((wrong.status.as_u16(), wrong.text("name")), (405, "method_not_allowed"));
}

#[tokio::test]
async fn a_batch_is_taken_whole_or_as_far_as_it_can_be() {
    let (_rig, api) = rig().await;
    let batch = json!([mail("a@example.org"), mail("nobody"), mail("c@example.org")]);
    let strict = api.post("/emails/batch", &batch).await.unwrap();
    assert_eq!(strict.status, 422, "{strict:?}");
    assert_eq!(strict.body["faults"][0]["field"], "[1].to[0]");
    assert_eq!(api.get("/emails").await.unwrap().body["data"].as_array().unwrap().len(), 0, "nothing is stored");
    let headers = [("x-batch-validation", "permissive"), ("Idempotency-Key", "batch-1")];
    let ask = || async { api.ask_with(&api.key, "POST", "/emails/batch", &headers, &batch).await.unwrap() };
    let (first, again) = (ask().await, ask().await);
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.body["data"].as_array().unwrap().len(), 2);
    assert_eq!(first.body["errors"][0]["index"], 1);
    assert_eq!(first.body["errors"][0]["faults"][0]["field"], "to[0]");
    let ids = |answer: &Answer| -> Vec<Value> {
        answer.body["data"].as_array().unwrap().iter().map(|mail| mail["id"].clone()).collect()
    };
    assert_eq!((ids(&first), &first.body["errors"]), (ids(&again), &again.body["errors"]), "the same answer");
    assert_eq!((&first.body["data"][0]["known"], &again.body["data"][0]["known"]), (&Value::Null, &json!(true)));
    let other = json!([mail("a@example.org"), mail("b@example.org"), mail("c@example.org")]);
    let other = api.ask_with(&api.key, "POST", "/emails/batch", &headers, &other).await.unwrap();
    assert_eq!(other.status, 409, "{other:?}");
    for (bad, status) in [(json!([]), 422), (json!({}), 422), (Value::Array(vec![mail("a@example.org"); 101]), 422)] {
        assert_eq!(api.post("/emails/batch", &bad).await.unwrap().status, status);
    }
    let page = api.get("/emails?limit=1").await.unwrap();
    assert_eq!((page.body["data"].as_array().unwrap().len(), page.body["has_more"].as_bool()), (1, Some(true)));
    let next =
        api.get(&format!("/emails?limit=1&after={}", page.body["data"][0]["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(next.body["has_more"], false);
    assert_ne!(next.body["data"][0]["id"], page.body["data"][0]["id"]);
    for bad in ["limit=0", "limit=101", "limit=x", "after=x", "state=odd", "whatever=1"] {
        assert_eq!(api.get(&format!("/emails?{bad}")).await.unwrap().status, 422, "{bad}");
    }
}
