//! The consent page, and the codes that it gives.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postroom_sandbox::Sandbox;
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::client::{Answer, Client, ME, ask_token, get, http, post_form, sandbox};

const APP: &str = "http://127.0.0.1:4711";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-ok";

fn asked() -> Vec<(&'static str, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    [
        ("client_id", "sandbox-client"),
        ("redirect_uri", APP),
        ("response_type", "code"),
        ("scope", "https://mail.google.com/"),
        ("state", "the state&+"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("login_hint", ME),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

fn encoded(pairs: &[(&str, String)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn decide(sandbox: &Sandbox, mut form: Vec<(&'static str, String)>, choice: &[(&'static str, &str)]) -> Answer {
    form.extend(choice.iter().map(|(name, value)| (*name, (*value).to_owned())));
    http(sandbox, "POST", "/o/oauth2/v2/auth", "Content-Type: application/x-www-form-urlencoded\r\n", &encoded(&form))
        .await
}

/// Where the browser is sent, and with what.
fn returned(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.location.as_deref().unwrap();
    let url = Url::parse(location).unwrap();
    assert_eq!(url.origin().ascii_serialization(), APP);
    url.query_pairs().into_owned().collect()
}

async fn code(sandbox: &Sandbox, form: Vec<(&'static str, String)>, account: &str) -> String {
    let choice = [("account", account), ("mail", "1"), ("decision", "allow")];
    returned(&decide(sandbox, form, &choice).await)["code"].clone()
}

async fn exchange(sandbox: &Sandbox, code: &str, redirect: &str, verifier: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect),
        ("code_verifier", verifier),
        ("client_id", "sandbox-client"),
        ("client_secret", "sandbox-secret"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    post_form(sandbox, "", &encoded(&form)).await
}

async fn refresh(sandbox: &Sandbox, token: &str) -> Answer {
    let form =
        format!("grant_type=refresh_token&refresh_token={token}&client_id=sandbox-client&client_secret=sandbox-secret");
    post_form(sandbox, "", &form).await
}

#[tokio::test]
async fn a_consent_becomes_tokens_of_the_chosen_account() {
    let sandbox = sandbox().await;
    let page = get(&sandbox, &format!("/o/oauth2/v2/auth?{}", encoded(&asked()))).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("value=\"me@example.com\" checked"), "{}", page.text());
    assert!(page.head.contains("form-action 'self' http://127.0.0.1:4711;"), "{}", page.head);

    let allowed = decide(
        &sandbox,
        asked(),
        &[("account", ME), ("other", "You@example.com"), ("mail", "1"), ("decision", "allow")],
    )
    .await;
    let back = returned(&allowed);
    assert_eq!((back["state"].as_str(), back["scope"].as_str()), ("the state&+", "https://mail.google.com/"));
    let answer = exchange(&sandbox, &back["code"], APP, VERIFIER).await.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&"Bearer".into(), &3599.into()));
    let access = answer["access_token"].as_str().unwrap();
    let mut client = Client::greeted(&sandbox).await;
    assert!(client.auth(ME, access).await.starts_with("334 "), "another mailbox");
    client.ask("").await;
    assert!(Client::greeted(&sandbox).await.auth("you@example.com", access).await.starts_with("235 "));

    let token = answer["refresh_token"].as_str().unwrap();
    let renewed = refresh(&sandbox, token).await.json();
    assert_eq!((&renewed["scope"], &renewed["refresh_token"]), (&"https://mail.google.com/".into(), &().into()));
    sandbox.revoke("you@example.com");
    sandbox.restore("you@example.com");
    assert_eq!(refresh(&sandbox, token).await.status, 400, "what a consent gave is gone with it");
}

#[tokio::test]
async fn a_code_is_good_once_and_only_for_who_asked() {
    let sandbox = sandbox().await;
    for (redirect, verifier, error) in [
        (APP, "another-verifier-that-is-long-enough-as-well", "invalid_grant"),
        (APP, "", "invalid_grant"),
        ("http://127.0.0.1:4712", VERIFIER, "redirect_uri_mismatch"),
    ] {
        let code = code(&sandbox, asked(), ME).await;
        let refused = exchange(&sandbox, &code, redirect, verifier).await;
        assert_eq!((refused.status, refused.json()["error"].as_str()), (400, Some(error)), "{redirect} {verifier}");
        assert_eq!(exchange(&sandbox, &code, APP, VERIFIER).await.status, 400, "used up");
    }
    let code = code(&sandbox, asked(), ME).await;
    assert_eq!(exchange(&sandbox, &code, APP, VERIFIER).await.status, 200);
    assert_eq!(exchange(&sandbox, &code, APP, VERIFIER).await.json()["error"], "invalid_grant");
    assert_eq!(exchange(&sandbox, "", APP, VERIFIER).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_person_may_say_no_leave_mail_out_or_forget_to_choose() {
    let sandbox = sandbox().await;
    let denied = returned(&decide(&sandbox, asked(), &[("account", ME), ("mail", "1"), ("decision", "deny")]).await);
    assert_eq!(
        denied,
        [("error", "access_denied"), ("state", "the state&+")].map(|(n, v)| (n.into(), v.into())).into()
    );

    let unticked = returned(&decide(&sandbox, asked(), &[("account", ME), ("decision", "allow")]).await);
    let answer = exchange(&sandbox, &unticked["code"], APP, VERIFIER).await.json();
    assert_eq!((unticked["scope"].as_str(), &answer["scope"]), ("openid", &"openid".into()));
    let access = answer["access_token"].as_str().unwrap();
    assert!(Client::greeted(&sandbox).await.auth(ME, access).await.starts_with("334 "));
    assert_eq!(refresh(&sandbox, answer["refresh_token"].as_str().unwrap()).await.json()["scope"], "openid");

    let nobody = decide(&sandbox, asked(), &[("account", ""), ("other", "<nobody>"), ("decision", "allow")]).await;
    assert_eq!(nobody.status, 200);
    assert!(nobody.text().contains("Choose an account, or type its address."), "{}", nobody.text());
}

#[tokio::test]
async fn consenting_again_gives_back_what_was_revoked() {
    let sandbox = sandbox().await;
    sandbox.revoke(ME);
    let code = code(&sandbox, asked(), ME).await;
    assert_eq!(exchange(&sandbox, &code, APP, VERIFIER).await.status, 200);
    assert_eq!(ask_token(&sandbox, ME).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_is_for_offline_access_and_for_forced_pages() {
    let sandbox = sandbox().await;
    let given = async |access_type: &str, prompt: &str| {
        let mut form = asked();
        form.retain(|(name, _)| !["access_type", "prompt"].contains(name));
        form.extend([("access_type", access_type.to_owned()), ("prompt", prompt.to_owned())]);
        let code = code(&sandbox, form, ME).await;
        exchange(&sandbox, &code, APP, VERIFIER).await.json().get("refresh_token").is_some()
    };
    assert!(!given("online", "consent").await);
    assert!(given("offline", "").await);
    assert!(!given("offline", "").await, "it has one already");
    assert!(given("offline", "select_account consent").await);
}

#[tokio::test]
async fn a_wrong_request_is_refused_on_the_page_and_the_app_hears_nothing() {
    let sandbox = sandbox().await;
    for (name, value, status, error) in [
        ("client_id", "another", 401, "invalid_client"),
        ("redirect_uri", "http://192.0.2.1:4711", 400, "redirect_uri_mismatch"),
        ("redirect_uri", "https://127.0.0.1:4711", 400, "redirect_uri_mismatch"),
        ("response_type", "token", 400, "invalid_request"),
        ("scope", "https://www.googleapis.com/auth/gmail.send", 400, "invalid_scope"),
        ("code_challenge_method", "plain", 400, "invalid_request"),
        ("code_challenge", "", 400, "invalid_request"),
    ] {
        let mut form = asked();
        form.retain(|(other, _)| *other != name);
        form.push((name, value.to_owned()));
        for answer in [
            get(&sandbox, &format!("/o/oauth2/v2/auth?{}", encoded(&form))).await,
            decide(&sandbox, form, &[("account", ME), ("mail", "1"), ("decision", "allow")]).await,
        ] {
            assert_eq!(answer.status, status, "{name}={value}");
            assert!(answer.text().contains(&format!("Error {status}: {error}")), "{}", answer.text());
            assert!(answer.location.is_none());
        }
    }
}
