//! An idle worker: what it asks of Redis, and how quickly it wakes.

use std::time::{Duration, Instant};

use postroom_it::{PATIENCE, Rig, mail_json, until};
use postroom_shared::queue::MailState;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";

/// Commands that Redis processed, those inside of scripts and our own question included.
async fn commands(rig: &Rig) -> u64 {
    rig.redis.commands().await.unwrap().values().sum()
}

#[tokio::test]
async fn an_idle_worker_sends_nothing_but_its_heartbeat() {
    let rig = Rig::start().await.unwrap();
    let worker = rig.worker(&[]).unwrap();
    let queue = rig.queue().await.unwrap();
    until("the worker to be there", PATIENCE, || async { Ok((queue.stats().await?.workers == 1).then_some(())) })
        .await
        .unwrap();
    drop(queue);
    // It is there before it has asked for mail the first time; it is idle when it was told that there is none.
    let idle = || rig.redis.ask::<u64>(&["SCARD", "pr:{0}:idle"]);
    until("the worker to be idle", PATIENCE, || async { Ok((idle().await? == 1).then_some(())) }).await.unwrap();
    let before = commands(&rig).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let sent = commands(&rig).await - before;
    println!("an idle worker: {sent} commands in 60 s, those inside of its scripts and our two questions included");
    assert!(sent < 60, "{sent} commands, {}", worker.log());
}

#[tokio::test]
async fn a_mail_that_comes_while_the_worker_is_idle_is_at_the_server_at_once() {
    let rig = Rig::start().await.unwrap();
    let _worker = rig.worker(&[]).unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    let mut times = Vec::new();
    for number in 0..101 {
        let new = mail(&queue, &alice, &mail_json(ALICE, "x@example.org", &number.to_string()));
        let began = Instant::now();
        queue.push(&new).await.unwrap();
        assert!(rig.sandbox.wait_for_mails(number + 1, PATIENCE).await);
        times.push(began.elapsed());
        // Settled, so that the worker is idle again.
        in_state(&queue, new.id, MailState::Sent).await;
    }
    times.remove(0);
    times.sort();
    println!("from push to the server, warm: p50 {:?}, p99 {:?}", times[50], times[98]);
    assert!(times[50] < Duration::from_millis(20), "{times:?}");
}
