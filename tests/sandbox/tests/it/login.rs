//! Greeting, EHLO and AUTH XOAUTH2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_sandbox::{Config, Sandbox};

use crate::client::{Client, End, ME, access_token, sandbox, xoauth2};

#[tokio::test]
async fn ehlo_lists_what_gmail_lists() {
    let sandbox = sandbox().await;
    let mut client = Client::dial(&sandbox).await.unwrap();
    assert_eq!(client.reply().await, "220 smtp.gmail.com ESMTP sandbox - gsmtp");
    let lines = client.ask("EHLO client.example").await;
    assert_eq!(
        lines.lines().skip(1).map(|line| &line[4..]).collect::<Vec<_>>(),
        [
            "SIZE 35882577",
            "8BITMIME",
            "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
            "ENHANCEDSTATUSCODES",
            "PIPELINING",
            "CHUNKING",
            "SMTPUTF8"
        ]
    );
}

#[tokio::test]
async fn capabilities_can_be_dropped() {
    let config = Config { chunking: false, pipelining: false, ..Config::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut client = Client::dial(&sandbox).await.unwrap();
    client.reply().await;
    let lines = client.ask("EHLO client.example").await;
    assert!(!lines.contains("CHUNKING") && !lines.contains("PIPELINING"), "{lines}");
}

#[tokio::test]
async fn a_token_of_the_endpoint_logs_in() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, "Me@Example.com").await;
    assert!(client.ask("AUTH XOAUTH2 abcd").await.starts_with("503 5.5.1"));
    let stats = sandbox.stats();
    assert_eq!((stats.logins_ok, stats.logins_refused), (1, 0));
    assert_eq!(stats.account(ME).open_sessions, 1);
    assert!(client.ask("QUIT").await.starts_with("221 2.0.0"));
    assert_eq!(client.try_reply().await, Err(End::Closed));
    assert_eq!(sandbox.stats().account(ME).open_sessions, 0);
}

#[tokio::test]
async fn the_response_may_come_on_a_line_of_its_own() {
    let sandbox = sandbox().await;
    let token = access_token(&sandbox, ME).await;
    let mut client = Client::greeted(&sandbox).await;
    assert_eq!(client.ask("AUTH XOAUTH2").await, "334 ");
    assert_eq!(client.ask(&xoauth2(ME, &token)).await, "235 2.7.0 Accepted");
}

async fn assert_refused(sandbox: &Sandbox, account: &str, token: &str) {
    let mut client = Client::greeted(sandbox).await;
    let challenge = client.auth(account, token).await;
    let json = STANDARD.decode(challenge.strip_prefix("334 ").expect("a 334")).unwrap();
    assert_eq!(json, br#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#);
    let refusal = client.ask("").await;
    let lines: Vec<&str> = refusal.lines().collect();
    assert!(lines[0].starts_with("535-5.7.8 Username and Password not accepted"), "{refusal}");
    assert!(lines[1].starts_with("535 5.7.8 ") && lines[1].ends_with(" - gsmtp"), "{refusal}");
    // The connection lives on, and still is not logged in.
    assert!(client.ask(&format!("MAIL FROM:<{ME}>")).await.starts_with("530-5.7.0"));
}

#[tokio::test]
async fn a_refused_token_gets_334_and_after_the_empty_line_535() {
    let sandbox = sandbox().await;
    assert_refused(&sandbox, ME, "made-up").await;
    let of_another = access_token(&sandbox, "other@example.com").await;
    assert_refused(&sandbox, ME, &of_another).await;
    let expired = access_token(&sandbox, ME).await;
    sandbox.expire_tokens(Some(ME));
    assert_refused(&sandbox, ME, &expired).await;
    let stats = sandbox.stats();
    assert_eq!((stats.logins_ok, stats.logins_refused, stats.refused[&535]), (0, 3, 3));
    assert_eq!(stats.account(ME).logins_refused, 3);
}

#[tokio::test]
async fn a_command_in_place_of_the_empty_line_gets_the_535() {
    let sandbox = sandbox().await;
    let mut client = Client::greeted(&sandbox).await;
    assert!(client.auth(ME, "made-up").await.starts_with("334 "));
    assert!(client.ask("RSET").await.starts_with("535-5.7.8"));
}

#[tokio::test]
async fn an_auth_line_may_have_12288_bytes_and_no_more() {
    let sandbox = sandbox().await;
    let mut client = Client::greeted(&sandbox).await;
    // "AUTH XOAUTH2 " and CRLF take 15 of them.
    let longest = "A".repeat(12_288 - 15);
    assert!(client.ask(&format!("AUTH XOAUTH2 {longest}")).await.starts_with("501 5.5.2"));
    assert!(client.ask(&format!("AUTH XOAUTH2 {longest}A")).await.starts_with("500 5.5.2"));
    assert!(client.ask(&format!("NOOP {}", "x".repeat(2048))).await.starts_with("500 5.5.2"));
    assert!(client.ask("NOOP").await.starts_with("250"));
}

#[tokio::test]
async fn errors_have_gmails_codes() {
    let sandbox = sandbox().await;
    let mut client = Client::dial(&sandbox).await.unwrap();
    client.reply().await;
    assert!(client.ask("MAIL FROM:<a@b.example>").await.starts_with("503 5.5.1 EHLO/HELO first"));
    assert!(client.ask("EHLO client.example").await.starts_with("250-"));
    let refusal = client.ask("MAIL FROM:<a@b.example>").await;
    assert!(refusal.starts_with("530-5.7.0 Authentication Required"), "{refusal}");
    assert!(client.ask("AUTH LOGIN").await.starts_with("504 5.7.4"));
    assert!(client.ask("AUTH XOAUTH2 !!!").await.starts_with("501 5.5.2"));
    assert!(client.ask("WHAT").await.starts_with("502 5.5.1"));
    assert!(client.ask("DATA").await.starts_with("503 5.5.1 MAIL first"));
    client.send("NOOP\n").await;
    assert!(client.reply().await.starts_with("451 4.5.0"));
    assert_eq!(client.try_reply().await, Err(End::Closed));
}
