//! A hundred thousand at once: due, lost or ready, every script works in slices.

use std::time::{Duration, Instant};

use postroom_it::{PATIENCE, until};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{Outcome, Queue};

use crate::support::{LEASE, Session, account, counted, job, queue_with};

const MANY: usize = 100_000;

async fn push_many(queue: &Queue, address: &str, send_at: Option<Millis>) {
    let id = account(queue, address).await;
    let jobs: Vec<_> = (0..MANY)
        .map(|_| {
            let mut new = job(queue, &id);
            new.send_at = send_at;
            new
        })
        .collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
}

/// Claims and settles until nothing is left; answers how many there were.
async fn drain(session: &Session, slowest: &mut Duration) -> usize {
    let mut drained = 0;
    loop {
        let began = Instant::now();
        let answer = session.claim_with(500, 200, &[]).await;
        *slowest = (*slowest).max(began.elapsed());
        if answer.jobs.is_empty() && !answer.more {
            return drained;
        }
        drained += answer.jobs.len();
        session.settle_all(&answer.jobs, Outcome::Sent).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_due_at_the_same_second_drain_without_an_error() {
    let (_redis, queue) = queue_with(&[]).await;
    push_many(&queue, "alice@example.com", Some(Millis::now().after(Duration::from_secs(20)))).await;
    assert_eq!(counted(&queue, "scheduled").await, MANY as u64, "all were pushed before they were due");
    let session = Session::open(&queue).await;
    let (mut slowest, mut drained) = (Duration::ZERO, 0);
    while drained < MANY {
        let pause = session.claim(0).await.next_in.unwrap_or_default();
        tokio::time::sleep(pause).await;
        drained += drain(&session, &mut slowest).await;
    }
    assert_eq!((drained, counted(&queue, "sent").await), (MANY, MANY as u64));
    println!("100,000 due at once: slowest claim {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_lost_leases_are_taken_back_in_slices() {
    let (_redis, queue) = queue_with(&[("POSTROOM_ACCOUNT_CONNECTIONS", "100")]).await;
    push_many(&queue, "alice@example.com", None).await;
    assert_eq!(counted(&queue, "ready").await, MANY as u64);
    let lease = Duration::from_secs(3);
    let (dead, alive) = (Session::open_for(&queue, lease).await, Session::open_for(&queue, LEASE).await);
    loop {
        queue.beat(0, &dead.id, lease).await.unwrap();
        if dead.claim_with(500, 1_000_000, &[]).await.jobs.is_empty() {
            break;
        }
    }
    assert_eq!(counted(&queue, "sending").await, MANY as u64);
    until("all to be taken back", PATIENCE * 2, || async {
        queue.beat(0, &alive.id, LEASE).await?;
        Ok((counted(&queue, "ready").await == MANY as u64).then_some(()))
    })
    .await
    .unwrap();
    let mut slowest = Duration::ZERO;
    assert_eq!(drain(&alive, &mut slowest).await, MANY);
    println!("100,000 leases lost: slowest claim afterwards {slowest:?}");
}
