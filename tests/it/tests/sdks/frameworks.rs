//! Web frameworks that send through Resend: Django as it is, Rails and Laravel by the requests that their packages make.

use postroom_it::PATIENCE;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::api::{ALICE, Api};
use crate::caught::caught;
use crate::sdk::{Kind, python, scripts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn django_sends_through_anymail() {
    let api = Api::start(Kind::Python).await;
    let mut command = Command::new(python());
    command
        .arg(scripts().join("django_mail.py"))
        .args([&api.server.base, &api.server.key, ALICE])
        .env_clear()
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("an end").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mails = caught(&api.rig, 4).await;
    let with = |subject: &'static str| mails.iter().filter(move |mail| mail.header("Subject") == subject);
    assert_eq!(with("Plain").next().unwrap().text("text/plain"), "Hello from Django");
    let rich = with("Rich").next().unwrap();
    assert!(rich.header("Message-ID").contains(told["rich"].as_str().unwrap()));
    assert_eq!((rich.header("X-Order"), rich.header("X-Tags")), ("7", "[\"receipt\"]"));
    assert_eq!(rich.recipients, ["bob@example.org", "carol@example.org"]);
    assert_eq!(rich.file("grüße.txt").body, "Grüße".as_bytes());
    let logo = rich.parts.iter().find(|part| part.kind == "image/png").unwrap();
    assert_eq!((logo.content_id.as_deref(), logo.body.as_slice()), (told["content_id"].as_str(), &b"\x89PNG\r\n"[..]));
    for each in with("Each") {
        let id = told["each"][&each.recipients[0]].as_str().unwrap();
        assert!(each.recipients.len() == 1 && each.header("Message-ID").contains(id));
    }
    assert_eq!(with("Each").count(), 2);
    assert!([403, 422].contains(&told["refused"].as_u64().unwrap()), "{told}");
}

async fn post(api: &Api, given: Value) -> Value {
    api.call(json!({ "op": "raw", "path": "/emails", "given": given })).await.data()
}

/// The gem `resend` writes a rendered mail's Date and Message-ID into `headers`, and bytes as numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_rails_is_taken() {
    let api = Api::start(Kind::Rust).await;
    let answer = post(
        &api,
        json!({
            "from": "Shop <alice@example.com>", "to": ["bob@example.org"], "subject": "From Rails",
            "reply_to": ["desk@example.com"],
            "headers": {
                "Date": "2026-11-23T06:00:00.000+00:00", "Message-ID": "<6920@web.mail>", "X-Entity-Ref-ID": "123",
            },
            "attachments": [
                { "filename": "a.txt", "content": [72, 105] },
                { "filename": "logo.png", "content": [137, 80], "content_id": "6920@web.mail" },
            ],
            "text": "Hello", "html": "<img src=\"cid:6920@web.mail\">",
        }),
    )
    .await;
    let mails = caught(&api.rig, 1).await;
    assert_eq!((mails[0].header("X-Entity-Ref-ID"), mails[0].file("a.txt").body.as_slice()), ("123", &b"Hi"[..]));
    let logo = mails[0].parts.iter().find(|part| part.kind == "image/png").unwrap();
    assert_eq!((logo.content_id.as_deref(), logo.body.as_slice()), (Some("6920@web.mail"), &[137, 80][..]));
    // Ours stand, once.
    assert!(mails[0].header("Message-ID").contains(answer["id"].as_str().unwrap()));
    assert!(mails[0].header("Date") != "2026-11-23T06:00:00.000+00:00");
}

/// PHP writes what is empty as `[]`, also where an object belongs, and a list with holes as an object.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_laravel_is_taken() {
    let api = Api::start(Kind::Rust).await;
    let calendar = json!({
        "content_type": "application/pdf", "content": "SGVsbG8=", "filename": "invoice.pdf",
    });
    post(
        &api,
        json!({
            "bcc": [], "cc": [], "from": "\"Shop\" <alice@example.com>", "headers": [], "html": null, "reply_to": [],
            "subject": "From Laravel", "tags": [], "text": "Hello", "to": ["\"Bob\" <bob@example.org>"],
            "attachments": [calendar],
        }),
    )
    .await;
    post(
        &api,
        json!({
            "bcc": [], "cc": ["carol@example.org"], "from": "alice@example.com", "headers": { "X-Order": "7" },
            "html": "<p>Hello</p>", "reply_to": [], "subject": "With holes", "tags": [{ "name": "order", "value": "7" }],
            "text": null, "to": { "1": "bob@example.org" }, "attachments": [],
        }),
    )
    .await;
    let mails = caught(&api.rig, 2).await;
    let first = mails.iter().find(|mail| mail.header("Subject") == "From Laravel").unwrap();
    assert_eq!(
        (first.text("text/plain").as_str(), first.file("invoice.pdf").body.as_slice()),
        ("Hello", &b"Hello"[..])
    );
    let second = mails.iter().find(|mail| mail.header("Subject") == "With holes").unwrap();
    assert_eq!(second.recipients, ["bob@example.org", "carol@example.org"]);
}
