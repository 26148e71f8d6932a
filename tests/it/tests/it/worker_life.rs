//! A worker's life: start, stop, second signal, death, Redis going away.

use std::time::Duration;

use postroom_it::{PATIENCE, Persistence, Process, Rig, RigOptions, mail_json, until};
use postroom_sandbox::{Action, ConfigChange, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::queue::{MailState, NewJob, Queue};

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";

async fn setup(persistence: Persistence) -> (Rig, Queue, AccountId) {
    let rig = Rig::start_with(RigOptions { persistence, ..RigOptions::default() }).await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    (rig, queue, alice)
}

async fn push(queue: &Queue, alice: &AccountId, count: usize) -> Vec<NewJob> {
    let jobs: Vec<_> =
        (0..count).map(|n| mail(queue, alice, &mail_json(ALICE, "x@example.org", &n.to_string()))).collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
    jobs
}

async fn under_way(queue: &Queue, least: u64) {
    until("mails to be under way", PATIENCE, || async {
        Ok((queue.stats().await?.states["sending"] >= least).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_runs_and_hands_back_the_rest() {
    let (rig, queue, alice) = setup(Persistence::None).await;
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(300), ..ConfigChange::default() });
    let mut worker = rig.worker(&[]).unwrap();
    push(&queue, &alice, 12).await;
    assert!(rig.sandbox.wait_for_mails(1, PATIENCE).await);
    under_way(&queue, 1).await;
    assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
    let stats = queue.stats().await.unwrap();
    assert_eq!(stats.states["sending"], 0);
    assert_eq!(stats.states["sent"], rig.sandbox.mails().len() as u64);
    assert_eq!((stats.workers, stats.leases_lost, stats.lanes[0].permits), (0, 0, 0));
    // Nothing was lost or doubled by the change of worker.
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(0), ..ConfigChange::default() });
    let _next = rig.worker(&[]).unwrap();
    assert!(rig.sandbox.wait_for_mails(12, PATIENCE).await);
    assert_eq!(rig.sandbox.stats().doubled, 0);
}

/// A mail that waits for a server that says nothing; the worker is told to stop by so many signals. (`doubt` has the case of a
/// mail whose bytes have left.)
async fn stopped_in_mid_mail(drain: &str, signals: &[&str]) {
    let (rig, queue, alice) = setup(Persistence::None).await;
    rig.sandbox.add_fault(Fault::new(Stage::Greeting, Action::Silence).times(1)).unwrap();
    let mut worker = rig.worker(&[("POSTROOM_DRAIN_SECONDS", drain)]).unwrap();
    let jobs = push(&queue, &alice, 1).await;
    until("the mail to hang", PATIENCE, || async { Ok((rig.sandbox.faults()[0].fired > 0).then_some(())) })
        .await
        .unwrap();
    for signal in signals {
        worker.signal(signal).await.unwrap();
    }
    assert!(worker.wait(PATIENCE).await.unwrap().success(), "{}", worker.log());
    let status = in_state(&queue, jobs[0].id, MailState::Ready).await;
    assert_eq!((status.attempts, status.leases_lost), (0, 0));
    let _next = rig.worker(&[]).unwrap();
    in_state(&queue, jobs[0].id, MailState::Sent).await;
    assert_eq!(rig.sandbox.stats().doubled, 0);
}

#[tokio::test]
async fn what_the_drain_cannot_finish_is_handed_back_with_no_attempt_counted() {
    stopped_in_mid_mail("1", &["TERM"]).await;
}

#[tokio::test]
async fn a_second_signal_hurries() {
    stopped_in_mid_mail("3600", &["INT", "TERM"]).await;
}

#[tokio::test]
async fn two_workers_of_one_name_share_the_work() {
    let (rig, queue, alice) = setup(Persistence::None).await;
    let workers: Vec<_> = (0..2).map(|_| rig.worker(&[("POSTROOM_WORKER_NAME", "same")]).unwrap()).collect();
    push(&queue, &alice, 50).await;
    assert!(rig.sandbox.wait_for_mails(50, PATIENCE).await);
    assert_eq!((rig.sandbox.stats().doubled, queue.stats().await.unwrap().workers), (0, 2));
    for mut worker in workers {
        assert!(worker.stop().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_killed_workers_mails_come_back_when_its_lease_is_over() {
    let (rig, queue, alice) = setup(Persistence::None).await;
    rig.sandbox.add_fault(Fault::new(Stage::Mail, Action::Silence).times(1)).unwrap();
    let lease = [("POSTROOM_LEASE", "1s"), ("POSTROOM_SENT_ALLOWANCE", "1s")];
    let mut worker = rig.worker(&lease).unwrap();
    let jobs = push(&queue, &alice, 1).await;
    // Killed any sooner, it would leave the silence to the other.
    let met = || async { Ok(rig.sandbox.faults().first().filter(|fault| fault.fired == 1).map(|_| ())) };
    until("the worker to be in its dialogue", PATIENCE, met).await.unwrap();
    let _other = rig.worker(&lease).unwrap();
    worker.kill().await.unwrap();
    let status = in_state(&queue, jobs[0].id, MailState::Sent).await;
    assert_eq!((status.attempts, status.leases_lost), (1, 1));
}

#[tokio::test]
async fn redis_going_away_and_coming_back_loses_nothing_and_sends_nothing_twice() {
    let (rig, queue, alice) = setup(Persistence::Always).await;
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(20), ..ConfigChange::default() });
    let mut worker = rig.worker(&[]).unwrap();
    push(&queue, &alice, 300).await;
    for done in [30, 120] {
        assert!(rig.sandbox.wait_for_mails(done, PATIENCE).await);
        rig.redis.restart(Duration::from_millis(700)).await.unwrap();
    }
    assert!(rig.sandbox.wait_for_mails(300, PATIENCE).await, "{}", worker.log());
    until("all to be settled", PATIENCE, || async {
        Ok(queue.stats().await.ok().filter(|stats| stats.states["sent"] == 300))
    })
    .await
    .unwrap();
    assert_eq!((rig.sandbox.mails().len(), rig.sandbox.stats().doubled), (300, 0));
    assert!(worker.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_worker_waits_for_a_redis_that_is_not_there_yet() {
    let (rig, queue, alice) = setup(Persistence::Always).await;
    push(&queue, &alice, 1).await;
    let settings = rig.with(&[]);
    let starting = async {
        // Started while Redis is away.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Process::start("postroom-worker", &[], &settings).unwrap()
    };
    let (restarted, worker) = tokio::join!(rig.redis.restart(Duration::from_secs(1)), starting);
    restarted.unwrap();
    assert!(rig.sandbox.wait_for_mails(1, PATIENCE).await, "{}", worker.log());
}

/// What a worker says that refuses to start; it must hold all of these words.
async fn refused(rig: &Rig, settings: &[(&str, &str)], words: &[&str]) -> String {
    let mut worker = rig.worker(settings).unwrap();
    assert_eq!(worker.wait(PATIENCE).await.unwrap().code(), Some(1));
    // What it wrote last is gathered by a task of its own.
    until(&format!("a complaint with {words:?}"), PATIENCE, || async {
        Ok(Some(worker.log()).filter(|log| words.iter().all(|word| log.contains(word))))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn it_refuses_to_start_with_unusable_settings_and_says_what_to_do() {
    let (rig, _queue, _alice) = setup(Persistence::None).await;
    refused(&rig, &[("POSTROOM_SECRET_KEY", "")], &["POSTROOM_SECRET_KEY", "base64"]).await;
    let short = refused(&rig, &[("POSTROOM_SECRET_KEY", "c2hvcnQ=")], &["32"]).await;
    assert!(!short.contains("c2hvcnQ="), "{short}");
    let [concurrency, lease] = ["POSTROOM_CONCURRENCY", "POSTROOM_LEASE"];
    refused(&rig, &[(concurrency, "none"), (lease, "soon")], &[concurrency, lease]).await;
    refused(&rig, &[("POSTROOM_SHARDS", "7")], &["POSTROOM_SHARDS", "first used with 1"]).await;
}
