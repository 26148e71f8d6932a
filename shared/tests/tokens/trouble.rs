//! A token endpoint that is slow, refuses or talks nonsense, a client that is wrong, a Redis that is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom_shared::account::client_hash;
use postroom_shared::clock::Millis;
use postroom_shared::tokens::{Credentials, RefreshFailure, RefreshReason, TokenError, credentials};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::stage::{
    Answer, KEY, account, credentials_of, figures, fleet_figures, patiently, process, sealer, stage, text,
};

/// The wait for a token, and room for a busy machine.
const BOUND: Duration = Duration::from_secs(13);

fn passing(error: TokenError) -> Option<Duration> {
    let TokenError::Passing { retry_after, .. } = error else { panic!("{error}") };
    retry_after
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_slow_endpoint_nobody_waits_longer_than_ten_seconds() {
    let (redis, endpoint, first) = stage(Answer::Token(3_600)).await;
    let old = first.access(&account("bob")).await.unwrap();
    // It takes a connection and never answers; the time limit of a request is 10 s.
    endpoint.answers(Answer::Held(Arc::new(Semaphore::new(0)), Box::new(Answer::Token(3_600))));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..3 {
            let tokens = tokens.clone();
            tasks.spawn(async move {
                let begun = Instant::now();
                passing(tokens.access(&account("alice")).await.unwrap_err());
                begun.elapsed()
            });
        }
    }
    // An account whose token lives knows nothing of it.
    let begun = Instant::now();
    assert_eq!(text(&first.access(&account("bob")).await.unwrap()), text(&old));
    assert!(begun.elapsed() < Duration::from_secs(2));
    let waited = tasks.join_all().await;
    assert!(waited.iter().all(|waited| *waited < BOUND), "{waited:?}");
    assert!(waited.iter().any(|waited| *waited > Duration::from_secs(5)), "{waited:?}");
    endpoint.answers(Answer::Token(3_600));
    patiently(&first, "alice").await;
    // The request that ran out of time is not repeated inside the lock.
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_refresh_behind_a_slow_endpoint_is_not_waited_for_longer_either() {
    let (_redis, endpoint, tokens) = stage(Answer::Token(600)).await;
    let alice = account("alice");
    let old = tokens.access(&alice).await.unwrap();
    endpoint.answers(Answer::Held(Arc::new(Semaphore::new(0)), Box::new(Answer::Token(600))));
    let begun = Instant::now();
    let after = tokens.after_refusal(&alice, &old).await;
    assert!(after.unwrap_err().is_passing());
    assert!(begun.elapsed() < BOUND);
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), text(&old));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_endpoint_says_wrong_is_tried_thrice_and_then_the_account_rests() {
    let token = r#"{"access_token":"","expires_in":3600,"token_type":"Bearer"}"#;
    let ended = r#"{"access_token":"x","expires_in":0,"token_type":"Bearer"}"#;
    for answer in [
        Answer::Refuse(403, "text/html", "<title>Error 403 (Forbidden)!!1</title>"),
        Answer::Refuse(500, "text/html", ""),
        Answer::Refuse(429, "application/json", "{}"),
        Answer::Refuse(200, "application/json", "garbage"),
        Answer::Refuse(200, "text/html", "<html>"),
        Answer::Refuse(200, "application/json", token),
        Answer::Refuse(200, "application/json", ended),
        Answer::Refuse(302, "text/html", ""),
        Answer::Truncated,
    ] {
        let (redis, endpoint, tokens) = stage(answer).await;
        let error = tokens.access(&account("alice")).await.unwrap_err();
        assert!(error.is_passing() && !error.to_string().contains("access_token"), "{error}");
        assert_eq!(endpoint.count(), 3, "{error}");
        // Whoever asks next, in whatever process, is told at once and asks nobody.
        let begun = Instant::now();
        for tokens in [tokens, process(&redis, &endpoint).await] {
            let rest = passing(tokens.access(&account("alice")).await.unwrap_err()).unwrap();
            assert!(rest <= Duration::from_secs(3), "{rest:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(endpoint.count(), 3);
        let told = fleet_figures(&redis, "alice").await;
        assert_eq!((told.figures.failures[&RefreshFailure::Unavailable], told.failed_in_a_row), (1, 1));
        assert!(told.rests_s > 0 && told.failed_with.unwrap().contains("the token endpoint"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_heeded_by_the_whole_fleet_in_both_forms() {
    let in_two_minutes = http_date(Millis::now().after(Duration::from_secs(120)));
    for (status, hint, least, most) in
        [(429, "120".to_owned(), 115, 151), (503, in_two_minutes, 110, 151), (429, "86400".to_owned(), 595, 751)]
    {
        let (redis, endpoint, tokens) = stage(Answer::ComeAgain(status, hint)).await;
        passing(tokens.access(&account("alice")).await.unwrap_err());
        let other = process(&redis, &endpoint).await;
        let rest = passing(other.access(&account("alice")).await.unwrap_err()).unwrap();
        assert!((least..=most).contains(&rest.as_secs()), "{rest:?}");
        // One request: it was told when to come again.
        assert_eq!(endpoint.count(), 1);
    }
    let (_redis, endpoint, tokens) = stage(Answer::ComeAgain(429, "3".to_owned())).await;
    let begun = Instant::now();
    passing(tokens.access(&account("alice")).await.unwrap_err());
    endpoint.answers(Answer::Token(3_600));
    patiently(&tokens, "alice").await;
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(endpoint.count(), 2);
}

/// As HTTP writes a date.
fn http_date(at: Millis) -> String {
    let text = at.to_string();
    let (date, time) = (text.get(..10).unwrap(), text.get(11..19).unwrap());
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let month: usize = date[5..7].parse().unwrap();
    let day = days[usize::try_from(at.0 / 86_400_000 % 7).unwrap()];
    format!("{day}, {} {} {} {time} GMT", &date[8..10], months[month - 1], &date[..4])
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_finds_out_for_all_accounts_that_their_client_is_wrong() {
    let (redis, endpoint, _) = stage(Answer::Refuse(401, "application/json", r#"{"error":"invalid_client"}"#)).await;
    let store = redis.store().await;
    let names: Vec<_> = (0..12).map(|number| format!("user{number}")).collect();
    for name in &names {
        credentials::save(&store, &sealer(KEY), &account(name), &credentials_of(name)).await.unwrap();
    }
    let barrier = Arc::new(Barrier::new(names.len()));
    let mut tasks = JoinSet::new();
    for name in names.clone() {
        let (tokens, barrier) = (process(&redis, &endpoint).await, barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            tokens.access(&account(&name)).await.unwrap_err()
        });
    }
    for error in tasks.join_all().await {
        assert!(matches!(&error, TokenError::Client { error, .. } if error == "invalid_client"), "{error}");
    }
    assert_eq!(endpoint.count(), 1);
    // A corrected secret is another client; and when a person says so, all are asked for again.
    endpoint.answers(Answer::Token(3_600));
    let mut corrected = credentials_of("user0");
    if let Credentials::Consent { client_secret, .. } = &mut corrected {
        *client_secret = "better".to_owned().into();
    }
    credentials::save(&store, &sealer(KEY), &account("user0"), &corrected).await.unwrap();
    let tokens = process(&redis, &endpoint).await;
    tokens.access(&account("user0")).await.unwrap();
    assert_eq!(endpoint.count(), 2);
    let known = store.keys(0).token_client(&client_hash("client"));
    redis::cmd("DEL").arg(known).query_async::<()>(&mut store.connection()).await.unwrap();
    tokens.access(&account("user1")).await.unwrap();
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_gone_is_asked_for_once_by_the_fleet() {
    let (redis, endpoint, tokens) =
        stage(Answer::Refuse(400, "application/json", r#"{"error":"invalid_grant"}"#)).await;
    for tokens in [tokens, process(&redis, &endpoint).await] {
        let error = tokens.access(&account("alice")).await.unwrap_err();
        assert!(matches!(&error, TokenError::Consent { error, .. } if error == "invalid_grant"), "{error}");
    }
    assert_eq!(endpoint.count(), 1);
    // Another account of the same client is another person's consent.
    endpoint.answers(Answer::Token(3_600));
    process(&redis, &endpoint).await.access(&account("bob")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_a_token_is_used_to_its_end_and_then_nobody_asks_without_the_lock() {
    let (mut redis, endpoint, first) = stage(Answer::Token(4)).await;
    let (alice, second) = (account("alice"), process(&redis, &endpoint).await);
    let token = first.access(&alice).await.unwrap();
    assert_eq!(text(&second.access(&alice).await.unwrap()), text(&token));
    redis.kill();
    for tokens in [&first, &second] {
        let error = loop {
            match tokens.access(&alice).await {
                Ok(again) => assert_eq!(text(&again), text(&token)),
                Err(error) => break error,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(error.is_passing() && Millis::now() >= token.expires(), "{error}");
    }
    assert_eq!(endpoint.count(), 1);
    redis.revive();
    let store = redis.store().await;
    credentials::save(&store, &sealer(KEY), &alice, &credentials_of("alice")).await.unwrap();
    let (one, other) = tokio::join!(patiently(&first, "alice"), patiently(&second, "alice"));
    assert_eq!((text(&one), text(&other)), ("access-2".to_owned(), "access-2".to_owned()));
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleets_figures_tell_why_tokens_were_fetched() {
    let (redis, endpoint, tokens) = stage(Answer::Token(10)).await;
    let alice = account("alice");
    assert_eq!(fleet_figures(&redis, "alice").await.since, None);
    let token = tokens.access(&alice).await.unwrap();
    for _ in 0..100 {
        tokens.access(&alice).await.unwrap();
    }
    // Ageing: half a second before its end, a third of a second before the hard margin.
    while token.age(&alice, Millis::now()) < postroom_shared::tokens::Age::Ageing {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), "access-1");
    let second = loop {
        let now = tokens.access(&alice).await.unwrap();
        if text(&now) == "access-2" {
            break now;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let other = process(&redis, &endpoint).await;
    other.after_refusal(&alice, &second).await.unwrap();
    let told = fleet_figures(&redis, "alice").await;
    let expected =
        [("none", 1), ("ageing", 1), ("ending", 0), ("forced", 1)].map(|(word, count)| (word.to_owned(), count));
    let refreshes: Vec<_> =
        told.figures.refreshes.iter().map(|(why, count)| (why.as_str().to_owned(), *count)).collect();
    assert_eq!(refreshes, expected);
    assert_eq!((told.figures.all_failures(), told.failed_in_a_row, told.figures.lock_losses), (0, 0, 0));
    assert!(told.refreshed >= told.since && told.token_ends > told.refreshed, "{told:?}");
    assert_eq!(figures(&tokens, "alice").refreshes[&RefreshReason::Ageing], 1);
    assert_eq!(figures(&other, "alice").refreshes[&RefreshReason::Forced], 1);
}
