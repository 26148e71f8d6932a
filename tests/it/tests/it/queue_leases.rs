//! Leases, fences and permits: who may move a mail, and who may connect.

use std::time::Duration;

use postroom_it::{PATIENCE, until};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{
    Beat, Claimed, MailState, NewJob, Outcome, Queue, Recipients, Settled, Settlement, Wake, What,
};
use postroom_shared::reason::Reason;

use crate::support::{LEASE, Session, account, counted, job, queue, queue_with, settlement};

const SHORT: Duration = Duration::from_millis(300);

/// Keeps one session alive while another's lease runs out, and answers when its jobs were taken back.
async fn outlive(queue: &Queue, alive: &Session, ready: u64) {
    until("the lease to run out", PATIENCE, || async {
        queue.beat(0, &alive.id, SHORT).await?;
        Ok((counted(queue, "ready").await == ready).then_some(()))
    })
    .await
    .unwrap();
}

/// A mail whose bytes were about to leave when its session was lost, and another session.
struct Lost {
    new: NewJob,
    first: Claimed,
    dead: Session,
    alive: Session,
}

async fn begun_then_lost(queue: &Queue) -> Lost {
    let alice = account(queue, "alice@example.com").await;
    let new = job(queue, &alice);
    queue.push(&new).await.unwrap();
    let dead = Session::open_for(queue, SHORT).await;
    let alive = Session::open_for(queue, SHORT).await;
    let first = dead.claim(1).await.jobs.remove(0);
    assert!(dead.begin(&first).await);
    outlive(queue, &alive, 1).await;
    Lost { new, first, dead, alive }
}

#[tokio::test]
async fn a_lost_lease_brings_the_mail_back_and_fences_off_the_old_holder() {
    let (_redis, queue) = queue().await;
    let Lost { new, first, dead, alive } = begun_then_lost(&queue).await;
    assert!(!dead.begin(&first).await, "the session is lost");
    assert_eq!(queue.beat(0, &dead.id, SHORT).await.unwrap(), Beat::Gone);
    assert!(dead.claim(1).await.gone);
    let second = alive.claim(1).await.jobs.remove(0);
    assert_eq!((second.id, second.leases_lost, second.attempts), (first.id, 1, 0));
    assert!(second.fence > first.fence);
    assert_eq!(second.doubt.unwrap().asked, 0, "its bytes may have left");
    // The old holder may no longer decide, but the new one may.
    assert_eq!(dead.settle(&first, Outcome::Dead).await, Settled::Lost);
    assert_eq!(alive.settle(&second, Outcome::Sent).await, Settled::Done);
    let status = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.leases_lost), (MailState::Sent, 1));
    assert!(status.timeline.iter().any(|event| matches!(event.what, What::TakenBack { .. })));
    assert_eq!(queue.stats().await.unwrap().leases_lost, 1);
}

#[tokio::test]
async fn a_delivery_counts_even_after_the_lease_was_lost_and_a_second_one_is_told() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..2 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let dead = Session::open_for(&queue, SHORT).await;
    let alive = Session::open_for(&queue, SHORT).await;
    let old = dead.claim(2).await.jobs;
    outlive(&queue, &alive, 2).await;
    // One is still waiting when the late 250 comes, the other is under way again.
    let again = alive.claim(1).await.jobs.remove(0);
    let (taken, waiting): (Vec<_>, Vec<_>) = old.into_iter().partition(|claimed| claimed.id == again.id);
    assert_eq!(dead.settle(&waiting[0], Outcome::Sent).await, Settled::Late);
    assert_eq!(dead.settle(&taken[0], Outcome::Sent).await, Settled::Late);
    assert_eq!(alive.settle(&again, Outcome::Sent).await, Settled::Doubled);
    assert!(alive.claim(5).await.jobs.is_empty());
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["sent"], stats.states["sending"], stats.states["ready"], stats.doubled), (2, 0, 0, 1));
}

#[tokio::test]
async fn what_is_found_in_sent_after_the_lease_was_lost_overrules_nobody() {
    let (_redis, queue) = queue().await;
    let Lost { new, first, alive, .. } = begun_then_lost(&queue).await;
    let second = alive.claim(1).await.jobs.remove(0);
    assert_eq!(alive.settle(&second, Outcome::Dead).await, Settled::Done);
    // Sent does not say to whom it went.
    let found = Settlement { reason: Reason::Found, ..settlement(&first, Outcome::Sent) };
    assert_eq!(queue.settle(0, &[found]).await.unwrap(), [Settled::Lost]);
    assert_eq!(queue.mail(new.id).await.unwrap().unwrap().state, MailState::Dead);
}

#[tokio::test]
async fn settling_again_changes_nothing() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    for outcome in [Outcome::Sent, Outcome::Dead, Outcome::Back, Outcome::Retry(Millis::now())] {
        queue.push(&job(&queue, &alice)).await.unwrap();
        let claimed = session.claim(1).await.jobs.remove(0);
        assert_eq!(session.settle(&claimed, outcome).await, Settled::Done);
        let before = queue.stats().await.unwrap().states;
        assert_eq!(session.settle(&claimed, outcome).await, Settled::Done);
        assert_eq!(queue.stats().await.unwrap().states, before);
        if let Some(rest) = session.claim(5).await.jobs.first() {
            session.settle(rest, Outcome::Sent).await;
        }
    }
    assert_eq!(queue.stats().await.unwrap().doubled, 0);
}

#[tokio::test]
async fn permits_never_pass_the_cap_of_the_fleet() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..20 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let (one, two) = (Session::open(&queue).await, Session::open(&queue).await);
    let first = one.claim(2).await;
    let second = two.claim(10).await;
    assert_eq!((first.jobs.len(), second.jobs.len()), (2, 1));
    assert_eq!(first.grants, [(alice.clone(), 2)]);
    assert_eq!(second.grants, [(alice.clone(), 1)]);
    // A permit stays with its worker: settled, it gets the next mail without a new grant.
    one.settle_all(&first.jobs, Outcome::Sent).await;
    assert!(two.claim(10).await.jobs.is_empty());
    let next = one.claim(10).await;
    assert_eq!((next.jobs.len(), next.grants.len()), (2, 0));
    // Given up, it can be had by others.
    one.settle_all(&next.jobs, Outcome::Sent).await;
    one.claim_with(0, 1, &[(alice.clone(), 0)]).await;
    assert_eq!(two.claim(10).await.grants, [(alice, 3)]);
}

#[tokio::test]
async fn depth_lets_jobs_wait_for_a_permit_but_never_more() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..100 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let session = Session::open(&queue).await;
    assert_eq!(session.claim_with(50, 4, &[]).await.jobs.len(), 3);
    assert_eq!(session.claim_with(50, 4, &[]).await.jobs.len(), 9);
    assert!(session.claim_with(50, 4, &[]).await.jobs.is_empty());
}

#[tokio::test]
async fn an_unused_permit_is_asked_for_where_others_could_use_it() {
    let (_redis, queue) = queue_with(&[("POSTROOM_ACCOUNT_CONNECTIONS", "1")]).await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    let (busy, idle) = (Session::open(&queue).await, Session::open(&queue).await);
    queue.push(&job(&queue, &alice)).await.unwrap();
    let claimed = busy.claim(1).await.jobs;
    busy.settle_all(&claimed, Outcome::Sent).await;
    // It keeps Alice's permit, and all its slots go to Bob.
    queue.push(&job(&queue, &bob)).await.unwrap();
    assert_eq!(busy.claim(1).await.jobs[0].account, bob);
    let mut listening = queue.listen(&busy.id).await.unwrap();
    assert!(idle.claim(1).await.jobs.is_empty());
    queue.push(&job(&queue, &alice)).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, futures_next(&mut listening)).await.unwrap();
    assert_eq!(Wake::parse(&message), Some(Wake { shard: 0, give_up: Some(alice.clone()) }));
    // The claim says so too, should the message be lost.
    assert_eq!(busy.claim(0).await.give_up, std::slice::from_ref(&alice));
    busy.claim_with(0, 1, &[(alice.clone(), 0)]).await;
    assert_eq!(idle.claim(1).await.jobs[0].account, alice);
}

async fn futures_next(listening: &mut redis::aio::PubSub) -> String {
    use futures::StreamExt;
    listening.on_message().next().await.unwrap().get_payload().unwrap()
}

#[tokio::test]
async fn a_push_wakes_one_idle_worker_and_passes_by_the_dead() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    // This one found nothing to do, and nobody listens for it any more.
    let dead = Session::open(&queue).await;
    dead.claim(1).await;
    let alive = Session::open(&queue).await;
    let mut listening = queue.listen(&alive.id).await.unwrap();
    alive.claim(1).await;
    queue.push(&job(&queue, &alice)).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, futures_next(&mut listening)).await.unwrap();
    assert_eq!(Wake::parse(&message), Some(Wake { shard: 0, give_up: None }));
}

#[tokio::test]
async fn what_was_handed_out_unheard_comes_back_by_mending() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..3 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let session = Session::open(&queue).await;
    let jobs = session.claim(3).await.jobs;
    // The worker heard of one only, with one permit.
    queue.mend_session(0, &session.id, LEASE, &[jobs[0].id], &[(alice.clone(), 1)]).await.unwrap();
    assert_eq!((counted(&queue, "ready").await, counted(&queue, "sending").await), (2, 1));
    assert_eq!(queue.stats().await.unwrap().lanes[0].permits, 1);
    assert_eq!(session.claim(9).await.grants, [(alice, 3)]);
}

#[tokio::test]
async fn a_session_that_leaves_hands_everything_back_at_once() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..3 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    let session = Session::open(&queue).await;
    let jobs = session.claim(3).await.jobs;
    session.settle(&jobs[0], Outcome::Back).await;
    queue.leave(0, &session.id, LEASE).await.unwrap();
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["ready"], stats.workers, stats.lanes[0].permits), (3, 0, 0));
}

#[tokio::test]
async fn redis_being_away_costs_nobody_the_lease() {
    let redis = postroom_it::RedisServer::start(postroom_it::Persistence::Always).await.unwrap();
    let queue = crate::support::connect(&redis, &[]).await;
    let alice = account(&queue, "alice@example.com").await;
    queue.push(&job(&queue, &alice)).await.unwrap();
    let session = Session::open_for(&queue, SHORT).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    redis.restart(SHORT * 3).await.unwrap();
    // Whoever comes first after the outage takes nothing from those who could not renew.
    let other = until("Redis to be back", PATIENCE, || async {
        let id = postroom_shared::queue::SessionId::random();
        Ok(queue.open_session(0, &id, "other", SHORT).await.ok().map(|_| Session {
            queue: queue.clone(),
            id,
            lease: SHORT,
        }))
    })
    .await
    .unwrap();
    assert!(other.claim(1).await.jobs.is_empty());
    assert_eq!(session.settle(&claimed, Outcome::Sent).await, Settled::Done);
}

#[tokio::test]
async fn the_heartbeat_that_comes_first_after_everybody_was_away_keeps_its_session() {
    let (_redis, queue) = queue().await;
    let session = Session::open_for(&queue, SHORT).await;
    // Nobody gave a sign of life for longer than the lease.
    tokio::time::sleep(SHORT * 2).await;
    assert!(matches!(queue.beat(0, &session.id, SHORT).await.unwrap(), Beat::Alive { .. }));
}

#[tokio::test]
async fn a_session_that_finds_its_own_lease_run_out_gets_nothing_and_leaves_nothing() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    for _ in 0..3 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    // The fleet gave signs of life, but nobody looked for lost leases: this session is the first that comes.
    let late = Session { lease: LEASE, ..Session::open_for(&queue, SHORT).await };
    let first = late.claim(1).await.jobs.remove(0);
    assert!(late.begin(&first).await);
    tokio::time::sleep(SHORT * 2).await;
    let answer = late.claim(3).await;
    assert!(answer.gone && answer.jobs.is_empty() && answer.grants.is_empty(), "{answer:?}");
    let stats = queue.stats().await.unwrap();
    assert_eq!((stats.states["ready"], stats.states["sending"], stats.workers, stats.lanes[0].permits), (3, 0, 0, 0));
    let next = Session::open(&queue).await;
    let claimed = next.claim(3).await.jobs;
    assert!(claimed.iter().any(|claimed| (claimed.id, claimed.leases_lost) == (first.id, 1)));
    next.settle_all(&claimed, Outcome::Sent).await;
    assert_eq!(counted(&queue, "sent").await, claimed.len() as u64);
}

#[tokio::test]
async fn recipients_that_are_done_stay_done() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let new = job(&queue, &alice);
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    let mut retry = settlement(&claimed, Outcome::Retry(Millis::now()));
    retry.recipients = Some(Recipients { open: vec![1], ..Recipients::default() });
    queue.settle(0, &[retry]).await.unwrap();
    let status = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.reason), (MailState::Retry, Some(Reason::ServerBusy)));
    let fates: Vec<_> = status.recipients.iter().map(|recipient| recipient.fate.as_str()).collect();
    assert_eq!(fates, ["delivered", "waiting"]);
    let again = session.claim(1).await.jobs.remove(0);
    assert_eq!((again.attempts, again.recipients.unwrap().open), (1, vec![1]));
}
