//! One refresh for the whole fleet: who asks, who waits, whose token stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postroom_shared::clock::Millis;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::stage::{Answer, account, figures, process, stage, text};

#[tokio::test(flavor = "multi_thread")]
async fn twenty_tasks_in_four_processes_ask_once() {
    let (redis, endpoint, _) = stage(Answer::Token(3_600)).await;
    let barrier = Arc::new(Barrier::new(20));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let (tokens, barrier) = (tokens.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                text(&tokens.access(&account("alice")).await.unwrap())
            });
        }
    }
    assert!(tasks.join_all().await.iter().all(|token| token == "access-1"));
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_several_lifetimes_there_is_one_refresh_each() {
    const LIFE: Duration = Duration::from_secs(2);
    let (redis, endpoint, _) = stage(Answer::Token(LIFE.as_secs())).await;
    let end = Instant::now() + LIFE * 3;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let tokens = tokens.clone();
            tasks.spawn(async move {
                while Instant::now() < end {
                    let asked = Millis::now();
                    let token = tokens.access(&account("alice")).await.unwrap();
                    assert!(token.expires() > asked);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
    }
    tasks.join_all().await;
    let asked = endpoint.asked.lock().unwrap().clone();
    assert!((3..=4).contains(&asked.len()), "{}", asked.len());
    // A token is fresh for all of its life but a twentieth, counted from just before it was asked for.
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] > LIFE * 9 / 10), "{asked:?}");
}

#[tokio::test]
async fn when_the_lock_holder_died_another_takes_over() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let store = redis.store().await;
    let key = store.keys_of(&account("alice")).token_lock(&account("alice"));
    let mut set = redis::cmd("SET");
    set.arg(key).arg("somebody who died").arg("PX").arg(600);
    set.query_async::<()>(&mut store.connection()).await.unwrap();
    let begun = Instant::now();
    assert_eq!(text(&tokens.access(&account("alice")).await.unwrap()), "access-1");
    assert!(begun.elapsed() > Duration::from_millis(500));
    assert_eq!((endpoint.count(), figures(&tokens, "alice").waits), (1, 1));
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_no_lock_behind() {
    let gate = Arc::new(Semaphore::new(0));
    let (_redis, endpoint, tokens) = stage(Answer::Held(gate.clone(), Box::new(Answer::Token(3_600)))).await;
    let alice = account("alice");
    tokio::select! {
        _ = tokens.access(&alice) => panic!("the endpoint holds its answer"),
        () = endpoint.arrival() => {}
    }
    gate.add_permits(1);
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), "access-1");
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn a_late_writer_does_not_replace_a_newer_token() {
    let gate = Arc::new(Semaphore::new(0));
    let (redis, endpoint, slow) = stage(Answer::Held(gate.clone(), Box::new(Answer::Token(3_600)))).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let late = tokio::spawn({
        let (slow, alice) = (slow.clone(), alice.clone());
        async move { slow.access(&alice).await }
    });
    endpoint.arrival().await;
    // As if the lock had run out.
    let mut del = redis::cmd("DEL");
    del.arg(store.keys_of(&alice).token_lock(&alice));
    del.query_async::<()>(&mut store.connection()).await.unwrap();
    endpoint.answers(Answer::Token(3_600));
    assert_eq!(text(&process(&redis, &endpoint).await.access(&alice).await.unwrap()), "access-2");
    gate.add_permits(1);
    assert_eq!(text(&late.await.unwrap().unwrap()), "access-1");
    assert_eq!(figures(&slow, "alice").lock_losses, 1);
    assert_eq!(text(&process(&redis, &endpoint).await.access(&alice).await.unwrap()), "access-2");
}

#[tokio::test]
async fn without_redis_a_token_in_memory_goes_on() {
    let (mut redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let (alice, stranger) = (account("alice"), process(&redis, &endpoint).await);
    let token = tokens.access(&alice).await.unwrap();
    redis.kill();
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), text(&token));
    let error = stranger.access(&alice).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(tokens.after_refusal(&alice, &token).await.unwrap_err().is_passing());
    assert_eq!(endpoint.count(), 1);
}
