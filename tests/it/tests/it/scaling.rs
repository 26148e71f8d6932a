//! What a cluster does with workers: more of them, fewer, all gone at once, and Redis away for a minute meanwhile.

use std::time::{Duration, Instant};

use postroom_it::{PATIENCE, Persistence, Process, Rig, RigOptions, http, mail_json, probe_of, until};
use postroom_sandbox::ConfigChange;
use postroom_shared::account::AccountId;
use postroom_shared::queue::Queue;

use crate::support::mail;

/// `terminationGracePeriodSeconds` of the manifests: who runs longer is killed.
const GRACE: Duration = Duration::from_secs(45);

async fn accounts(rig: &Rig, count: usize) -> Vec<AccountId> {
    let mut accounts = Vec::new();
    for number in 0..count {
        accounts.push(rig.add_account(&format!("user{number}@example.com")).await.unwrap());
    }
    accounts
}

/// So many mails to each account.
async fn push(queue: &Queue, accounts: &[AccountId], each: usize) -> usize {
    for account in accounts {
        let new = |n: usize| mail(queue, account, &mail_json(account.reveal(), "x@example.org", &n.to_string()));
        let jobs: Vec<_> = (0..each).map(new).collect();
        assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
    }
    accounts.len() * each
}

async fn in_flight(queue: &Queue, least: u64) -> u64 {
    until(&format!("{least} mails in flight"), PATIENCE, || async {
        Ok(Some(queue.stats().await?.states["sending"]).filter(|sending| *sending >= least))
    })
    .await
    .unwrap()
}

async fn all_sent(queue: &Queue, count: usize) {
    until("all mails to be sent", PATIENCE * 2, || async {
        Ok(queue.stats().await.ok().filter(|stats| stats.states["sent"] == count as u64).map(drop))
    })
    .await
    .unwrap();
}

fn latency(rig: &Rig, milliseconds: u64) {
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(milliseconds), ..ConfigChange::default() });
}

/// Tells them all to stop, at once; the longest that any of them took.
async fn stop_all(workers: Vec<Process>) -> Duration {
    let began = Instant::now();
    for worker in &workers {
        worker.signal("TERM").await.unwrap();
    }
    for mut worker in workers {
        let status = worker.wait(GRACE.saturating_sub(began.elapsed())).await.expect("nobody is killed at the limit");
        assert!(status.success(), "{}", worker.log());
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_come_and_go_with_a_thousand_mails_in_flight() {
    let rig = Rig::start().await.unwrap();
    let (queue, accounts) = (rig.queue().await.unwrap(), accounts(&rig, 50).await);
    latency(&rig, 1_000);
    let count = push(&queue, &accounts, 80).await;
    let settings = [
        ("POSTROOM_CONCURRENCY", "150"),
        ("POSTROOM_ACCOUNT_CONNECTIONS", "20"),
        ("POSTROOM_LOGIN_BURST", "1000"),
        ("POSTROOM_LOG", "warn"),
    ];
    let start = || rig.worker(&settings).unwrap();
    let mut workers = vec![start(), start()];
    let two = in_flight(&queue, 250).await;
    workers.extend((0..6).map(|_| start()));
    let eight = in_flight(&queue, 1_000).await;
    // In: half of them, and then the rest, each time in the midst of what they do.
    let half = stop_all(workers.split_off(4)).await;
    let four = in_flight(&queue, 500).await;
    let rest = stop_all(workers).await;
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["sending"], stats.leases_lost, stats.workers), (0, 0, 0));
    assert_eq!(stats.states["sent"], rig.sandbox.mails().len() as u64);
    latency(&rig, 0);
    let last = vec![start(), start()];
    all_sent(&queue, count).await;
    let stats = rig.sandbox.stats();
    println!(
        "{count} mails: in flight {two} with two workers, {eight} with eight, {four} with four; scaled in within {half:.1?} \
         and {rest:.1?}; lost {}, doubled {}",
        count as u64 - stats.distinct,
        stats.doubled
    );
    assert_eq!((stats.distinct, stats.doubled), (count as u64, 0));
    stop_all(last).await;
}

/// Asks for `/livez` each quarter of a second until told that it is enough; how often that was.
async fn stay_alive(probes: &[String], enough: &tokio_util::sync::CancellationToken) -> u32 {
    let mut asked = 0;
    while !enough.is_cancelled() {
        for probe in probes {
            let answer = http("GET", &format!("{probe}/livez"), "text/plain", "").await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            asked += 1;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_redis_kills_nobody_and_loses_nothing() {
    let rig = Rig::start_with(RigOptions { persistence: Persistence::Always, ..RigOptions::default() }).await.unwrap();
    let (queue, accounts) = (rig.queue().await.unwrap(), accounts(&rig, 2).await);
    latency(&rig, 50);
    let count = push(&queue, &accounts, 400).await;
    let worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let probes = [probe_of(&worker).await.unwrap(), probe_of(&api.process).await.unwrap()];
    assert!(rig.sandbox.wait_for_mails(100, PATIENCE).await);
    let enough = tokio_util::sync::CancellationToken::new();
    let (asked, (before, took)) = tokio::join!(stay_alive(&probes, &enough), async {
        let late = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            rig.sandbox.mails().len()
        };
        let (before, restarted) = tokio::join!(late, rig.redis.restart(Duration::from_secs(60)));
        restarted.unwrap();
        let back = Instant::now();
        assert!(rig.sandbox.wait_for_mails(before + 1, PATIENCE).await);
        enough.cancel();
        (before, back.elapsed())
    });
    all_sent(&queue, count).await;
    let stats = rig.sandbox.stats();
    println!(
        "60 s without Redis: {asked} times alive; {before} of {count} mails had gone; the next one {took:.1?} after its \
         return; lost {}, doubled {}",
        count as u64 - stats.distinct,
        stats.doubled
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!((stats.distinct, stats.doubled), (count as u64, 0));
}

/// Mails a second, over some seconds.
#[cfg(feature = "long")]
async fn rate(rig: &Rig) -> f64 {
    let (before, began) = (rig.sandbox.stats().mails_accepted, Instant::now());
    tokio::time::sleep(Duration::from_secs(6)).await;
    (rig.sandbox.stats().mails_accepted - before) as f64 / began.elapsed().as_secs_f64()
}

/// `make test-scaling`, with little else on the machine.
#[cfg(feature = "long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_send_as_much_as_eight() {
    let config = postroom_sandbox::Config { keep: postroom_sandbox::Keep::None, ..Default::default() };
    let rig = Rig::start_with(RigOptions { sandbox: config, ..RigOptions::default() }).await.unwrap();
    let (queue, accounts) = (rig.queue().await.unwrap(), accounts(&rig, 8).await);
    latency(&rig, 100);
    push(&queue, &accounts, 1_500).await;
    // Eight workers have as many slots as the accounts have connections.
    let settings = [("POSTROOM_CONCURRENCY", "4"), ("POSTROOM_ACCOUNT_CONNECTIONS", "4"), ("POSTROOM_LOG", "warn")];
    let (mut workers, mut rates) = (Vec::new(), Vec::new());
    for many in [1, 2, 4, 8] {
        while workers.len() < many {
            workers.push(rig.worker(&settings).unwrap());
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        let rate = rate(&rig).await;
        println!("{many} workers: {rate:.1} mails a second");
        rates.push((many, rate));
    }
    assert!(queue.stats().await.unwrap().states["ready"] > 100, "they had something to do to the end");
    for (many, rate) in &rates {
        let share = rate / (rates[0].1 * *many as f64);
        println!("{many} workers: {share:.2} of linear");
        assert!(share >= 0.9, "{many} workers: {share:.2} of linear");
    }
}
