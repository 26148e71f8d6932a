//! Another time for a mail that waits: its deadline moves along, and no claim at the same moment loses or doubles it.

use std::collections::HashMap;
use std::time::Duration;

use postroom_shared::account::Pause;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, MailStatus, NewJob, Outcome, Pooled, Queue, RescheduleError, What};
use postroom_shared::reason::Reason;

use crate::support::{Session, account, counted, job, queue, queue_with};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn ahead(span: Duration) -> Millis {
    Millis::now().after(span)
}

async fn status(queue: &Queue, id: MailId) -> MailStatus {
    queue.mail(id).await.unwrap().unwrap()
}

async fn reschedule(queue: &Queue, id: MailId, to: Millis) -> Option<Result<(), MailState>> {
    queue.reschedule(id, to).await.unwrap()
}

#[tokio::test]
async fn a_mail_gets_another_time_and_its_deadline_moves_along() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let new = NewJob { send_at: Some(ahead(HOUR)), ttl: Some(HOUR), ..job(&queue, &alice) };
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    for to in [ahead(DAY), ahead(HOUR / 2)] {
        assert_eq!(reschedule(&queue, new.id, to).await, Some(Ok(())));
        let mail = status(&queue, new.id).await;
        assert_eq!((mail.state, mail.at, mail.deadline), (MailState::Scheduled, to, to.after(HOUR)));
        assert_eq!(mail.timeline.last().unwrap().what, What::Rescheduled { to });
        let answer = session.claim(5).await;
        assert!(answer.jobs.is_empty());
        assert!(answer.next_in.unwrap() <= Duration::from_millis(to.0 - Millis::now().0 + 1_000), "{answer:?}");
    }
    let before = Millis::now();
    assert_eq!(reschedule(&queue, new.id, Millis(0)).await, Some(Ok(())));
    let mail = status(&queue, new.id).await;
    assert_eq!((mail.state, mail.deadline), (MailState::Ready, mail.at.after(HOUR)));
    assert!(mail.at >= before && mail.at <= Millis::now(), "{:?}", mail.at);
    let states = queue.stats().await.unwrap().states;
    assert_eq!((states["scheduled"], states["ready"]), (0, 1));
    let claimed = session.claim(5).await.jobs.remove(0);
    session.settle(&claimed, Outcome::Sent).await;
    let mail = status(&queue, new.id).await;
    let told = mail.timeline.iter().filter(|event| matches!(event.what, What::Rescheduled { .. })).count();
    assert_eq!((mail.state, told, mail.attempts), (MailState::Sent, 3, 1));
    assert!(session.claim(5).await.jobs.is_empty());
}

#[tokio::test]
async fn a_mail_in_its_lane_leaves_it_and_comes_back() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let waiting = || async { queue.standing(&alice).await.unwrap().unwrap().waiting.iter().sum::<u64>() };
    let new = job(&queue, &alice);
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    // However often it goes and comes, it has one entry at most.
    for _ in 0..5 {
        assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Ok(())));
        assert_eq!((status(&queue, new.id).await.state, waiting().await), (MailState::Scheduled, 0));
        assert!(session.claim(5).await.jobs.is_empty());
        assert_eq!(reschedule(&queue, new.id, Millis(0)).await, Some(Ok(())));
        assert_eq!((status(&queue, new.id).await.state, waiting().await), (MailState::Ready, 1));
    }
    // Behind many others, its entry at the lane's end is found as well.
    let others: Vec<NewJob> = (0..300).map(|_| job(&queue, &alice)).collect();
    queue.push_many(&others).await;
    let last = job(&queue, &alice);
    queue.push(&last).await.unwrap();
    reschedule(&queue, last.id, ahead(HOUR)).await;
    assert_eq!((waiting().await, counted(&queue, "ready").await), (301, 301));
    // One in the middle keeps its entry, which is passed over.
    reschedule(&queue, others[250].id, ahead(HOUR)).await;
    let everybody = Session::open(&queue).await;
    let mut handed_out = 0;
    while counted(&queue, "ready").await > 0 {
        let jobs = everybody.claim_with(200, 200, &[]).await.jobs;
        handed_out += jobs.len();
        everybody.settle_all(&jobs, Outcome::Sent).await;
    }
    assert_eq!((handed_out, counted(&queue, "scheduled").await, waiting().await), (300, 2, 0));
}

#[tokio::test]
async fn what_was_tried_or_has_ended_keeps_its_time() {
    let (_redis, queue) = queue_with(&[("POSTROOM_ACCOUNT_CONNECTIONS", "10")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    let new = job(&queue, &alice);
    queue.push(&new).await.unwrap();
    let claimed = session.claim(1).await.jobs.remove(0);
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Err(MailState::Sending)));
    // Handed back untried, it may get another time.
    session.settle(&claimed, Outcome::Back).await;
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Ok(())));
    assert_eq!(reschedule(&queue, new.id, Millis(0)).await, Some(Ok(())));
    let claimed = session.claim(1).await.jobs.remove(0);
    session.settle(&claimed, Outcome::Retry(Millis::now())).await;
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Err(MailState::Retry)));
    session.claim(0).await;
    assert_eq!(status(&queue, new.id).await.state, MailState::Ready);
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Err(MailState::Retry)));
    let claimed = session.claim(1).await.jobs.remove(0);
    session.settle(&claimed, Outcome::Sent).await;
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Err(MailState::Sent)));
    let cancelled = job(&queue, &alice);
    queue.push(&cancelled).await.unwrap();
    queue.cancel(cancelled.id).await.unwrap().unwrap().unwrap();
    assert_eq!(reschedule(&queue, cancelled.id, ahead(HOUR)).await, Some(Err(MailState::Cancelled)));
    assert_eq!(reschedule(&queue, queue.new_id(&alice, Millis::now()), ahead(HOUR)).await, None);
    let too_far = queue.reschedule(cancelled.id, ahead(DAY * 30 + HOUR)).await;
    assert!(matches!(too_far, Err(RescheduleError::TooFar)), "{too_far:?}");
}

/// Its bytes may have left, then its worker was lost: the server may have it.
#[tokio::test]
async fn a_mail_in_doubt_keeps_its_time() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open_for(&queue, Duration::from_secs(1)).await;
    let new = job(&queue, &alice);
    queue.push(&new).await.unwrap();
    let claimed = session.claim(1).await.jobs.remove(0);
    assert!(session.begin(&claimed).await);
    queue.leave(0, &session.id, Duration::from_secs(1)).await.unwrap();
    assert_eq!(status(&queue, new.id).await.state, MailState::Ready);
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Err(MailState::Retry)));
}

#[tokio::test]
async fn a_mail_of_a_pool_chooses_anew_when_its_time_has_come() {
    let (_redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    let accounts = vec![alice.clone(), bob.clone()];
    let pool = Some(Pooled { pool: "shop".parse().unwrap(), accounts, thread: vec!["<1@x>".to_owned()] });
    let new = NewJob { pool, ..job(&queue, &alice) };
    queue.push(&new).await.unwrap();
    let first = status(&queue, new.id).await.account;
    assert_eq!(reschedule(&queue, new.id, ahead(HOUR)).await, Some(Ok(())));
    let pause = Pause::For { least: HOUR, most: HOUR };
    queue.hold(&first, Reason::Quota, "full", pause).await.unwrap();
    assert_eq!(status(&queue, new.id).await.state, MailState::Scheduled);
    assert_eq!(reschedule(&queue, new.id, Millis(0)).await, Some(Ok(())));
    let mail = status(&queue, new.id).await;
    assert_eq!(mail.state, MailState::Ready);
    assert_ne!(mail.account, first);
    let claimed = Session::open(&queue).await.claim(1).await.jobs.remove(0);
    assert_eq!((claimed.id, claimed.account), (new.id, mail.account));
}

#[tokio::test]
async fn claims_at_the_same_moment_neither_lose_nor_double_a_mail() {
    const MAILS: usize = 200;
    let (_redis, queue) = queue_with(&[("POSTROOM_ACCOUNT_CONNECTIONS", "50")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let soon = |step: usize| Some(ahead(Duration::from_millis(step as u64 % 40)));
    let jobs: Vec<NewJob> = (0..MAILS).map(|step| NewJob { send_at: soon(step), ..job(&queue, &alice) }).collect();
    queue.push_many(&jobs).await;
    let movers = (0..4).map(|mover| {
        let (queue, ids) = (queue.clone(), jobs.iter().map(|job| job.id).collect::<Vec<_>>());
        tokio::spawn(async move {
            for round in 0..5_u64 {
                for id in ids.iter().skip(mover).step_by(2) {
                    reschedule(&queue, *id, ahead(Duration::from_millis((round * 7) % 20))).await;
                }
            }
        })
    });
    let movers: Vec<_> = movers.collect();
    let mut times: HashMap<MailId, usize> = HashMap::new();
    let session = Session::open(&queue).await;
    let begun = Millis::now();
    while times.len() < MAILS && Millis::now().since(begun) < Duration::from_secs(60) {
        let jobs = session.claim_with(20, 4, &[]).await.jobs;
        for job in &jobs {
            *times.entry(job.id).or_default() += 1;
        }
        session.settle_all(&jobs, Outcome::Sent).await;
    }
    for mover in movers {
        mover.await.unwrap();
    }
    assert!(session.claim_with(20, 4, &[]).await.jobs.is_empty());
    assert_eq!((times.len(), times.values().sum::<usize>()), (MAILS, MAILS));
    let states = queue.stats().await.unwrap().states;
    assert_eq!((states["sent"], states["ready"], states["scheduled"]), (MAILS as u64, 0, 0));
}
