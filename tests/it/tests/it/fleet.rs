//! Many workers on one account: each mail once, byte for byte, within the caps; and none lost when they die.

use std::collections::HashMap;
use std::time::Duration;

use postroom_it::{PATIENCE, Persistence, Process, Rig, RigOptions, mail_json, until};
use postroom_sandbox::{Config, ConfigChange};
use postroom_shared::account::{Account, AccountId};
use postroom_shared::queue::{NewJob, Queue};

use crate::support::mail;

const ALICE: &str = "alice@example.com";
const MANY: usize = 10_000;

async fn push(queue: &Queue, alice: &AccountId, count: usize) -> Vec<NewJob> {
    let jobs: Vec<_> = (0..count)
        .map(|n| mail(queue, alice, &mail_json(ALICE, &format!("to{n}@example.org"), &format!("number {n}"))))
        .collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
    jobs
}

/// How often each mail arrived, by Message-ID; every arrival must be byte for byte what was pushed.
fn arrivals(rig: &Rig, jobs: &[NewJob]) -> HashMap<String, u32> {
    let frozen: HashMap<&str, &[u8]> =
        jobs.iter().map(|new| (new.job.message_id.as_str(), new.job.bytes.as_slice())).collect();
    let mut times = HashMap::new();
    for received in rig.sandbox.mails() {
        let id = received.message_id.unwrap();
        assert_eq!(rig.sandbox.mail_bytes(received.n).unwrap().as_ref(), frozen[id.as_str()], "{id}");
        *times.entry(id).or_insert(0) += 1;
    }
    times
}

async fn all_settled(queue: &Queue, count: usize, patience: Duration) {
    until("all mails to be sent", patience, || async {
        Ok(queue.stats().await.ok().filter(|stats| stats.states["sent"] == count as u64))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mails_through_four_workers_arrive_once_with_one_refresh_a_lifetime() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    let jobs = push(&queue, &alice, MANY).await;
    let workers: Vec<_> = (0..4).map(|_| rig.worker(&[("POSTROOM_LOG", "warn")]).unwrap()).collect();
    all_settled(&queue, MANY, PATIENCE * 4).await;
    let times = arrivals(&rig, &jobs);
    assert_eq!((times.len(), times.values().max()), (MANY, Some(&1)));
    let stats = rig.sandbox.stats();
    assert_eq!(stats.token_requests, 1, "the token lives for an hour");
    assert!(stats.account(ALICE).max_sessions <= 3, "{} sessions at once", stats.account(ALICE).max_sessions);
    println!("10,000 mails, 4 workers: {} logins, {} token requests, doubled 0", stats.logins_ok, stats.token_requests);
    for mut worker in workers {
        assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_tokens_are_refreshed_once_a_lifetime_for_the_whole_fleet() {
    let sandbox = Config { token_life: Duration::from_secs(6), ..Config::default() };
    let rig = Rig::start_with(RigOptions { sandbox, ..RigOptions::default() }).await.unwrap();
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(20), ..ConfigChange::default() });
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    push(&queue, &alice, 1_500).await;
    let began = std::time::Instant::now();
    // A token of six seconds is spent so often that the bucket of logins would decide here.
    let settings = [("POSTROOM_LOG", "warn"), ("POSTROOM_LOGIN_BURST", "1000")];
    let _workers: Vec<_> = (0..4).map(|_| rig.worker(&settings).unwrap()).collect();
    all_settled(&queue, 1_500, PATIENCE * 4).await;
    let lifetimes = began.elapsed().as_secs() / 6 + 1;
    let stats = rig.sandbox.stats();
    println!("{} token requests in {lifetimes} lifetimes, {} logins", stats.token_requests, stats.logins_ok);
    assert!(stats.token_requests <= lifetimes + 1, "{} requests in {lifetimes} lifetimes", stats.token_requests);
    assert_eq!((stats.logins_refused, stats.doubled), (0, 0));
}

/// Kills a worker every second and starts another in its place, until told to stop.
async fn kill_every_second(
    rig: &Rig,
    settings: &[(&str, &str)],
    stop: &std::sync::atomic::AtomicBool,
) -> (u32, Vec<Process>) {
    let mut workers: Vec<_> = (0..4).map(|_| rig.worker(settings).unwrap()).collect();
    let mut kills = 0;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut victim = workers.remove(0);
        victim.kill().await.unwrap();
        kills += 1;
        workers.push(rig.worker(settings).unwrap());
    }
    (kills, workers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_and_a_restarted_redis_lose_nothing() {
    let rig = Rig::start_with(RigOptions { persistence: Persistence::Always, ..RigOptions::default() }).await.unwrap();
    rig.sandbox.set_config(&ConfigChange { latency_ms: Some(3), ..ConfigChange::default() });
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    let jobs = push(&queue, &alice, MANY).await;
    // A kill a second costs more logins than the bucket grants; what is tried here is something else.
    let settings = [
        ("POSTROOM_LOG", "warn"),
        ("POSTROOM_LEASE", "2s"),
        ("POSTROOM_RETRY_BASE", "50ms"),
        ("POSTROOM_LOGIN_BURST", "1000"),
        ("POSTROOM_SENT_ALLOWANCE", "1s"),
    ];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let ((kills, workers), ()) = tokio::join!(kill_every_second(&rig, &settings, &stop), async {
        for done in [2_000, 5_000] {
            assert!(rig.sandbox.wait_for_mails(done, PATIENCE * 4).await);
            rig.redis.restart(Duration::from_millis(500)).await.unwrap();
        }
        all_settled(&queue, MANY, PATIENCE * 6).await;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    drop(workers);
    let times = arrivals(&rig, &jobs);
    let doubled: u32 = times.values().map(|times| times - 1).sum();
    let stats = queue.stats().await.unwrap();
    println!(
        "10,000 mails, {kills} kills of 4 workers, 2 restarts of Redis: lost {}, doubled {doubled} (known to the queue: {}), \
         leases lost {}",
        MANY - times.len(),
        stats.doubled,
        stats.leases_lost
    );
    assert_eq!(times.len(), MANY, "mails were lost");
    assert_eq!(doubled, 0, "Sent can be asked, so nothing need go twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_send_exactly_what_a_budget_allows() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    let limited = Account { limit: Some(100), ..queue.account(&alice).await.unwrap().unwrap() };
    queue.change_account(&limited).await.unwrap();
    push(&queue, &alice, 300).await;
    let _workers: Vec<_> = (0..8).map(|_| rig.worker(&[("POSTROOM_LOG", "warn")]).unwrap()).collect();
    let budget = until("the budget to be used up", PATIENCE, || async {
        Ok(queue.budget(&alice).await?.filter(|budget| budget.messages.left == Some(0) && budget.messages.in_hand == 0))
    })
    .await
    .unwrap();
    assert_eq!((budget.messages.used, rig.sandbox.mails().len()), (100, 100));
    let states = queue.stats().await.unwrap().states;
    assert_eq!((states["sent"], states["ready"], states["sending"]), (100, 200, 0));
    // Nobody is told of a free place before there is one.
    assert!(!rig.sandbox.wait_for_mails(101, Duration::from_secs(2)).await);
}

/// Few slots, many accounts of one connection each: permits wander all the time between the workers, and no mail may be
/// left behind with a permit that has wandered on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_that_wander_leave_no_mail_behind() {
    let rig = Rig::start().await.unwrap();
    let queue = rig.queue().await.unwrap();
    let mut accounts = Vec::new();
    for number in 0..6 {
        accounts.push(rig.add_account(&format!("user{number}@example.com")).await.unwrap());
    }
    let settings = [("POSTROOM_CONCURRENCY", "2"), ("POSTROOM_ACCOUNT_CONNECTIONS", "1"), ("POSTROOM_LOG", "warn")];
    let _workers: Vec<_> = (0..3).map(|_| rig.worker(&settings).unwrap()).collect();
    let mut pushed = 0;
    for round in 0..1_500_usize {
        let account = &accounts[(round * 7 + round / 4) % accounts.len()];
        let json = mail_json(account.reveal(), "x@example.org", &round.to_string());
        queue.push(&mail(&queue, account, &json)).await.unwrap();
        pushed += 1;
        if round % 3 == 0 {
            assert!(rig.sandbox.wait_for_mails(pushed, PATIENCE).await, "{:?}", queue.stats().await.unwrap());
        }
    }
    all_settled(&queue, pushed, PATIENCE).await;
    let stats = rig.sandbox.stats();
    assert_eq!(stats.doubled, 0);
    for account in &accounts {
        assert_eq!(stats.account(account.reveal()).max_sessions, 1);
    }
    println!("{pushed} mails with wandering permits: {} logins", stats.logins_ok);
}
