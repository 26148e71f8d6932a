//! The key that seals is changed while mail goes out: nothing fails, nothing stops, no attempt is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postroom_it::{OTHER_SECRET_KEY, PATIENCE, Process, Rig, RigOptions, SECRET_KEY, mail_json, until};
use postroom_sandbox::Config;
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, Queue};
use serde_json::Value;

use crate::support::{in_state, mail};

const ACCOUNTS: [&str; 2] = ["alice@example.com", "bob@example.com"];
/// Further mails that must go out at each step.
const STEP: usize = 25;

/// Hands mails over until told to end.
async fn load(queue: Queue, accounts: Vec<AccountId>, ends: Arc<AtomicBool>) -> Vec<MailId> {
    let mut ids = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        for account in &accounts {
            let new = mail(&queue, account, &mail_json(account.reveal(), "x@example.org", "under load"));
            queue.push(&new).await.unwrap();
            ids.push(new.id);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ids
}

/// Tokens that live for a few seconds, so that the fleet refreshes them all the time.
async fn rig() -> Rig {
    let sandbox = Config { token_life: Duration::from_secs(4), ..Config::default() };
    let settings = [("POSTROOM_LOGIN_BURST", "1000"), ("POSTROOM_LOGIN_INTERVAL", "100ms")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Rig::start_with(RigOptions { sandbox, settings, ..RigOptions::default() }).await.unwrap()
}

/// Puts another worker, with these keys, in the place of one that is told to stop. Answers what that one wrote.
async fn roll(rig: &Rig, worker: &mut Process, keys: &str) -> String {
    let other = rig.worker(&[("POSTROOM_SECRET_KEY", keys)]).unwrap();
    let mut old = std::mem::replace(worker, other);
    assert!(old.stop().await.unwrap().success());
    old.log()
}

async fn further(rig: &Rig) {
    let count = rig.sandbox.mails().len() + STEP;
    assert!(rig.sandbox.wait_for_mails(count, PATIENCE).await, "no mail goes out any more");
    // Each of these steps sees a refresh.
    let before = rig.sandbox.stats().token_requests;
    let asked = || async { Ok((rig.sandbox.stats().token_requests > before).then_some(())) };
    until("a refresh", PATIENCE, asked).await.unwrap();
}

async fn reseal(rig: &Rig, keys: &str, further: &[&str]) -> Value {
    let environment = rig.with(&[("POSTROOM_SECRET_KEY", keys)]);
    let arguments = [&["account", "reseal", "--json"], further].concat();
    let ran = postroom_it::run("postroom", &arguments, &environment, b"").await.unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test]
async fn the_key_is_changed_under_load_and_nothing_stops() {
    let rig = rig().await;
    let queue = rig.queue().await.unwrap();
    let mut accounts = Vec::new();
    for address in ACCOUNTS {
        accounts.push(rig.add_account(address).await.unwrap());
    }
    let (old, new) = (SECRET_KEY, OTHER_SECRET_KEY);
    let (old_new, new_old) = (format!("{old},{new}"), format!("{new},{old}"));
    let mut workers = [rig.worker(&[]).unwrap(), rig.worker(&[]).unwrap()];
    let ends = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(queue.clone(), accounts.clone(), Arc::clone(&ends)));
    further(&rig).await;
    let mut logs = String::new();
    for keys in [&old_new, &new_old] {
        for worker in &mut workers {
            logs += &roll(&rig, worker, keys).await;
            further(&rig).await;
        }
    }
    let due = reseal(&rig, &new_old, &["--dry-run"]).await;
    assert_eq!(due["due"]["credentials"], 2, "{due}");
    let done = reseal(&rig, &new_old, &[]).await;
    assert_eq!((&done["moved"]["credentials"], &done["keys"][1]["credentials"]), (&2.into(), &0.into()), "{done}");
    further(&rig).await;
    for worker in &mut workers {
        logs += &roll(&rig, worker, new).await;
        further(&rig).await;
    }
    let left = reseal(&rig, new, &["--dry-run"]).await;
    assert_eq!((&left["there"]["credentials"], left["keys"].as_array().unwrap().len()), (&2.into(), 1), "{left}");
    ends.store(true, Ordering::Relaxed);
    let ids = loading.await.unwrap();
    for id in &ids {
        let status = in_state(&queue, *id, MailState::Sent).await;
        assert_eq!((status.attempts, status.leases_lost), (1, 0), "{id}");
    }
    assert_eq!(rig.sandbox.mails().len(), ids.len());
    for worker in &mut workers {
        assert!(worker.stop().await.unwrap().success());
        logs += &worker.log();
    }
    for word in ["is held", "no new access token", "cannot be opened", "ERROR"] {
        let line = logs.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{}", line.unwrap_or_default());
    }
}
