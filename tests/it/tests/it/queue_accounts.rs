//! Accounts: holds, removal, and what the queue says when it cannot take a mail.

use std::time::Duration;

use postroom_it::RedisServer;
use postroom_shared::account::Pause;
use postroom_shared::clock::Millis;
use postroom_shared::queue::{DeadFilter, Event, MailState, Outcome, PushError, Queue, Settled, What};
use postroom_shared::reason::Reason;
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};
use postroom_shared::store::StoreError;

use crate::support::{LEASE, Session, account, connect, counted, job, queue, queue_with, settlement};

#[tokio::test]
async fn a_held_account_hands_out_nothing_and_others_everything() {
    let (_redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    for id in [&alice, &bob] {
        queue.push(&job(&queue, id)).await.unwrap();
    }
    queue.hold(&alice, Reason::Operator, "a test", Pause::UntilAPerson).await.unwrap();
    let session = Session::open(&queue).await;
    let jobs = session.claim(5).await.jobs;
    assert_eq!((jobs.len(), &jobs[0].account), (1, &bob));
    queue.push(&job(&queue, &alice)).await.unwrap();
    assert!(session.claim(5).await.jobs.is_empty());
    let shown = queue.account(&alice).await.unwrap().unwrap().holds.remove(0);
    assert_eq!((shown.reason, shown.note.as_str()), (Reason::Operator, "a test"));
    queue.resume(&alice).await.unwrap();
    // With one mail first; when that went, with all of them.
    let first = session.claim(5).await.jobs;
    assert_eq!(first.len(), 1);
    session.settle(&first[0], Outcome::Sent).await;
    assert_eq!(session.claim(5).await.jobs.len(), 1);
}

#[tokio::test]
async fn a_hold_with_an_end_ends_by_itself() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    queue.push(&job(&queue, &alice)).await.unwrap();
    let pause = Duration::from_millis(200);
    queue.hold(&alice, Reason::Quota, "a test", Pause::For { least: pause, most: pause }).await.unwrap();
    let session = Session::open(&queue).await;
    let answer = session.claim(1).await;
    assert!(answer.jobs.is_empty());
    tokio::time::sleep(answer.next_in.unwrap() + Duration::from_millis(2)).await;
    assert_eq!(session.claim(1).await.jobs.len(), 1);
    assert!(queue.account(&alice).await.unwrap().unwrap().holds.is_empty());
}

#[tokio::test]
async fn mails_of_a_removed_account_become_dead_letters_and_can_be_retried_when_it_is_back() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut scheduled = job(&queue, &alice);
    scheduled.send_at = Some(Millis::now().after(Duration::from_millis(1)));
    let jobs: Vec<_> = (0..450).map(|_| job(&queue, &alice)).chain([scheduled]).collect();
    queue.push_many(&jobs).await;
    queue.remove_account(&alice).await.unwrap();
    assert!(queue.account(&alice).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_millis(5)).await;
    let session = Session::open(&queue).await;
    assert!(session.claim(5).await.jobs.is_empty());
    let filter = DeadFilter { reason: Some(Reason::NoAccount), limit: 1_000, ..DeadFilter::default() };
    let dead = queue.dead(&filter).await.unwrap().mails;
    assert_eq!(dead.len(), 451);
    assert!(queue.retry_dead(dead[0].id, Duration::from_secs(60)).await.is_err());
    account(&queue, "alice@example.com").await;
    assert_eq!(queue.retry_dead(dead[0].id, Duration::from_secs(60)).await.unwrap(), Some(Ok(())));
    assert_eq!(session.claim(5).await.jobs[0].id, dead[0].id);
    assert_eq!(queue.discard_dead(dead[1].id).await.unwrap(), Some(Ok(())));
    assert_eq!(queue.mail(dead[1].id).await.unwrap().unwrap().state, MailState::Discarded);
    assert_eq!(queue.mail_bytes(dead[1].id).await.unwrap(), None);
    assert_eq!(counted(&queue, "dead").await, 449);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_bytes_and_may_be_retried_with_a_new_deadline() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut new = job(&queue, &alice);
    new.ttl = Some(Duration::from_secs(60));
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    session.settle(&claimed, Outcome::Dead).await;
    assert_eq!(queue.mail_bytes(new.id).await.unwrap().unwrap(), new.job.bytes);
    assert_eq!(queue.retry_dead(new.id, Duration::from_secs(3_600)).await.unwrap(), Some(Ok(())));
    let again = session.claim(1).await.jobs.remove(0);
    assert_eq!(*again.job.unwrap(), new.job);
    assert!(again.deadline.since(claimed.deadline) > Duration::from_secs(3_000));
    assert_eq!(queue.retry_dead(new.id, Duration::from_secs(1)).await.unwrap(), Some(Err(MailState::Sending)));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_nobody() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let (broken, whole) = (job(&queue, &alice), job(&queue, &alice));
    queue.push(&broken).await.unwrap();
    queue.push(&whole).await.unwrap();
    let key = queue.store().keys(0).job(broken.id);
    let _: () = redis.ask(&["SET", &key, "no record of ours"]).await.unwrap();
    let jobs = Session::open(&queue).await.claim(5).await.jobs;
    assert_eq!(jobs.len(), 2);
    assert!(jobs[0].job.is_err() && jobs[1].job.is_ok());
}

#[tokio::test]
async fn a_full_redis_refuses_new_mail_clearly_and_still_lets_the_old_go() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    for _ in 0..2 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let claimed = session.claim(1).await.jobs.remove(0);
    let _: () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let error = queue.push(&job(&queue, &alice)).await.unwrap_err();
    assert!(matches!(error, PushError::Store(StoreError::Full(_))), "{error:?}");
    assert!(error.to_string().contains("full"), "{error}");
    let mut sent = settlement(&claimed, Outcome::Sent);
    sent.event = Some(Event { at: Millis::now(), what: What::Doubled });
    assert_eq!(queue.settle(0, &[sent]).await.unwrap(), [Settled::Done]);
    assert_eq!(session.claim(1).await.jobs.len(), 1);
    queue.beat(0, &session.id, LEASE).await.unwrap();
    assert_eq!(counted(&queue, "sent").await, 1);
}

#[tokio::test]
async fn a_redis_that_is_gone_means_surely_not_stored() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let new = job(&queue, &alice);
    drop(redis);
    // The first call may find the connection broken under it; those after it find nobody.
    let _ = queue.push(&new).await;
    let error = queue.push(&new).await.unwrap_err();
    assert!(matches!(error, PushError::Store(StoreError::NotStored(_))), "{error:?}");
}

#[tokio::test]
async fn shards_spread_accounts_are_fixed_at_first_use_and_every_key_of_one_has_its_tag() {
    let (redis, queue) = queue_with(&[("POSTROOM_SHARDS", "16")]).await;
    let session = Session::open(&queue).await;
    let mut shards = std::collections::BTreeSet::new();
    for number in 0..40 {
        let id = account(&queue, &format!("user{number}@example.com")).await;
        queue.push(&job(&queue, &id)).await.unwrap();
        shards.insert(queue.store().shard_of(&id));
    }
    assert!(shards.len() > 8, "{shards:?}");
    let jobs = session.claim(100).await.jobs;
    assert_eq!(jobs.len(), 40);
    session.settle_all(&jobs, Outcome::Sent).await;
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]).await.unwrap();
    for key in keys.iter().filter(|key| !["pr:shards", "pr:accounts"].contains(&key.as_str())) {
        assert!(key.starts_with("pr:{") && key.contains("}:"), "{key}");
    }
    // The number is read from Redis where it is not set, and never changed.
    assert_eq!(connect(&redis, &[]).await.store().shards(), 16);
    let pairs = [("POSTROOM_REDIS_URL", redis.url()), ("POSTROOM_SHARDS", "8".to_owned())];
    let mut source = Source::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)));
    let other = Queue::connect(&RedisSettings::read(&mut source), LimitSettings::read(&mut source)).await;
    let error = other.err().expect("refused").to_string();
    assert!(error.contains("16") && error.contains("POSTROOM_SHARDS"), "{error}");
}

#[tokio::test]
async fn every_key_of_a_finished_mail_has_an_end() {
    let (redis, queue): (RedisServer, Queue) = queue_with(&[("POSTROOM_RETENTION", "60s")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let mut new = job(&queue, &alice);
    new.idempotency = Some(("key".to_owned(), "print".to_owned()));
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    let mut sent = settlement(&claimed, Outcome::Sent);
    sent.job = Some(claimed.job.unwrap());
    queue.settle(0, &[sent]).await.unwrap();
    queue.leave(0, &session.id, LEASE).await.unwrap();
    let lasting = ["pr:shards", "pr:accounts", "pr:{0}:counts", "pr:{0}:config", "pr:{0}:pulse", "pr:{0}:mails"];
    for key in redis.ask::<Vec<String>>(&["KEYS", "*"]).await.unwrap() {
        let ttl: i64 = redis.ask(&["PTTL", &key]).await.unwrap();
        let stays = lasting.contains(&key.as_str()) || key.starts_with("pr:{0}:account:");
        assert!(stays || ttl > 0, "{key} has no end");
    }
}
