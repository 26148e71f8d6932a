//! One refresh a lifetime: many workers and accounts, tokens that live for seconds, and a paced load over many lifetimes.

use std::time::{Duration, Instant};

use postroom_it::{PATIENCE, Rig, RigOptions, mail_json, until};
use postroom_sandbox::Config;
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, Queue};
use postroom_shared::tokens::{FleetFigures, RefreshReason};

use crate::support::mail;

const WORKERS: usize = 8;
const ACCOUNTS: usize = 20;
const LIFE: Duration = Duration::from_secs(5);
/// Two mails a second of each account.
const PACE: Duration = Duration::from_millis(25);

/// Pushes mails in turn for every account, evenly, for so long.
async fn push_evenly(queue: &Queue, accounts: &[AccountId], load: Duration) -> Vec<MailId> {
    let (began, mut ids) = (Instant::now(), Vec::new());
    let mut tick = tokio::time::interval(PACE);
    for account in accounts.iter().cycle() {
        tick.tick().await;
        if began.elapsed() >= load {
            break;
        }
        let json = mail_json(account.reveal(), "to@example.org", &format!("number {}", ids.len()));
        let new = mail(queue, account, &json);
        ids.push(new.id);
        queue.push(&new).await.unwrap();
    }
    ids
}

async fn one_refresh_a_lifetime(load: Duration) {
    let sandbox = Config { token_life: LIFE, close_sessions_at_expiry: true, ..Config::default() };
    let rig = Rig::start_with(RigOptions { sandbox, ..RigOptions::default() }).await.unwrap();
    let queue = rig.queue().await.unwrap();
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(rig.add_account(&format!("user{number}@example.com")).await.unwrap());
    }
    let workers: Vec<_> = (0..WORKERS).map(|_| rig.worker(&[("POSTROOM_LOG", "warn")]).unwrap()).collect();
    until("all workers to be there", PATIENCE, || async {
        Ok(queue.stats().await.ok().filter(|stats| stats.workers >= WORKERS as u64))
    })
    .await
    .unwrap();
    let ids = push_evenly(&queue, &accounts, load).await;
    until("all mails to be sent", PATIENCE, || async {
        Ok(queue.stats().await.ok().filter(|stats| stats.states["sent"] == ids.len() as u64))
    })
    .await
    .unwrap();
    let stats = rig.sandbox.stats();
    for id in &ids {
        let status = queue.mail(*id).await.unwrap().unwrap();
        assert_eq!((status.state, status.attempts), (MailState::Sent, 1), "{:?}", status.timeline);
    }
    let mut by_reason = RefreshReason::ALL.map(|reason| (reason.as_str(), 0));
    let (mut waits, mut troubles) = (0, 0);
    for account in &accounts {
        let figures = FleetFigures::read(queue.store(), account).await.unwrap().figures;
        for (place, (_, count)) in figures.refreshes.iter().enumerate() {
            by_reason[place].1 += count;
        }
        waits += figures.waits;
        troubles += figures.all_failures() + figures.lock_losses;
    }
    let lifetimes = load.as_secs_f64() / LIFE.as_secs_f64();
    let allowed = 1.05 * ACCOUNTS as f64 * lifetimes;
    let of_each = accounts.iter().map(|account| stats.account(account.reveal()).token_requests);
    println!(
        "{WORKERS} workers, {ACCOUNTS} accounts, tokens of {LIFE:?}, {load:?} of load, {} mails: {} refreshes, {:.3} of accounts x \
         lifetimes ({} to {} an account); why: {by_reason:?}; {waits} waits; {} logins, {} refused",
        ids.len(),
        stats.token_requests,
        stats.token_requests as f64 / (ACCOUNTS as f64 * lifetimes),
        of_each.clone().min().unwrap(),
        of_each.max().unwrap(),
        stats.logins_ok,
        stats.logins_refused,
    );
    assert!(stats.token_requests as f64 <= allowed, "{} refreshes, {allowed} allowed", stats.token_requests);
    // Every account was at work all the time.
    assert!(stats.token_requests as f64 >= 0.9 * ACCOUNTS as f64 * lifetimes, "{} refreshes", stats.token_requests);
    assert_eq!(by_reason.iter().map(|(_, count)| count).sum::<u64>(), stats.tokens_issued);
    assert_eq!((stats.logins_refused, stats.doubled, troubles, by_reason[3]), (0, 0, 0, ("forced", 0)));
    for mut worker in workers {
        assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_of_a_minute_of_load_takes_one_refresh_a_lifetime() {
    one_refresh_a_lifetime(LIFE * 3).await;
}

#[cfg(feature = "long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_of_load_takes_one_refresh_a_lifetime() {
    one_refresh_a_lifetime(LIFE * 12).await;
}
