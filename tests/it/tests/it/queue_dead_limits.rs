//! The limits of the dead letters: the sum of their bytes is exact, and what passes a limit goes, the oldest first.

use postroom_it::{PATIENCE, RedisServer, Rig, mail_json, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, NewJob, Outcome, Queue, Settled, What};
use postroom_shared::reason::Reason;

use crate::support::{LEASE, Session, account, counted, job, mail, queue, queue_with, settlement};

/// A mail of about `size` bytes that no compression makes smaller.
fn large(queue: &Queue, account: &AccountId, size: usize) -> NewJob {
    let mut new = job(queue, account);
    let mut word = Millis::now().0 | 1;
    let bytes = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()[0]
    });
    new.job.bytes = bytes.take(size).collect();
    new
}

/// Pushes mails and lets them die, each a second after the one before.
async fn die(redis: &RedisServer, queue: &Queue, session: &Session, mails: &[NewJob]) {
    for (place, new) in mails.iter().enumerate() {
        queue.push(new).await.unwrap();
        let claimed = session.claim(1).await.jobs.remove(0);
        session.settle(&claimed, Outcome::Dead).await;
        let at = (Millis::now().0 - 1_000 * (mails.len() - place) as u64).to_string();
        let dead = queue.store().keys(0).dead();
        let _: i64 = redis.ask(&["ZADD", &dead, "XX", "CH", &at, &new.id.to_string()]).await.unwrap();
    }
}

/// What the records of these mails take in Redis.
async fn stored(redis: &RedisServer, queue: &Queue, ids: impl IntoIterator<Item = MailId>) -> u64 {
    let mut sum = 0;
    for id in ids {
        sum += redis.ask::<u64>(&["STRLEN", &queue.store().keys(0).job(id)]).await.unwrap();
    }
    sum
}

#[tokio::test]
async fn the_sum_of_bytes_follows_every_way_in_and_out() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let (session, other) = (Session::open(&queue).await, Session::open(&queue).await);
    let mails: Vec<_> = (1..=4).map(|number| large(&queue, &alice, number * 1_000)).collect();
    let sum = || async { queue.stats().await.unwrap().dead_bytes };
    die(&redis, &queue, &session, &mails[..3]).await;
    assert_eq!(sum().await, stored(&redis, &queue, mails[..3].iter().map(|new| new.id)).await);
    assert!(sum().await > 6_000);
    assert_eq!(queue.mail(mails[1].id).await.unwrap().unwrap().bytes.unwrap() / 1_000, 2);

    // Repeating what was done changes nothing.
    queue.push(&mails[3]).await.unwrap();
    let claimed = session.claim(1).await.jobs.remove(0);
    for _ in 0..2 {
        assert_eq!(session.settle(&claimed, Outcome::Dead).await, Settled::Done);
        assert_eq!(sum().await, stored(&redis, &queue, mails.iter().map(|new| new.id)).await);
    }
    for _ in 0..2 {
        queue.discard_dead(mails[0].id).await.unwrap();
        queue.retry_dead(mails[1].id, LEASE).await.unwrap();
    }
    assert_eq!(sum().await, stored(&redis, &queue, mails[2..].iter().map(|new| new.id)).await);

    // A delivery that is told late takes a dead letter off too; one that dies again counts once.
    let again = other.claim(1).await.jobs.remove(0);
    assert_eq!(again.id, mails[1].id);
    other.settle(&again, Outcome::Dead).await;
    let mut late = settlement(&again, Outcome::Sent);
    late.fence = 0;
    assert_eq!(queue.settle(0, &[late]).await.unwrap(), [Settled::Late]);
    assert_eq!(sum().await, stored(&redis, &queue, mails[2..].iter().map(|new| new.id)).await);

    for new in &mails[2..] {
        queue.discard_dead(new.id).await.unwrap();
    }
    assert_eq!((sum().await, counted(&queue, "dead").await), (0, 0));
}

#[tokio::test]
async fn beyond_the_limit_by_bytes_the_oldest_are_thrown_away_and_told() {
    let (redis, queue) = queue_with(&[("POSTROOM_DEAD_BYTES", "1MiB")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    let mails: Vec<_> = (0..10).map(|_| large(&queue, &alice, 100_000)).collect();
    die(&redis, &queue, &session, &mails).await;
    assert_eq!((counted(&queue, "dead").await, session.claim(1).await.dead_dropped), (10, 0));

    let further: Vec<_> = (0..3).map(|_| large(&queue, &alice, 100_000)).collect();
    queue.push_many(&further).await;
    let claimed = session.claim(3).await.jobs;
    session.settle_all(&claimed, Outcome::Dead).await;
    let answer = session.claim(1).await;
    assert_eq!((answer.dead_dropped, answer.dead_expired), (3, 0));
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["dead"], stats.states["discarded"], stats.dead_dropped), (10, 3, 3));
    assert!(stats.dead_bytes <= 1 << 20, "{}", stats.dead_bytes);
    assert_eq!(stats.dead_bytes, stored(&redis, &queue, mails[3..].iter().chain(&further).map(|new| new.id)).await);

    let gone = queue.mail(mails[2].id).await.unwrap().unwrap();
    assert_eq!((gone.state, gone.reason), (MailState::Discarded, Some(Reason::Message)));
    let told = What::Dropped { limit: "bytes".to_owned() };
    assert!(gone.timeline.iter().any(|event| event.what == told), "{:?}", gone.timeline);
    assert_eq!(queue.mail_bytes(mails[2].id).await.unwrap(), None);
    for key in [queue.store().keys(0).mail(mails[2].id), queue.store().keys(0).log(mails[2].id)] {
        assert!(redis.ask::<i64>(&["PTTL", &key]).await.unwrap() > 0, "{key} has no end");
    }
    assert_eq!(queue.mail(mails[3].id).await.unwrap().unwrap().state, MailState::Dead);
}

#[tokio::test]
async fn beyond_the_limit_by_age_they_go_in_slices() {
    let (redis, queue) = queue_with(&[("POSTROOM_DEAD_RETENTION", "1h")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let jobs: Vec<_> = (0..250).map(|_| job(&queue, &alice)).collect();
    queue.push_many(&jobs).await;
    queue.remove_account(&alice).await.unwrap();
    let dead = queue.store().keys(0).dead();
    for (ids, hours) in [(&jobs[..230], 2), (&jobs[230..], 0)] {
        let at = (Millis::now().0 - hours * 3_600_000).to_string();
        for new in ids {
            let _: i64 = redis.ask(&["ZADD", &dead, "XX", "CH", &at, &new.id.to_string()]).await.unwrap();
        }
    }
    let session = Session::open(&queue).await;
    let answers = [session.claim(0).await, session.claim(0).await, session.claim(0).await, session.claim(0).await];
    assert_eq!(answers.each_ref().map(|answer| answer.dead_expired), [100, 100, 30, 0]);
    assert_eq!(answers.each_ref().map(|answer| answer.more), [true, true, false, false]);
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["dead"], stats.dead_expired, stats.dead_dropped), (20, 230, 0));
    assert_eq!(stats.dead_bytes, stored(&redis, &queue, jobs[230..].iter().map(|new| new.id)).await);
}

#[tokio::test]
async fn a_worker_tells_in_its_log_what_was_thrown_away() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account("alice@example.com").await.unwrap());
    rig.sandbox.add_fault(Fault::new(Stage::Rcpt, Action::reply("550 5.1.1 No such user - gsmtp"))).unwrap();
    let worker = rig.worker(&[("POSTROOM_DEAD_BYTES", "1KiB")]).unwrap();
    let jobs: Vec<_> = (0..20)
        .map(|n| mail(&queue, &alice, &mail_json("alice@example.com", "x@example.org", &n.to_string())))
        .collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
    until("dead letters to be dropped, and the log to tell", PATIENCE, || async {
        let dropped = queue.stats().await?.dead_dropped;
        Ok((dropped > 0 && worker.log().contains("passed POSTROOM_DEAD_BYTES")).then_some(()))
    })
    .await
    .unwrap();
}
