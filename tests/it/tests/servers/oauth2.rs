//! A token endpoint and a mail server that others wrote: npm's oauth2-mock-server and smtp-server. Nothing is the sandbox's.

use postroom_it::{PATIENCE, Rig, mail_json};
use serde_json::{Value, json};

use crate::{ALICE, Server, write_certificates};

/// Whether it is a JWT signed with RS256 whose payload names a scope.
fn is_signed_jwt(token: &Value) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let parts: Vec<_> = token.as_str().unwrap().split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let [header, payload] = [0, 1].map(|at| serde_json::from_slice::<Value>(&parts[at]).unwrap());
    parts.len() == 3 && header["alg"] == "RS256" && payload["scope"].is_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_npm_oauth2_mock_server_open_npm_smtp_server() {
    let rig = Rig::start().await.unwrap();
    write_certificates(rig.folder());
    let token_file = rig.folder().join("token");
    let mut endpoint = Server::start("oauth2-mock-server.mjs", std::slice::from_ref(&token_file)).await;
    let mut smtp = Server::smtp(rig.folder()).await;
    let smtp_url = format!("smtps://smtp.gmail.com:465?connect=127.0.0.1:{}", smtp.port);
    let token_url = format!("http://127.0.0.1:{}/token", endpoint.port);
    let roots = rig.folder().join("other-ca.pem");
    let settings = [
        ("POSTROOM_SMTP_URL", smtp_url.as_str()),
        ("POSTROOM_TOKEN_URL", token_url.as_str()),
        ("POSTROOM_TLS_CA_FILE", roots.to_str().unwrap()),
        ("POSTROOM_REFRESH_TOKEN", "the-first-refresh-token"),
    ];
    let environment = rig.with(&settings);
    let postroom = async |arguments: &[&str], input: String| {
        let done = postroom_it::run("postroom", arguments, &environment, input.as_bytes()).await.unwrap();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout
    };
    postroom(&["account", "add", ALICE], String::new()).await;
    let mail = |subject: &str| mail_json(ALICE, "bob@example.org", subject).to_string();
    postroom(&["send", "-"], mail("one")).await;
    let mut worker = rig.worker(&settings).unwrap();
    let first = endpoint.next("token").await;
    assert_eq!((&first["grant"], &first["given"]), (&json!("refresh_token"), &json!("the-first-refresh-token")));
    assert!(is_signed_jwt(&first["access"]), "{first}");
    assert_eq!(smtp.next("login").await, json!({ "user": ALICE, "accepted": true }), "{}", worker.log());
    assert_eq!(smtp.next("mail").await["to"], json!(["bob@example.org"]));
    assert!(worker.stop().await.unwrap().success());

    // Another worker finds the token in Redis; the server takes it no more. The next one is had with the refresh token that
    // came with the first.
    std::fs::write(&token_file, "revoked").unwrap();
    postroom(&["send", "-"], mail("two")).await;
    let worker = rig.worker(&settings).unwrap();
    assert_eq!(smtp.next("login").await["accepted"], json!(false), "{}", worker.log());
    let second = endpoint.next("token").await;
    assert_eq!(second["given"], first["next"]);
    assert_ne!(second["access"], first["access"]);
    assert_eq!(smtp.next("login").await["accepted"], json!(true), "{}", worker.log());
    smtp.next("mail").await;
    let shown = postroom_it::until("both mails to be told as sent", PATIENCE, || async {
        let shown = postroom(&["account", "show", ALICE, "--json"], String::new()).await;
        let shown: Value = serde_json::from_str(&shown)?;
        Ok((shown["budget"]["messages"]["used"] == 2).then_some(shown))
    })
    .await
    .unwrap();
    let refreshes = &shown["tokens"]["refreshes"];
    assert_eq!(refreshes, &json!({ "none": 1, "ageing": 0, "ending": 0, "forced": 1 }));
    assert_eq!(rig.sandbox.stats().token_requests, 0);
}
