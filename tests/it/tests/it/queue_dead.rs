//! Dead letters: which fit a filter, what a retry begins anew, and which account may send one instead.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use postroom_it::RedisServer;
use postroom_shared::account::{Account, AccountId};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Tag;
use postroom_shared::queue::{DeadFilter, MailState, NewJob, Outcome, Queue, Recipients, ViaError, What};
use postroom_shared::reason::Reason;

use crate::support::{LEASE, Session, account, job, queue, queue_with, settlement};

const HOUR: Duration = Duration::from_secs(3_600);
const TTL: Duration = Duration::from_secs(60);

/// Pushes mails and lets each die of a reason.
async fn die(queue: &Queue, session: &Session, mails: &[(&NewJob, Reason)]) {
    for (new, reason) in mails {
        queue.push(new).await.unwrap();
        let claimed = session.claim(1).await.jobs.remove(0);
        let mut dead = settlement(&claimed, Outcome::Dead);
        dead.reason = *reason;
        queue.settle(claimed.id.shard(), &[dead]).await.unwrap();
    }
}

/// Makes a dead letter as old as `age`.
async fn age(redis: &RedisServer, queue: &Queue, id: MailId, age: Duration) {
    let at = (Millis::now().0 - u64::try_from(age.as_millis()).unwrap()).to_string();
    let keys = queue.store().keys(id.shard());
    let _: i64 = redis.ask(&["ZADD", &keys.dead(), "XX", "CH", &at, &id.to_string()]).await.unwrap();
    let _: i64 = redis.ask(&["HSET", &keys.mail(id), "t", &at]).await.unwrap();
}

fn tag(name: &str, value: &str) -> Tag {
    Tag { name: name.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn each_filter_finds_its_own_and_counts_them_all() {
    let (redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    let session = Session::open(&queue).await;
    let (mut old, mut tagged, mut elsewhere) = (job(&queue, &alice), job(&queue, &alice), job(&queue, &bob));
    old.job.tags = vec![tag("campaign", "autumn")];
    tagged.job.tags = vec![tag("campaign", "spring"), tag("test", "")];
    elsewhere.job.recipients = vec!["ann@Example.NET".parse().unwrap()];
    let mails = [(&old, Reason::Expired), (&tagged, Reason::Uncertain), (&elsewhere, Reason::Expired)];
    die(&queue, &session, &mails).await;
    age(&redis, &queue, old.id, HOUR * 3).await;

    let ago = |span: Duration| Some(Millis(Millis::now().0 - u64::try_from(span.as_millis()).unwrap()));
    let all = DeadFilter::default;
    let table = [
        ("all, the newest first", all(), vec![&elsewhere, &tagged, &old]),
        ("reason", DeadFilter { reason: Some(Reason::Expired), ..all() }, vec![&elsewhere, &old]),
        ("account", DeadFilter { account: Some(alice.clone()), ..all() }, vec![&tagged, &old]),
        ("older", DeadFilter { died_until: ago(HOUR), ..all() }, vec![&old]),
        ("newer", DeadFilter { died_from: ago(HOUR), ..all() }, vec![&elsewhere, &tagged]),
        ("between", DeadFilter { died_from: ago(HOUR * 4), died_until: ago(HOUR * 2), ..all() }, vec![&old]),
        ("domain", DeadFilter { domain: Some("example.net".to_owned()), ..all() }, vec![&elsewhere]),
        ("half a domain", DeadFilter { domain: Some("ample.net".to_owned()), ..all() }, vec![]),
        ("tag", DeadFilter { tag: Some("campaign".parse().unwrap()), ..all() }, vec![&tagged, &old]),
        ("value", DeadFilter { tag: Some("campaign=spring".parse().unwrap()), ..all() }, vec![&tagged]),
        ("other value", DeadFilter { tag: Some("campaign=winter".parse().unwrap()), ..all() }, vec![]),
        (
            "several",
            DeadFilter { tag: Some("campaign".parse().unwrap()), reason: Some(Reason::Expired), ..all() },
            vec![&old],
        ),
    ];
    for (what, filter, expected) in table {
        let list = queue.dead(&filter).await.unwrap();
        let found: Vec<MailId> = list.mails.iter().map(|status| status.id).collect();
        assert_eq!(found, expected.iter().map(|new| new.id).collect::<Vec<_>>(), "{what}");
        assert_eq!(list.summary.total, expected.len() as u64, "{what}");
        assert!(list.mails.iter().all(|status| status.from.is_some()), "{what}: without records");
        assert_eq!(queue.count_dead(&filter).await.unwrap().total, expected.len() as u64, "{what}");
    }
    // A limit is for what is shown; of a list all are counted.
    let list = queue.dead(&DeadFilter { limit: 1, ..all() }).await.unwrap();
    assert_eq!((list.mails.len(), list.mails[0].id, list.summary.total), (1, elsewhere.id, 3));
    let summary = queue.count_dead(&all()).await.unwrap();
    assert_eq!((summary.by_reason["expired"], summary.by_reason["uncertain"]), (2, 1));
    assert_eq!((summary.by_account[&alice], summary.by_account[&bob], summary.may_double), (2, 1, 1));
    assert_eq!(queue.count_dead(&DeadFilter { limit: 2, ..all() }).await.unwrap().total, 2);
}

#[tokio::test]
async fn a_domain_is_that_of_a_recipient_who_did_not_get_it() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    let mut new = job(&queue, &alice);
    new.job.recipients = vec!["got@example.org".parse().unwrap(), "not@example.net".parse().unwrap()];
    queue.push(&new).await.unwrap();
    let claimed = session.claim(1).await.jobs.remove(0);
    let mut dead = settlement(&claimed, Outcome::Dead);
    dead.recipients = Some(Recipients { open: vec![1], ..Recipients::default() });
    queue.settle(0, &[dead]).await.unwrap();
    for (domain, found) in [("example.org", 0), ("example.net", 1)] {
        let filter = DeadFilter { domain: Some(domain.to_owned()), ..DeadFilter::default() };
        assert_eq!(queue.count_dead(&filter).await.unwrap().total, found, "{domain}");
    }
}

#[tokio::test]
async fn a_walk_neither_skips_nor_repeats_one_while_they_go_and_come() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let jobs: Vec<_> = (0..1_300).map(|_| job(&queue, &alice)).collect();
    queue.push_many(&jobs).await;
    queue.remove_account(&alice).await.unwrap();
    // More died in one millisecond than a page holds.
    let at = (Millis::now().0 - 1_000).to_string();
    for new in &jobs {
        let _: i64 =
            redis.ask(&["ZADD", &queue.store().keys(0).dead(), "XX", "CH", &at, &new.id.to_string()]).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    let mut walk = queue.walk_dead(&DeadFilter::default());
    while let Some(page) = walk.next().await.unwrap() {
        for status in page {
            assert!(seen.insert(status.id), "{} twice", status.id);
            if seen.len() % 2 == 0 {
                queue.discard_dead(status.id).await.unwrap();
            }
        }
    }
    assert_eq!(seen.len(), 1_300);
    let list = queue.dead(&DeadFilter { limit: 10, ..DeadFilter::default() }).await.unwrap();
    assert_eq!((list.summary.total, list.mails.len()), (650, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_are_read_in_pages_and_never_hold_redis_up() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..10 {
        let jobs: Vec<_> = (0..10_000).map(|_| job(&queue, &alice)).collect();
        assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
    }
    queue.remove_account(&alice).await.unwrap();
    let _: () = redis.ask(&["SLOWLOG", "RESET"]).await.unwrap();
    let _: () = redis.ask(&["CONFIG", "SET", "slowlog-log-slower-than", "100000"]).await.unwrap();
    let mut walk = queue.walk_dead(&DeadFilter { domain: Some("example.org".to_owned()), ..DeadFilter::default() });
    let (mut largest, mut all, began) = (0, 0, Instant::now());
    while let Some(page) = walk.next().await.unwrap() {
        largest = largest.max(page.len());
        all += page.len();
    }
    assert_eq!(all, 100_000);
    assert!(largest <= 500, "a page of {largest}");
    println!("100,000 dead letters, their records read: {:?}", began.elapsed());
    let began = Instant::now();
    let list = queue.dead(&DeadFilter { limit: 50, ..DeadFilter::default() }).await.unwrap();
    assert_eq!((list.summary.total, list.mails.len()), (100_000, 50));
    println!("100,000 dead letters counted, 50 shown: {:?}", began.elapsed());
    assert_eq!(redis.ask::<u64>(&["SLOWLOG", "LEN"]).await.unwrap(), 0, "a command took over 100 ms");
}

#[tokio::test]
async fn a_retry_begins_afresh_but_the_timeline_goes_on() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    let new = job(&queue, &alice);
    die(&queue, &session, &[(&new, Reason::Uncertain)]).await;
    let key = queue.store().keys(0).mail(new.id);
    let _: i64 = redis.ask(&["HSET", &key, "l", "2", "u", "1"]).await.unwrap();
    let before = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!((before.leases_lost, before.may_double, before.bytes.is_some()), (2, true, true));

    assert_eq!(queue.retry_dead(new.id, HOUR).await.unwrap(), Some(Ok(())));
    let after = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!((after.state, after.reason, after.leases_lost), (MailState::Ready, None, 0));
    assert_eq!((after.attempts, after.may_double, after.bytes), (1, false, None));
    let left = after.deadline.since(Millis::now());
    assert!(left > HOUR - TTL && left <= HOUR, "{left:?}");
    assert!(after.timeline.len() > before.timeline.len());
    let doubts: bool = redis.ask(&["HEXISTS", &key, "u"]).await.unwrap();
    assert!(!doubts);
    let again = session.claim(1).await.jobs.remove(0);
    assert_eq!((again.id, again.attempts, again.leases_lost), (new.id, 1, 0));
}

#[tokio::test]
async fn another_account_sends_a_dead_letter_if_gmail_lets_it() {
    let (_redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    let session = Session::open(&queue).await;
    let new = job(&queue, &alice);
    die(&queue, &session, &[(&new, Reason::Consent)]).await;

    let nobody: AccountId = "nobody@example.com".parse().unwrap();
    assert!(matches!(queue.retry_dead_via(new.id, TTL, &nobody).await, Err(ViaError::NoAccount)));
    let error = queue.retry_dead_via(new.id, TTL, &bob).await.unwrap_err();
    assert!(matches!(error, ViaError::OtherFrom(_)), "{error}");
    assert!(error.to_string().contains("a***@example.com") && error.to_string().contains("--alias"), "{error}");
    assert_eq!(queue.mail(new.id).await.unwrap().unwrap().state, MailState::Dead);

    let aliases = vec!["Alice@Example.com".parse().unwrap()];
    queue.put_account(&Account { aliases, ..Account::new(bob.clone()) }).await.unwrap();
    // Its own account need not be there any more.
    queue.remove_account(&alice).await.unwrap();
    assert_eq!(queue.retry_dead_via(new.id, TTL, &bob).await.unwrap(), Some(Ok(())));
    let claimed = session.claim(5).await.jobs.remove(0);
    assert_eq!((claimed.id, &claimed.account, &**claimed.job.as_ref().unwrap()), (new.id, &bob, &new.job));
    let status = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!(status.account, bob);
    assert!(status.timeline.iter().any(|event| event.what == What::Retried { via: Some(bob.clone()) }));
    assert_eq!(queue.retry_dead_via(new.id, TTL, &bob).await.unwrap(), Some(Err(MailState::Sending)));
    session.settle(&claimed, Outcome::Sent).await;
    queue.leave(0, &session.id, LEASE).await.unwrap();
    assert_eq!(queue.lane_stats(Account::new(bob)).await.unwrap().permits, 0);
}

#[tokio::test]
async fn an_account_of_another_shard_is_refused_and_the_reason_told() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "16")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let shard = |id: &AccountId| queue.store().shard_of(id);
    let mut others = (0..).map(|number| format!("user{number}@example.com").parse::<AccountId>().unwrap());
    let other = others.find(|id| shard(id) != shard(&alice)).unwrap();
    let same = others.find(|id| shard(id) == shard(&alice)).unwrap();
    for id in [&other, &same] {
        let aliases = vec![alice.reveal().parse().unwrap()];
        queue.put_account(&Account { aliases, ..Account::new(id.clone()) }).await.unwrap();
    }
    let session = Session::open(&queue).await;
    let new = job(&queue, &alice);
    die(&queue, &session, &[(&new, Reason::Consent)]).await;
    let error = queue.retry_dead_via(new.id, TTL, &other).await.unwrap_err();
    assert!(matches!(error, ViaError::OtherShard { .. }) && error.to_string().contains("shard"), "{error}");
    assert_eq!(queue.retry_dead_via(new.id, TTL, &same).await.unwrap(), Some(Ok(())));
}
