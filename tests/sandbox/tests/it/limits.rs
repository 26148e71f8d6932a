//! Limits of mails and of connections, and the end of a session with its token.

use std::time::Duration;

use postroom_sandbox::{Config, ConfigChange, Sandbox};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Client, End, ME, access_token, mail_with_id};

#[tokio::test]
async fn after_its_mails_a_connection_expires() {
    let sandbox = Sandbox::start(Config { mails_per_connection: 2, ..Config::default() }).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    for id in ["1@x", "2@x"] {
        assert!(client.mail("a@x.example", &mail_with_id(id)).await[2].starts_with("250"));
    }
    let refusal = client.ask(&format!("MAIL FROM:<{ME}>")).await;
    assert_eq!(refusal, "421 4.7.0 Connection expired, try reconnecting. - gsmtp");
    assert_eq!(client.try_reply().await, Err(End::Closed));
    assert_eq!(sandbox.stats().account(ME).mails, 2);
}

#[tokio::test]
async fn one_connection_too_many_is_refused_at_auth_and_the_most_are_counted() {
    let sandbox = Sandbox::start(Config { connections_per_account: 2, ..Config::default() }).await.unwrap();
    let mut first = Client::logged_in(&sandbox, ME).await;
    let _second = Client::logged_in(&sandbox, ME).await;
    let _other = Client::logged_in(&sandbox, "other@example.com").await;
    let token = access_token(&sandbox, ME).await;
    let mut third = Client::greeted(&sandbox).await;
    assert_eq!(third.auth(ME, &token).await, "421 4.7.0 Try again later, closing connection. - gsmtp");
    assert_eq!(third.try_reply().await, Err(End::Closed));

    assert!(first.ask("QUIT").await.starts_with("221"));
    let _fourth = Client::logged_in(&sandbox, ME).await;
    let account = sandbox.stats().account(ME);
    assert_eq!((account.open_sessions, account.max_sessions, account.logins_over_limit), (2, 2, 1));

    sandbox.set_config(&ConfigChange { connections_per_account: Some(0), ..ConfigChange::default() });
    let _fifth = Client::logged_in(&sandbox, ME).await;
    assert_eq!(sandbox.stats().account(ME).max_sessions, 3);
}

#[tokio::test]
async fn a_session_outlives_its_token_unless_set_otherwise() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    sandbox.expire_tokens(None);
    assert!(client.mail("a@x.example", &mail_with_id("1@x")).await[2].starts_with("250"));
    sandbox.set_config(&ConfigChange { close_sessions_at_expiry: Some(true), ..ConfigChange::default() });
    assert!(client.ask(&format!("MAIL FROM:<{ME}>")).await.starts_with("421 4.7.0 Connection expired"));
}

#[tokio::test]
async fn an_idle_session_is_closed_when_its_token_expires() {
    let config = Config { token_life: Duration::from_secs(3), close_sessions_at_expiry: true, ..Config::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    assert!(client.reply().await.starts_with("421 4.7.0 Connection expired"));
    assert_eq!(client.try_reply().await, Err(End::Closed));
}

#[tokio::test]
async fn stop_drops_every_connection_and_frees_the_ports() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.mail("a@x.example", &mail_with_id("1@x")).await;
    let (smtp, http) = (sandbox.smtp_addr(), sandbox.http_addr());
    // An HTTP client that keeps its connection must not reach a stopped token endpoint either.
    let mut kept = TcpStream::connect(http).await.unwrap();
    kept.write_all(b"GET /api/config HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    sandbox.stop().await;
    let mut rest = Vec::new();
    let ended = kept.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the connection ends").unwrap();
    assert!(client.try_reply().await.is_err());
    assert_eq!(sandbox.mails().len(), 1);
    let again = Sandbox::start(Config { smtp, http, ..Config::default() }).await.unwrap();
    Client::logged_in(&again, ME).await;
}
