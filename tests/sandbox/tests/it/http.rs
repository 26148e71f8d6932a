//! JSON API and page.

use serde_json::json;

use crate::client::{Client, ME, access_token, get, http, mail_with_id, post_json, sandbox};

#[tokio::test]
async fn mails_and_counters_are_listed() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    for id in ["1@x", "2@x", "3@x"] {
        client.mail("a@x.example", &mail_with_id(id)).await;
    }
    let stats = get(&sandbox, "/api/stats").await.json();
    assert_eq!((&stats["mails_accepted"], &stats["accounts"][ME]["mails"]), (&json!(3), &json!(3)));
    assert_eq!(stats["commands"]["BDAT"], 3);
    let list = get(&sandbox, "/api/mails?offset=1&limit=1").await.json();
    assert_eq!((&list["total"], list["mails"].as_array().unwrap().len()), (&json!(3), 1));
    assert_eq!(list["mails"][0]["message_id"], "<2@x>");
    assert_eq!(get(&sandbox, "/api/mails?message_id=3@x").await.json()["total"], 1);
    assert_eq!(get(&sandbox, "/api/mails?account=other@example.com").await.json()["total"], 0);
    assert_eq!(get(&sandbox, "/api/mails/2").await.json()["recipients"], json!(["a@x.example"]));
    assert_eq!(get(&sandbox, "/api/mails/2/raw").await.text(), mail_with_id("2@x"));
    assert_eq!(get(&sandbox, "/api/mails/4").await.status, 404);
    assert_eq!(post_json(&sandbox, "/api/reset", "").await.status, 204);
    assert_eq!(get(&sandbox, "/api/mails").await.json()["total"], 0);
}

#[tokio::test]
async fn faults_are_added_listed_and_removed() {
    let sandbox = sandbox().await;
    let add = async |body: &str| post_json(&sandbox, "/api/faults", body).await;
    let rule = r#"{"stage":"final","per_mail_times":2,"action":{"reply":"451 4.3.0 later"}}"#;
    let added = add(rule).await;
    assert_eq!((added.status, added.json()), (201, json!({"id": 1})));
    for action in [
        r#""silence""#,
        r#""cut""#,
        r#""accept_then_cut""#,
        r#"{"delay_ms":5}"#,
        r#"{"store_and_delay_ms":5}"#,
        r#"{"reply":["550 5.7.1 a","550 5.7.1 b"]}"#,
    ] {
        assert_eq!(add(&format!(r#"{{"stage":"final","action":{action}}}"#)).await.status, 201, "{action}");
    }
    let token = r#"{"stage":"token","times":1,"action":{"http":{"status":503,"body":"x","delay_ms":1}}}"#;
    assert_eq!(add(token).await.status, 201);
    for wrong in [
        r#"{"stage":"final","action":"explode"}"#,
        r#"{"stage":"final","action":"cut","tmies":1}"#,
        r#"{"stage":"rcpt","action":"accept_then_cut"}"#,
    ] {
        assert_eq!(add(wrong).await.status, 422, "{wrong}");
    }
    let listed = get(&sandbox, "/api/faults").await.json();
    assert_eq!(listed.as_array().unwrap().len(), 8);
    assert_eq!(listed[0]["fault"], json!({"stage":"final","per_mail_times":2,"action":{"reply":["451 4.3.0 later"]}}));
    assert_eq!(http(&sandbox, "DELETE", "/api/faults/1", "", "").await.status, 204);
    assert_eq!(http(&sandbox, "DELETE", "/api/faults/1", "", "").await.status, 404);
    assert_eq!(http(&sandbox, "DELETE", "/api/faults", "", "").await.status, 204);
    assert_eq!(get(&sandbox, "/api/faults").await.json(), json!([]));
}

#[tokio::test]
async fn accounts_and_settings_are_steered() {
    let sandbox = sandbox().await;
    let token = access_token(&sandbox, ME).await;
    assert_eq!(post_json(&sandbox, &format!("/api/accounts/{ME}/expire-tokens"), "").await.status, 204);
    assert!(Client::greeted(&sandbox).await.auth(ME, &token).await.starts_with("334 "));
    let issued = get(&sandbox, "/api/tokens").await.json();
    assert_eq!(issued, json!([{ "account": ME, "token": token, "ended": true }]));
    post_json(&sandbox, &format!("/api/accounts/{ME}/revoke"), "").await;
    assert_eq!(crate::client::ask_token(&sandbox, ME).await.status, 400);
    post_json(&sandbox, &format!("/api/accounts/{ME}/restore"), "").await;
    Client::logged_in(&sandbox, ME).await;
    let answer = post_json(&sandbox, "/api/config", r#"{"latency_ms":7,"mails_per_connection":50}"#).await.json();
    assert_eq!((&answer["latency_ms"], &answer["mails_per_connection"]), (&json!(7), &json!(50)));
    assert_eq!(answer["token_life_ms"], 3_599_000);
    assert_eq!(post_json(&sandbox, "/api/config", r#"{"latncy_ms":7}"#).await.status, 422);
}

const HOSTILE: &str = "Message-ID: <h@x>\r\nFrom: \"<script>alert(1)</script>\" <me@example.com>\r\n\
    To: you@example.net\r\nSubject: <img src=x onerror=alert(2)>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
    --c\r\nContent-Type: text/plain\r\n\r\nplain </pre><script>alert(3)</script>\r\n\
    --c\r\nContent-Type: text/html\r\n\r\n<p class=\"x\">html</p><script>alert(4)</script>\r\n--c--\r\n\
    --b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"a<b>.html\"\r\n\r\n\
    <script>alert(5)</script>\r\n--b--\r\n";

#[tokio::test]
async fn the_page_shows_mails_and_lets_nothing_in_them_run() {
    let sandbox = sandbox().await;
    assert!(get(&sandbox, "/").await.text().contains("nothing leaves this machine"));
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.mail("a@x.example", HOSTILE).await;
    for path in ["/", "/mails/1"] {
        let answer = get(&sandbox, path).await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
        let html = answer.text();
        assert!(html.contains("a stand-in for Gmail"), "{path}");
        assert!(!html.contains("<script") && !html.contains("<img"), "{path}: {html}");
        assert!(html.contains("&lt;img src=x onerror=alert(2)&gt;"), "{path}: {html}");
    }
    let html = get(&sandbox, "/mails/1").await.text();
    assert!(html.contains("<iframe sandbox=\"\""), "{html}");
    assert!(html.contains("srcdoc=\"&lt;p class=&quot;x&quot;&gt;html&lt;/p&gt;"), "{html}");
    assert!(html.contains("plain &lt;/pre&gt;"), "{html}");
    let attachment = get(&sandbox, "/mails/1/attachments/0").await;
    assert!(attachment.head.contains("content-disposition: attachment; filename=\"a_b_.html\""), "{}", attachment.head);
    assert!(attachment.head.contains("content-type: application/octet-stream"));
    assert!(attachment.text().contains("alert(5)"));
    assert_eq!(get(&sandbox, "/mails/1/attachments/9").await.status, 404);
    assert_eq!(get(&sandbox, "/mails/2").await.status, 404);
}
