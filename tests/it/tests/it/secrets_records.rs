//! A wrong key, a cut record, a swapped record: the worker says which, holds the account, and no mail loses anything.

use postroom_it::{OTHER_SECRET_KEY, PATIENCE, Rig, mail_json, until};
use postroom_shared::account::AccountId;
use postroom_shared::queue::{MailState, Queue};
use postroom_shared::reason::Reason;
use serde_json::Value;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// Waits until the account is held with this in the note.
async fn held(queue: &Queue, account: &AccountId, word: &str) -> String {
    until(&format!("a hold that says {word:?}"), PATIENCE, || async {
        let held = queue.account(account).await?.and_then(|account| account.hold().cloned());
        Ok(held.filter(|hold| hold.reason == Reason::Config && hold.note.contains(word)).map(|hold| hold.note))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_worker_says_why_credentials_do_not_open_and_no_mail_loses_an_attempt() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice, bob) =
        (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap(), rig.add_account(BOB).await.unwrap());
    let store = queue.store();
    let key = store.keys_of(&alice).sealed(&alice);
    let get = async |key: String| -> Vec<u8> {
        redis::cmd("GET").arg(key).query_async(&mut store.connection()).await.unwrap()
    };
    let put = async |record: &[u8]| {
        redis::cmd("SET").arg(&key).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    };
    let (good, bobs) = (get(key.clone()).await, get(store.keys_of(&bob).sealed(&bob)).await);
    let new = mail(&queue, &alice, &mail_json(ALICE, "x@example.org", "waits"));
    queue.push(&new).await.unwrap();

    let mut wrong = rig.worker(&[("POSTROOM_SECRET_KEY", OTHER_SECRET_KEY)]).unwrap();
    let note = held(&queue, &alice, "which is not in POSTROOM_SECRET_KEY").await;
    assert!(note.contains("sealed with the key "), "{note}");
    wrong.stop().await.unwrap();

    put(&bobs).await;
    queue.resume(&alice).await.unwrap();
    let worker = rig.worker(&[]).unwrap();
    let note = held(&queue, &alice, "belongs to another account").await;
    assert!(note.contains(&bob.hashed()) && note.contains("`postroom account add`"), "{note}");
    put(&good[..40]).await;
    queue.resume(&alice).await.unwrap();
    held(&queue, &alice, "is cut: 40 bytes").await;
    let mut bent = good.clone();
    bent[60] ^= 1;
    put(&bent).await;
    queue.resume(&alice).await.unwrap();
    held(&queue, &alice, "is damaged").await;
    // None of it was taken for "no credentials", and nobody was asked for a token.
    assert!(!worker.log().contains("no credentials"), "{}", worker.log());
    assert_eq!(rig.sandbox.stats().token_requests, 0);
    assert_eq!(queue.mail(new.id).await.unwrap().unwrap().attempts, 0);

    put(&good).await;
    queue.resume(&alice).await.unwrap();
    assert_eq!(in_state(&queue, new.id, MailState::Sent).await.attempts, 1);
}

#[tokio::test]
async fn reseal_says_what_cannot_be_opened_and_which_keys_are_needed() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice, bob) =
        (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap(), rig.add_account(BOB).await.unwrap());
    let store = queue.store();
    let read = redis::cmd("GET").arg(store.keys_of(&bob).sealed(&bob)).to_owned();
    let record: Vec<u8> = read.query_async(&mut store.connection()).await.unwrap();
    let write = redis::cmd("SET").arg(store.keys_of(&alice).sealed(&alice)).arg(&record).to_owned();
    write.query_async::<()>(&mut store.connection()).await.unwrap();
    let environment = rig.with(&[("POSTROOM_SECRET_KEY", OTHER_SECRET_KEY)]);
    let reseal = async |further: &[&str], environment: &[(String, String)]| {
        postroom_it::run("postroom", &[&["account", "reseal"], further].concat(), environment, b"").await.unwrap()
    };
    // Without the old key nothing opens; the key that is needed is named.
    let ran = reseal(&["--json"], &environment).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 records could not be opened"), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (swapped, unknown) = (&report["failures"][0], &report["failures"][1]);
    assert_eq!((&swapped["account"], &swapped["hash"]), (&"a***@example.com".into(), &alice.hashed().into()));
    assert!(swapped["why"].as_str().unwrap().contains("another account"), "{swapped}");
    assert!(unknown["why"].as_str().unwrap().contains("which is not in POSTROOM_SECRET_KEY"), "{unknown}");
    let keys = report["keys"].as_array().unwrap();
    assert_eq!((&keys[0]["place"], &keys[0]["credentials"]), (&1.into(), &0.into()));
    assert_eq!((&keys[1]["place"], &keys[1]["credentials"]), (&Value::Null, &2.into()));
    let shown = reseal(&["--dry-run"], &rig.environment).await;
    assert!(shown.code == Some(1) && shown.stdout.contains("the first: seals"), "{}", shown.stdout);
    assert!(!shown.stdout.contains(ALICE) && !shown.stderr.contains('@'), "{} {}", shown.stdout, shown.stderr);
}
