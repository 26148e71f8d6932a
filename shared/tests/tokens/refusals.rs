//! What follows a refused login, and a refusing token endpoint.

use std::time::Duration;

use postroom_shared::clock::Millis;
use postroom_shared::tokens::{AccessToken, AfterRefusal, TokenError, credentials};
use tokio::task::JoinSet;

use crate::stage::{Answer, KEY, account, credentials_of, figures, patiently, process, sealer, stage, text};

fn tried(after: Result<AfterRefusal, TokenError>) -> AccessToken {
    match after {
        Ok(AfterRefusal::Try(token)) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_forces_one_refresh_in_the_whole_fleet() {
    let (redis, endpoint, first) = stage(Answer::Token(3_600)).await;
    let alice = account("alice");
    let refused = first.access(&alice).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let (tokens, alice, refused) = (tokens.clone(), alice.clone(), refused.clone());
            tasks.spawn(async move { text(&tried(tokens.after_refusal(&alice, &refused).await)) });
        }
    }
    assert!(tasks.join_all().await.iter().all(|token| token == "access-2"));
    let second = tried(first.after_refusal(&alice, &refused).await);
    assert_eq!(text(&second), "access-2");
    assert_eq!(text(&first.access(&alice).await.unwrap()), "access-2");
    for tokens in [first, process(&redis, &endpoint).await] {
        let after = tokens.after_refusal(&alice, &second).await.unwrap();
        assert!(matches!(after, AfterRefusal::FreshRefused), "{after:?}");
    }
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn a_forced_refresh_that_failed_does_not_condemn_the_account() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let alice = account("alice");
    let refused = tokens.access(&alice).await.unwrap();
    endpoint.answers(Answer::Refuse(503, "text/html", "<html>"));
    assert!(tokens.after_refusal(&alice, &refused).await.unwrap_err().is_passing());
    let asked = endpoint.count();
    let error = tokens.after_refusal(&alice, &refused).await.unwrap_err();
    assert!(matches!(error, TokenError::Passing { retry_after: Some(_), .. }), "{error}");
    assert_eq!(endpoint.count(), asked);
    // New credentials end the wait.
    credentials::save(&redis.store().await, &sealer(KEY), &alice, &credentials_of("alice")).await.unwrap();
    endpoint.answers(Answer::Token(3_600));
    assert_eq!(text(&tried(tokens.after_refusal(&alice, &refused).await)), format!("access-{}", asked + 1));
}

#[tokio::test]
async fn refusals_of_the_endpoint_are_told_apart() {
    let (_redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    endpoint.rule(|body| {
        if body.contains("refresh-alice") {
            let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
            Answer::Refuse(400, "application/json", body)
        } else {
            Answer::Refuse(401, "application/json", r#"{"error":"invalid_client"}"#)
        }
    });
    let error = tokens.access(&account("alice")).await.unwrap_err();
    assert!(matches!(&error, TokenError::Consent { error, .. } if error == "invalid_grant"), "{error}");
    assert!(error.to_string().contains("expired or revoked"), "{error}");
    let error = tokens.access(&account("bob")).await.unwrap_err();
    assert!(matches!(&error, TokenError::Client { error, .. } if error == "invalid_client"), "{error}");
    assert_eq!(tokens.access(&account("nobody")).await.unwrap_err(), TokenError::NoCredentials);
    assert_eq!(endpoint.count(), 2);
    let failed = ["alice", "bob", "nobody"].map(|name| {
        let failures = figures(&tokens, name).failures;
        failures
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(why, count)| (why.as_str(), count))
            .collect::<Vec<_>>()
    });
    assert_eq!(failed, [[("consent", 1)], [("client", 1)], [("no_credentials", 1)]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_endpoint_fails_the_old_token_is_used_to_its_end() {
    let (_redis, endpoint, tokens) = stage(Answer::Token(2)).await;
    let names = ["alice", "bob", "carol", "dave"];
    let mut olds = Vec::new();
    for name in names {
        olds.push(tokens.access(&account(name)).await.unwrap());
    }
    endpoint.rule(|body| match () {
        () if body.contains("refresh-alice") => Answer::Refuse(403, "text/html", "<title>403 (Forbidden)</title>"),
        () if body.contains("refresh-bob") => Answer::Refuse(429, "application/json", "{}"),
        () if body.contains("refresh-carol") => Answer::Refuse(500, "text/html", ""),
        () => Answer::Refuse(200, "application/json", r#"{"access_token":"#),
    });
    let mut tasks = JoinSet::new();
    for (name, old) in names.into_iter().zip(olds) {
        let tokens = tokens.clone();
        tasks.spawn(async move {
            let error = loop {
                match tokens.access(&account(name)).await {
                    Ok(token) => assert_eq!(text(&token), text(&old)),
                    Err(error) => break error,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert!(Millis::now() >= old.expires());
            error
        });
    }
    let errors = tasks.join_all().await;
    assert!(errors.iter().all(TokenError::is_passing), "{errors:?}");
    assert!(errors.iter().all(|error| !error.to_string().contains("access_token")), "{errors:?}");
    endpoint.answers(Answer::Token(3_600));
    for name in names {
        patiently(&tokens, name).await;
    }
}
