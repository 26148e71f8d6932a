//! Finding mails over the HTTP API and at the command line: what each asks for, and what a key never gets to see.

use postroom_it::{Api, PATIENCE, Rig, until};
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

fn mail(from: &str, to: &[&str], more: &Value) -> Value {
    let mut mail = json!({ "from": from, "to": to, "subject": "Your order", "text": "Thank you." });
    mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mail
}

async fn send(api: &Api, key: &str, mail: &Value) -> String {
    let sent = api.ask_with(key, "POST", "/emails", &[], mail).await.unwrap();
    assert_eq!(sent.status.as_u16(), 200, "{sent:?}");
    sent.text("id").to_owned()
}

/// The ids that a search answers to a key, in order.
async fn seen(api: &Api, key: &str, query: &str) -> Vec<String> {
    let found = api.ask_with(key, "GET", &format!("/emails?{query}"), &[], &Value::Null).await.unwrap();
    assert_eq!(found.status.as_u16(), 200, "{query}: {found:?}");
    let ids: Vec<String> = ids(&found.body["data"]);
    // The Rust client asks elsewhere, and must be answered the same.
    let own = api.ask_with(key, "GET", &format!("/emails/statuses?{query}"), &[], &Value::Null).await.unwrap();
    assert_eq!((own.status.as_u16(), self::ids(&own.body["data"])), (200, ids.clone()), "{query}");
    ids
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|mail| mail["id"].as_str().unwrap().to_owned()).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn each_parameter_finds_its_mails_also_when_they_were_sent() {
    let (rig, api) = rig().await;
    let june = json!({ "tags": [{ "name": "campaign", "value": "june" }], "cc": ["Cy@Example.org"] });
    let first = send(&api, &api.key, &mail(SHOP, &["ann@example.org"], &june)).await;
    let second = send(&api, &api.key, &mail(NEWS, &["ann@example.org", "ben@example.org"], &json!({}))).await;
    let batch: Vec<Value> = ["x@example.org", "y@example.org"].iter().map(|to| mail(SHOP, &[to], &json!({}))).collect();
    let key = [("Idempotency-Key", "batch 1&2")];
    let batch = api.ask_with(&api.key, "POST", "/emails/batch", &key, &json!(batch)).await.unwrap();
    let batch = sorted(ids(&batch.body["data"]));
    let both = sorted(vec![first.clone(), second.clone()]);
    let shown = api.get(&format!("/emails/{first}")).await.unwrap();
    let message_id = shown.text("message_id").trim_matches(['<', '>']).to_owned();

    let look = async |when: &str| {
        for (query, wanted) in [
            ("recipient=ann%40example.org", both.clone()),
            ("recipient=ANN%40example.org&account=news%40example.com", vec![second.clone()]),
            ("recipient=cy%40example.org", vec![first.clone()]),
            ("recipient=nobody%40example.org", vec![]),
            ("tag=campaign", vec![first.clone()]),
            ("tag=campaign%3Djune", vec![first.clone()]),
            ("tag=campaign%3Djuly", vec![]),
            ("tag=campaign&recipient=ben%40example.org", vec![]),
            ("idempotency_key=batch+1%262", batch.clone()),
            ("idempotency_key=batch", vec![]),
            (&format!("message_id={message_id}"), vec![first.clone()]),
            ("message_id=%3Cnobody%40example.org%3E", vec![]),
        ] {
            assert_eq!(sorted(seen(&api, &api.key, query).await), wanted, "{when}: {query}");
        }
    };
    look("waiting").await;
    let _worker = rig.worker(&[]).unwrap();
    until("all are sent", PATIENCE, || async {
        // One question alone: between two of them a mail may be sent.
        Ok((ids(&api.get("/emails?state=sent").await?.body["data"]).len() == 4).then_some(()))
    })
    .await
    .unwrap();
    look("sent").await;
    assert_eq!(seen(&api, &api.key, "reason=delivered&limit=100").await.len(), 4);

    for query in ["recipient=ann", "tag=%3Djune", "reason=because", "state=lost", "after=nobody", "limit=0"] {
        for path in ["/emails", "/emails/statuses"] {
            let refused = api.get(&format!("{path}?{query}")).await.unwrap();
            let name = query.split('=').next().unwrap();
            assert_eq!((refused.status.as_u16(), refused.text("name")), (422, "invalid_parameter"), "{query}");
            assert!(refused.text("message").starts_with(name), "{refused:?}");
            assert!(!refused.text("message").contains("june"), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_key_finds_only_what_it_may_see() {
    let (rig, api) = rig().await;
    let more = json!({ "tags": [{ "name": "kind", "value": "order" }], "scheduled_at": "in 1 hour" });
    let to = ["delivered@postroom.test"];
    let test = rig.key(&["create", "ci", "--test"]).await.unwrap();
    let bound = rig.key(&["create", "shop", "--account", SHOP]).await.unwrap();
    let sender = rig.key(&["create", "sender", "--scope", "send"]).await.unwrap();
    let person = mail(SHOP, &["ann@example.org"], &more);
    let of_shop = send(&api, &api.key, &person).await;
    let of_news = send(&api, &api.key, &mail(NEWS, &["ann@example.org"], &more)).await;
    let of_test = send(&api, &test, &mail(SHOP, &to, &more)).await;
    let message_id = |id: &str| format!("message_id=<{id}@example.com>");

    let all = sorted(vec![of_shop.clone(), of_news.clone(), of_test.clone()]);
    for (key, mine) in [
        (&api.key, all.clone()),
        // Test mails belong to nobody's account: every key may see them.
        (&bound, sorted(vec![of_shop.clone(), of_test.clone()])),
        (&test, vec![of_test.clone()]),
    ] {
        for query in ["tag=kind", "tag=kind%3Dorder", "state=scheduled", "limit=50"] {
            assert_eq!(sorted(seen(&api, key, query).await), mine, "{query}");
        }
        for query in ["recipient=ann%40example.org", "recipient=delivered%40postroom.test", &message_id(&of_news)] {
            assert!(seen(&api, key, query).await.iter().all(|id| mine.contains(id)), "{query}");
        }
        let news = message_id(&of_news);
        assert_eq!(seen(&api, key, &news).await.is_empty(), !mine.contains(&of_news));
    }
    // An account whose mails a key may not see is no account for it.
    let test_admin = rig.key(&["create", "ci-admin", "--test", "--admin"]).await.unwrap();
    for (key, path) in [
        (&bound, "/emails?account=news%40example.com"),
        (&bound, "/emails/statuses?account=news%40example.com"),
        (&test, "/emails?account=shop%40example.com"),
        (&test, "/emails/statuses?account=shop%40example.com&tag=kind"),
        (&test_admin, "/dead?account=shop%40example.com"),
    ] {
        let refused = api.ask_with(key, "GET", path, &[], &Value::Null).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.text("name")), (404, "not_found"), "{path}: {refused:?}");
    }
    let filter = json!({ "filter": { "account": SHOP }, "dry_run": true });
    for path in ["/dead/retry", "/dead/discard"] {
        let refused = api.ask_with(&test_admin, "POST", path, &[], &filter).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.text("name")), (404, "not_found"), "{path}: {refused:?}");
    }
    for path in ["/emails?tag=kind", "/emails/statuses?tag=kind"] {
        let refused = api.ask_with(&sender, "GET", path, &[], &Value::Null).await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.text("name")), (401, "restricted_api_key"));
    }
}

#[tokio::test]
async fn the_command_line_finds_the_same() {
    let (rig, api) = rig().await;
    let own = "From: shop@example.com\r\nTo: ann@example.org\r\nSubject: Hi\r\nMessage-ID: <own-7@shop.example>\r\n\r\nHi\r\n";
    let sent = rig.postroom_with(&["send", "-", "--eml"], own.as_bytes()).await.unwrap();
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let own = sent.stdout.trim().to_owned();
    let tagged = json!({ "tags": [{ "name": "campaign", "value": "june" }], "scheduled_at": "in 1 hour" });
    let tagged = send(&api, &api.key, &mail(NEWS, &["ann@example.org"], &tagged)).await;
    assert_eq!(seen(&api, &api.key, "message_id=own-7%40shop.example").await, std::slice::from_ref(&own));
    let both = sorted(vec![own.clone(), tagged.clone()]);
    for (arguments, wanted) in [
        (vec!["--to", "ann@example.org"], both.clone()),
        (vec!["--to", "ann@example.org", "--account", NEWS], vec![tagged.clone()]),
        (vec!["--to", "bob@example.org"], vec![]),
        (vec!["--tag", "campaign=june"], vec![tagged.clone()]),
        (vec!["--state", "scheduled"], vec![tagged.clone()]),
        (vec!["--message-id", "<own-7@shop.example>"], vec![own.clone()]),
        (vec!["--idempotency-key", "none"], vec![]),
        (vec!["--reason", "quota"], vec![]),
    ] {
        let found = rig.postroom(&[&["mail", "find", "--json"], &arguments[..]].concat()).await.unwrap();
        assert_eq!(found.code, Some(0), "{}", found.stderr);
        let list: Value = serde_json::from_str(&found.stdout).unwrap();
        assert_eq!((sorted(ids(&list)), found.stderr.as_str()), (wanted, ""), "{arguments:?}");
    }
    // Page by page, as its own hint says.
    let first = rig.postroom(&["mail", "find", "--to", "ann@example.org", "--limit", "1"]).await.unwrap();
    assert!(first.stdout.contains(&tagged) && !first.stdout.contains(&own), "{}", first.stdout);
    assert!(first.stderr.contains(&format!("--after {tagged}")), "{}", first.stderr);
    let arguments = ["mail", "find", "--to", "ann@example.org", "--limit", "1", "--after", &tagged];
    let second = rig.postroom(&arguments).await.unwrap();
    assert!(second.stdout.contains(&own) && second.stderr.is_empty(), "{} {}", second.stdout, second.stderr);
    for wrong in [&["mail", "find"][..], &["mail", "find", "--to", "ann"], &["mail", "find", "--account", SHOP]] {
        let refused = rig.postroom(wrong).await.unwrap();
        assert_eq!(refused.code, Some(2), "{wrong:?}: {}", refused.stderr);
    }
}
