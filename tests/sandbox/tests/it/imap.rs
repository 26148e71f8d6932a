//! The IMAP side: login, mailboxes, searches in Sent, and what can be made to go wrong.

use std::time::Duration;

use postroom_sandbox::{Action, Config, ConfigChange, Fault, Sandbox, Stage};
use serde_json::json;

use crate::client::{Client, End, ME, access_token, get, mail_with_id, post_json, sandbox, xoauth2};

/// One command and all lines of its answer.
async fn ask(client: &mut Client, line: &str) -> Vec<String> {
    client.send(format!("{line}\r\n")).await;
    let tag = format!("{} ", line.split(' ').next().unwrap());
    let mut lines = Vec::new();
    loop {
        lines.push(client.line().await.unwrap());
        if lines.last().unwrap().starts_with(&tag) {
            return lines;
        }
    }
}

async fn greeted(sandbox: &Sandbox) -> Client {
    let mut client = Client::dial_imap(sandbox).await.unwrap();
    assert!(client.line().await.unwrap().starts_with("* OK Gimap ready"));
    client
}

async fn logged_in(sandbox: &Sandbox) -> Client {
    let mut client = greeted(sandbox).await;
    let token = access_token(sandbox, ME).await;
    let answer = ask(&mut client, &format!("1 AUTHENTICATE XOAUTH2 {}", xoauth2(ME, &token))).await;
    assert_eq!(
        answer,
        ["* CAPABILITY IMAP4rev1 SPECIAL-USE ID UIDPLUS X-GM-EXT-1", "1 OK me@example.com authenticated (Success)"]
    );
    client
}

async fn in_sent(sandbox: &Sandbox) -> Client {
    let mut client = logged_in(sandbox).await;
    assert!(ask(&mut client, "2 EXAMINE \"[Gmail]/Sent Mail\"").await.last().unwrap().starts_with("2 OK [READ-ONLY]"));
    client
}

async fn send(sandbox: &Sandbox, account: &str, ids: &[&str]) {
    let mut client = Client::logged_in(sandbox, account).await;
    for id in ids {
        client.mail("a@x.example", &mail_with_id(id)).await;
    }
}

const DONE: &str = "OK SEARCH completed (Success)";

#[tokio::test]
async fn sent_is_searched_by_header_and_in_gmails_language() {
    let sandbox = sandbox().await;
    send(&sandbox, "other@example.com", &["0@x"]).await;
    send(&sandbox, ME, &["1@x", "11@x"]).await;
    let mut client = in_sent(&sandbox).await;
    for (search, hits) in [
        ("UID SEARCH X-GM-RAW \"rfc822msgid:1@x\"", " 2"),
        ("UID SEARCH X-GM-RAW rfc822msgid:<11@x>", " 3"),
        ("UID SEARCH HEADER Message-ID \"<1@X>\"", " 2"),
        ("uid search header message-id 1@x", " 2 3"),
        ("SEARCH HEADER Message-ID 1@x", " 1 2"),
        ("UID SEARCH HEADER Message-ID 0@x", ""),
        ("UID SEARCH X-GM-RAW \"rfc822msgid:2@x\"", ""),
    ] {
        assert_eq!(
            ask(&mut client, &format!("3 {search}")).await,
            [format!("* SEARCH{hits}"), format!("3 {DONE}")],
            "{search}"
        );
    }
    let stats = sandbox.stats();
    assert_eq!((stats.imap_searches, stats.imap_found, stats.account(ME).imap_searches), (7, 5, 7));
    assert_eq!((stats.imap_connections, stats.imap_logins_ok, stats.account(ME).imap_logins_ok), (1, 1, 1));
    assert_eq!(ask(&mut client, "4 LOGOUT").await[0], "* BYE LOGOUT Requested");
    assert_eq!(client.line().await, Err(End::Closed));
}

#[tokio::test]
async fn what_came_in_later_shows_after_noop_or_examine() {
    let sandbox = sandbox().await;
    let mut client = in_sent(&sandbox).await;
    let search = "3 UID SEARCH HEADER Message-ID x";
    for (id, refresh, hits) in [("1@x", "4 NOOP", " 1"), ("2@x", "4 EXAMINE \"[Gmail]/Sent Mail\"", " 1 2")] {
        let before = ask(&mut client, search).await;
        send(&sandbox, ME, &[id]).await;
        assert_eq!(ask(&mut client, search).await, before);
        assert!(ask(&mut client, refresh).await.last().unwrap().starts_with("4 OK"));
        assert_eq!(ask(&mut client, search).await[0], format!("* SEARCH{hits}"));
    }
    assert!(ask(&mut client, "5 EXAMINE INBOX").await.contains(&"* 0 EXISTS".to_owned()));
    assert_eq!(ask(&mut client, search).await[0], "* SEARCH");
}

#[tokio::test]
async fn a_mail_is_found_only_after_the_indexing_delay() {
    let config = Config { index_delay: Duration::from_secs(3_600), ..Config::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    send(&sandbox, ME, &["1@x"]).await;
    let mut client = in_sent(&sandbox).await;
    let search = "3 UID SEARCH X-GM-RAW rfc822msgid:1@x";
    assert_eq!(ask(&mut client, search).await[0], "* SEARCH");
    let answer = post_json(&sandbox, "/api/config", r#"{"index_delay_ms":0}"#).await.json();
    assert_eq!((&answer["index_delay_ms"], &answer["gmail_search"]), (&json!(0), &json!(true)));
    assert_eq!(ask(&mut client, search).await[0], "* SEARCH 1");
}

#[tokio::test]
async fn a_refused_token_gets_a_challenge_and_then_no() {
    let sandbox = sandbox().await;
    let mut client = greeted(&sandbox).await;
    client.send(format!("1 AUTHENTICATE XOAUTH2 {}\r\n", xoauth2(ME, "wrong"))).await;
    assert_eq!(
        client.line().await.unwrap(),
        "+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ=="
    );
    client.send("\r\n").await;
    assert_eq!(client.line().await.unwrap(), "1 NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)");
    client.send("2 AUTHENTICATE XOAUTH2\r\n").await;
    assert_eq!(client.line().await.unwrap(), "+ ");
    let token = access_token(&sandbox, ME).await;
    client.send(format!("{}\r\n", xoauth2(ME, &token))).await;
    assert!(client.line().await.unwrap().starts_with("* CAPABILITY"));
    assert!(client.line().await.unwrap().starts_with("2 OK"));
    let stats = get(&sandbox, "/api/stats").await.json();
    assert_eq!((&stats["imap_logins_ok"], &stats["imap_logins_refused"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn what_is_not_known_or_not_now_is_bad() {
    let sandbox = sandbox().await;
    let mut client = greeted(&sandbox).await;
    let offers = ask(&mut client, "1 CAPABILITY").await;
    assert_eq!(offers[0], "* CAPABILITY IMAP4rev1 SPECIAL-USE ID UIDPLUS X-GM-EXT-1 SASL-IR AUTH=XOAUTH2");
    let refused = async |client: &mut Client, line: &str| {
        assert!(ask(client, line).await.last().unwrap().starts_with("1 BAD"), "{line}");
    };
    for early in ["1 LIST \"\" *", "1 EXAMINE INBOX", "1 SEARCH ALL", "1 LOGIN me secret", "1 AUTHENTICATE PLAIN x"] {
        refused(&mut client, early).await;
    }
    let mut client = logged_in(&sandbox).await;
    let list = ask(&mut client, "1 LIST \"\" \"*\"").await;
    assert!(list.contains(&"* LIST (\\HasNoChildren \\Sent) \"/\" \"[Gmail]/Sent Mail\"".to_owned()), "{list:?}");
    assert_eq!(ask(&mut client, "1 SELECT Nowhere").await, ["1 NO [NONEXISTENT] Unknown Mailbox: Nowhere (Failure)"]);
    assert!(ask(&mut client, "1 SELECT INBOX").await.last().unwrap().starts_with("1 OK [READ-WRITE]"));
    for unknown in
        ["1 SEARCH ALL", "1 UID SEARCH X-GM-RAW from:me", "1 UID FETCH 1 FLAGS", "1 DELETE INBOX", "1 NOOP x"]
    {
        refused(&mut client, unknown).await;
    }
    sandbox.set_config(&ConfigChange { gmail_search: Some(false), ..ConfigChange::default() });
    refused(&mut client, "1 UID SEARCH X-GM-RAW rfc822msgid:1@x").await;
    assert!(!ask(&mut client, "1 CAPABILITY").await[0].contains("X-GM-EXT-1"));
}

#[tokio::test]
async fn it_fails_on_command() {
    let sandbox = sandbox().await;
    let add = async |body: &str| assert_eq!(post_json(&sandbox, "/api/faults", body).await.status, 201, "{body}");
    add(r#"{"stage":"imap_connect","times":1,"action":"cut"}"#).await;
    assert!(Client::dial_imap(&sandbox).await.is_err());
    add(r#"{"stage":"imap_login","times":1,"account":"me@example.com","action":{"no":"[UNAVAILABLE] later"}}"#).await;
    let token = access_token(&sandbox, ME).await;
    let mut client = greeted(&sandbox).await;
    assert_eq!(
        ask(&mut client, &format!("1 AUTHENTICATE XOAUTH2 {}", xoauth2(ME, &token))).await,
        ["1 NO [UNAVAILABLE] later"]
    );
    add(r#"{"stage":"imap_search","per_mail_times":1,"action":{"no":"[SERVERBUG] oops"}}"#).await;
    let mut client = in_sent(&sandbox).await;
    for (id, expected) in [("1@x", "3 NO [SERVERBUG] oops"), ("2@x", "3 NO [SERVERBUG] oops"), ("1@x", "* SEARCH")] {
        assert_eq!(ask(&mut client, &format!("3 UID SEARCH X-GM-RAW rfc822msgid:{id}")).await[0], expected);
    }
    sandbox.add_fault(Fault::new(Stage::ImapSearch, Action::Cut).times(1)).unwrap();
    client.send("4 UID SEARCH X-GM-RAW rfc822msgid:1@x\r\n").await;
    assert_eq!(client.line().await, Err(End::Broken));
    sandbox.add_fault(Fault::new(Stage::ImapSearch, Action::Silence)).unwrap();
    let mut client = in_sent(&sandbox).await;
    client.send("4 UID SEARCH X-GM-RAW rfc822msgid:1@x\r\n").await;
    assert!(client.is_silent_for(Duration::from_millis(200)).await);
    assert_eq!(sandbox.stats().imap_searches, 1);
}
