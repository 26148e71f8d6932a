//! The token endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_sandbox::{Action, ConfigChange, Fault, Stage};

use crate::client::{Client, ME, access_token, ask_token, get, post_form, sandbox};

#[tokio::test]
async fn a_refresh_token_is_answered_in_googles_shape() {
    let sandbox = sandbox().await;
    let answer = ask_token(&sandbox, ME).await.json();
    assert_eq!(answer["expires_in"], 3599);
    assert_eq!(answer["scope"], "https://mail.google.com/");
    assert_eq!(answer["token_type"], "Bearer");
    let token = answer["access_token"].as_str().unwrap();
    assert!(token.starts_with("sandbox-access.") && (180..240).contains(&token.len()), "{token}");
    assert_ne!(token, access_token(&sandbox, ME).await);

    sandbox.set_config(&ConfigChange { token_life_ms: Some(4200), ..ConfigChange::default() });
    assert_eq!(ask_token(&sandbox, ME).await.json()["expires_in"], 5);
    access_token(&sandbox, "other@example.com").await;
    let stats = sandbox.stats();
    assert_eq!((stats.token_requests, stats.tokens_issued), (4, 4));
    assert_eq!((stats.account(ME).token_requests, stats.account(ME).tokens_issued), (3, 3));
}

#[tokio::test]
async fn a_server_may_ask_whose_a_token_is() {
    let sandbox = sandbox().await;
    let token = access_token(&sandbox, ME).await;
    let path = format!("/tokeninfo?access_token={token}");
    let info = get(&sandbox, &path).await.json();
    assert_eq!((info["email"].as_str(), info["scope"].as_str()), (Some(ME), Some("https://mail.google.com/")));
    assert!((3_500..3_600).contains(&info["expires_in"].as_u64().unwrap()), "{info}");
    sandbox.expire_tokens(Some(ME));
    let ended = get(&sandbox, &path).await;
    assert_eq!((ended.status, ended.json()["error"].as_str()), (400, Some("invalid_token")));
    assert_eq!(get(&sandbox, "/tokeninfo").await.status, 400);
}

#[tokio::test]
async fn the_client_may_use_basic_authentication() {
    let sandbox = sandbox().await;
    let body = "grant_type=refresh_token&refresh_token=sandbox-refresh:me@example.com";
    let basic = |pair: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(pair));
    assert_eq!(post_form(&sandbox, &basic("sandbox-client:sandbox-secret"), body).await.status, 200);
    assert_eq!(post_form(&sandbox, &basic("sandbox-client:wrong"), body).await.status, 401);
    assert_eq!(post_form(&sandbox, "", body).await.status, 401);
}

#[tokio::test]
async fn refusals_name_googles_errors() {
    let sandbox = sandbox().await;
    let form = |grant: &str, refresh: &str, secret: &str| {
        format!("grant_type={grant}&refresh_token={refresh}&client_id=sandbox-client&client_secret={secret}")
    };
    let cases = [
        (form("refresh_token", "sandbox-refresh:me@example.com", "wrong"), 401, "invalid_client"),
        (form("refresh_token", "something-else", "sandbox-secret"), 400, "invalid_grant"),
        (form("refresh_token", "sandbox-refresh:nobody", "sandbox-secret"), 400, "invalid_grant"),
        (form("password", "sandbox-refresh:me@example.com", "sandbox-secret"), 400, "unsupported_grant_type"),
    ];
    for (body, status, error) in cases {
        let answer = post_form(&sandbox, "", &body).await;
        assert_eq!((answer.status, answer.json()["error"].as_str().unwrap()), (status, error), "{body}");
    }
    assert_eq!((sandbox.stats().token_requests, sandbox.stats().tokens_issued), (4, 0));
}

#[tokio::test]
async fn a_revoked_account_gets_neither_token_nor_login() {
    let sandbox = sandbox().await;
    let old = access_token(&sandbox, ME).await;
    sandbox.revoke("Me@example.com");
    let answer = ask_token(&sandbox, ME).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#);
    assert!(Client::greeted(&sandbox).await.auth(ME, &old).await.starts_with("334 "));
    access_token(&sandbox, "other@example.com").await;
    sandbox.restore(ME);
    assert!(Client::greeted(&sandbox).await.auth(ME, &old).await.starts_with("334 "));
    Client::logged_in(&sandbox, ME).await;
}

#[tokio::test]
async fn a_short_token_expires_by_itself() {
    let sandbox = sandbox().await;
    sandbox.set_config(&ConfigChange { token_life_ms: Some(0), ..ConfigChange::default() });
    let token = access_token(&sandbox, ME).await;
    assert!(Client::greeted(&sandbox).await.auth(ME, &token).await.starts_with("334 "));
}

#[tokio::test]
async fn the_next_requests_can_be_scripted() {
    let sandbox = sandbox().await;
    let html = "<html>403. That's an error.</html>";
    sandbox.add_fault(Fault::new(Stage::Token, Action::http(403, html)).times(2).account(ME)).unwrap();
    access_token(&sandbox, "other@example.com").await;
    for _ in 0..2 {
        let answer = ask_token(&sandbox, ME).await;
        assert_eq!((answer.status, answer.text().as_str()), (403, html));
        assert!(answer.head.contains("content-type: text/html"), "{}", answer.head);
    }
    access_token(&sandbox, ME).await;
}
