//! Files that go with a mail, in every form in which an SDK writes bytes as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, mail_with};
use crate::caught::caught;
use crate::sdk::{Kind, send};

with_each_sdk!(bytes_and_base64_arrive, an_image_shows_inside_the_html, what_lies_at_an_address_is_not_fetched);

/// Every byte, the line ends of all kinds among them.
fn bytes() -> Vec<u8> {
    (0..=255).chain(*b"\r\n.\r\n\n\r").collect()
}

fn file(name: &str, binary: bool) -> Value {
    json!({ "filename": name, "base64": STANDARD.encode(bytes()), "binary": binary })
}

async fn bytes_and_base64_arrive(api: Api) {
    let attachments = json!([file("bytes.bin", true), file("grüße.pdf", false)]);
    api.call(send(&mail_with("Files", json!({ "attachments": attachments })))).await.id();
    let mails = caught(&api.rig, 1).await;
    assert_eq!(mails[0].file("bytes.bin").body, bytes());
    assert_eq!(mails[0].file("grüße.pdf").body, bytes());
    assert_eq!(mails[0].file("grüße.pdf").kind, "application/pdf");
    assert_eq!(mails[0].file("bytes.bin").content_id, None);
    assert_eq!(mails[0].text("text/plain"), "Hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffer_of_an_older_node_sdk_arrives() {
    let api = Api::start(Kind::NodeBefore637).await;
    bytes_and_base64_arrive(api).await;
}

async fn an_image_shows_inside_the_html(api: Api) {
    let mut logo = file("logo.png", true);
    logo["content_id"] = "logo".into();
    logo["content_type"] = "image/png".into();
    let further = json!({ "html": "<img src=\"cid:logo\">", "attachments": [logo] });
    api.call(send(&mail_with("Image", further))).await.id();
    let mails = caught(&api.rig, 1).await;
    let logo = mails[0].parts.iter().find(|part| part.kind == "image/png").unwrap();
    assert_eq!((logo.content_id.as_deref(), &logo.body), (Some("logo"), &bytes()));
    assert_eq!(mails[0].text("text/html"), "<img src=\"cid:logo\">");
}

async fn what_lies_at_an_address_is_not_fetched(api: Api) {
    let attachments = json!([{ "filename": "a.pdf", "path": "https://example.com/a.pdf" }]);
    let answer = api.call(send(&mail_with("Path", json!({ "attachments": attachments })))).await;
    let failure = answer.refused(422, "invalid_attachment");
    assert!(failure.message.contains("path") && failure.message.contains("content"), "{}", failure.message);
    assert!(api.rig.sandbox.mails().is_empty());
}
