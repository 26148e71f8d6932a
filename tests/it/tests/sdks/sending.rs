//! A mail goes out as it was given, and can be looked at.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{ALICE, Api, mail, mail_with};
use crate::caught::caught;
use crate::sdk::{Kind, send};

with_each_sdk!(a_mail_arrives_as_it_was_given, a_mail_can_be_looked_at, addresses_may_be_texts_and_tags_come_back);

async fn a_mail_arrives_as_it_was_given(api: Api) {
    let given = json!({
        "from": "Älice's shop <alice@example.com>",
        "to": ["Bob <bob@example.org>", "carol@example.org"],
        "cc": ["dave@example.org"], "bcc": ["eve@example.org"], "reply_to": ["desk@example.com", "till@example.com"],
        "subject": "Grüße 🎉", "text": "Hällo\n.\n", "html": "<p>Hällo</p>",
        "headers": { "X-Order": "4711", "List-Unsubscribe": "<https://example.com/u>" },
    });
    let id = api.call(send(&given)).await.id();
    let mails = caught(&api.rig, 1).await;
    let mail = &mails[0];
    assert_eq!(mail.recipients, ["bob", "carol", "dave", "eve"].map(|name| format!("{name}@example.org")));
    assert!(
        mail.header("From").contains("Älice's shop") && mail.header("From").contains(ALICE),
        "{}",
        mail.header("From")
    );
    assert!(mail.header("To").contains("Bob") && mail.header("To").contains("carol@example.org"));
    assert_eq!((mail.header("Cc"), mail.has("Bcc")), ("dave@example.org", false));
    assert!(
        mail.header("Reply-To").contains("desk@example.com") && mail.header("Reply-To").contains("till@example.com")
    );
    assert_eq!((mail.header("Subject"), mail.header("X-Order")), ("Grüße 🎉", "4711"));
    assert_eq!(mail.header("List-Unsubscribe"), "<https://example.com/u>");
    assert_eq!((mail.text("text/plain").as_str(), mail.text("text/html").as_str()), ("Hällo\n.", "<p>Hällo</p>"));
    assert!(mail.header("Message-ID").contains(&id), "{} has not {id}", mail.header("Message-ID"));
}

async fn a_mail_can_be_looked_at(api: Api) {
    let further =
        json!({ "cc": ["Dave <dave@example.org>"], "bcc": ["eve@example.org"], "reply_to": ["desk@example.com"] });
    let id = api.call(send(&mail_with("Looked at", further))).await.id();
    let sent = api.mail_in(&id, "sent").await;
    let mails = caught(&api.rig, 1).await;
    assert_eq!(sent["message_id"], mails[0].header("Message-ID"));
    assert_eq!((&sent["id"], &sent["from"], &sent["subject"]), (&json!(id), &json!(ALICE), &json!("Looked at")));
    assert_eq!(sent["to"], json!(["bob@example.org"]));
    assert_eq!(sent["bcc"], json!(["eve@example.org"]));
    assert!(sent["cc"][0].as_str().unwrap().contains("dave@example.org"), "{sent}");
    let created: Timestamp = sent["created_at"].as_str().unwrap().parse().unwrap();
    let age = Timestamp::now().duration_since(created);
    assert!((0..60).contains(&age.as_secs()), "{sent}");
    assert_eq!(sent["scheduled_at"], Value::Null);
    if api.sdk.kind() != Kind::Rust {
        assert_eq!(sent["object"], "email");
    }
}

async fn addresses_may_be_texts_and_tags_come_back(api: Api) {
    let tags = json!([{ "name": "order", "value": "4711" }, { "name": "kind", "value": "receipt" }]);
    let further =
        json!({ "to": "bob@example.org", "cc": "carol@example.org", "reply_to": "desk@example.com", "tags": tags });
    let id = api.call(send(&mail_with("Texts", further))).await.id();
    let other = api.call(send(&mail("Other"))).await.id();
    assert_ne!(id, other);
    let mails = caught(&api.rig, 2).await;
    let mail = mails.iter().find(|mail| mail.header("Subject") == "Texts").unwrap();
    assert_eq!(mail.recipients, ["bob@example.org", "carol@example.org"]);
    // Rust's SDK does not know the tags of a mail it looks at.
    if api.sdk.kind() != Kind::Rust {
        assert_eq!(api.mail(&id).await["tags"], tags);
    }
}

/// Node's SDK drops the fields that it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_sdk_drops_goes_as_headers_of_the_request() {
    let api = Api::start(Kind::Node).await;
    let mut call = send(&mail_with("Urgent", json!({ "priority": "urgent" })));
    let dropped = api.call(call.clone()).await.id();
    call["headers"] = json!({ "Postroom-Priority": "urgent" });
    let heard = api.call(call).await.id();
    let queue = api.rig.queue().await.unwrap();
    let mut priorities = Vec::new();
    for id in [dropped, heard] {
        priorities.push(queue.mail(id.parse().unwrap()).await.unwrap().unwrap().priority.as_str());
    }
    assert_eq!(priorities, ["normal", "urgent"]);
}
