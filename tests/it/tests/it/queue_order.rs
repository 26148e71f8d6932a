//! Who goes first: priorities, fairness between accounts, times, idempotency, cancelling.

use std::time::Duration;

use postroom_shared::clock::Millis;
use postroom_shared::mail::Priority;
use postroom_shared::queue::{ListFilter, MailState, Outcome, PushError, Pushed};
use postroom_shared::reason::Reason;

use crate::support::{Session, account, counted, job, queue, queue_with};

#[tokio::test]
async fn urgent_goes_before_normal_before_bulk() {
    let (_redis, queue) = queue_with(&[("POSTROOM_ACCOUNT_CONNECTIONS", "10")]).await;
    let alice = account(&queue, "alice@example.com").await;
    for priority in [Priority::Bulk, Priority::Normal, Priority::Urgent, Priority::Bulk, Priority::Urgent] {
        let mut new = job(&queue, &alice);
        new.priority = priority;
        queue.push(&new).await.unwrap();
    }
    let answer = Session::open(&queue).await.claim(5).await;
    let mut order = Vec::new();
    for claimed in &answer.jobs {
        order.push(queue.mail(claimed.id).await.unwrap().unwrap().priority);
    }
    use Priority::{Bulk, Normal, Urgent};
    assert_eq!(order, [Urgent, Urgent, Normal, Bulk, Bulk]);
}

#[tokio::test]
async fn accounts_take_turns() {
    let (_redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    for _ in 0..100 {
        queue.push(&job(&queue, &alice)).await.unwrap();
    }
    queue.push(&job(&queue, &bob)).await.unwrap();
    let session = Session::open(&queue).await;
    // Alice has three permits at most; the fourth slot is Bob's although a hundred stand before him.
    let answer = session.claim(10).await;
    assert_eq!(answer.jobs.iter().filter(|claimed| claimed.account == alice).count(), 3);
    assert_eq!(answer.jobs.iter().filter(|claimed| claimed.account == bob).count(), 1);
}

#[tokio::test]
async fn a_scheduled_mail_waits_for_its_time_and_the_answer_says_how_long() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut new = job(&queue, &alice);
    new.send_at = Some(Millis::now().after(Duration::from_millis(400)));
    queue.push(&new).await.unwrap();
    let session = Session::open(&queue).await;
    let answer = session.claim(1).await;
    assert!(answer.jobs.is_empty());
    assert_eq!(queue.mail(new.id).await.unwrap().unwrap().state, MailState::Scheduled);
    let pause = answer.next_in.expect("when to look again");
    assert!(pause <= Duration::from_millis(400), "{pause:?}");
    tokio::time::sleep(pause + Duration::from_millis(2)).await;
    assert_eq!(session.claim(1).await.jobs.len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_stores_a_mail_once_and_refuses_another() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let with_key = |print: &str| {
        let mut new = job(&queue, &alice);
        new.idempotency = Some(("order-1".to_owned(), print.to_owned()));
        new
    };
    let (first, again, other) = (with_key("a"), with_key("a"), with_key("b"));
    let answers = queue.push_many(&[first.clone(), again]).await;
    assert_eq!(answers[0].as_ref().unwrap(), &Pushed::New(first.id));
    assert_eq!(answers[1].as_ref().unwrap(), &Pushed::Same(first.id));
    assert!(matches!(queue.push(&other).await, Err(PushError::Conflict(id)) if id == first.id));
    assert_eq!(counted(&queue, "ready").await, 1);
}

#[tokio::test]
async fn many_are_pushed_in_one_call_each_with_its_own_answer() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut jobs: Vec<_> = (0..250).map(|_| job(&queue, &alice)).collect();
    jobs[120].account = "nobody@example.com".parse().unwrap();
    let answers = queue.push_many(&jobs).await;
    for (place, answer) in answers.iter().enumerate() {
        match answer {
            Ok(pushed) => assert_eq!(pushed.id(), jobs[place].id),
            Err(error) => assert!(place == 120 && matches!(error, PushError::NoAccount), "{place}: {error}"),
        }
    }
    assert_eq!(counted(&queue, "ready").await, 249);
}

#[tokio::test]
async fn a_cancelled_mail_never_goes_and_one_under_way_cannot_be_cancelled() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let (ready, mut later, taken) = (job(&queue, &alice), job(&queue, &alice), job(&queue, &alice));
    later.send_at = Some(Millis::now().after(Duration::from_secs(3_600)));
    queue.push(&taken).await.unwrap();
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    queue.push(&ready).await.unwrap();
    queue.push(&later).await.unwrap();
    assert_eq!(queue.cancel(ready.id).await.unwrap(), Some(Ok(())));
    assert_eq!(queue.cancel(later.id).await.unwrap(), Some(Ok(())));
    assert_eq!(queue.cancel(taken.id).await.unwrap(), Some(Err(MailState::Sending)));
    assert_eq!(queue.cancel(ready.id).await.unwrap(), Some(Err(MailState::Cancelled)));
    assert_eq!(queue.cancel(queue.new_id(&alice, Millis::now())).await.unwrap(), None);
    assert!(session.claim(10).await.jobs.is_empty());
    session.settle(&claimed, Outcome::Sent).await;
    let states = queue.stats().await.unwrap().states;
    assert_eq!((states["cancelled"], states["sent"], states["ready"], states["scheduled"]), (2, 1, 0, 0));
    let status = queue.mail(ready.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.subject.as_deref()), (MailState::Cancelled, Some("A subject")));
    assert_eq!(queue.mail_bytes(ready.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_mail_past_its_deadline_is_a_dead_letter_with_its_bytes() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut new = job(&queue, &alice);
    new.ttl = Some(Duration::from_millis(1));
    queue.push(&new).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(Session::open(&queue).await.claim(1).await.jobs.is_empty());
    let status = queue.mail(new.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.reason), (MailState::Dead, Some(Reason::Expired)));
    assert_eq!(queue.mail_bytes(new.id).await.unwrap(), Some(new.job.bytes));
}

#[tokio::test]
async fn listings_show_the_newest_first_and_filter() {
    let (_redis, queue) = queue().await;
    let (alice, bob) = (account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await);
    let mut ids = Vec::new();
    for id in [&alice, &bob, &alice] {
        let new = job(&queue, id);
        queue.push(&new).await.unwrap();
        ids.push(new.id);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    queue.cancel(ids[0]).await.unwrap();
    let queue = &queue;
    let list =
        |filter| async move { queue.list(&filter).await.unwrap().iter().map(|mail| mail.id).collect::<Vec<_>>() };
    let all = ListFilter { limit: 10, ..ListFilter::default() };
    assert_eq!(list(all.clone()).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(ListFilter { limit: 1, ..all.clone() }).await, [ids[2]]);
    assert_eq!(list(ListFilter { account: Some(alice), ..all.clone() }).await, [ids[2], ids[0]]);
    assert_eq!(list(ListFilter { state: Some(MailState::Cancelled), ..all }).await, [ids[0]]);
}
