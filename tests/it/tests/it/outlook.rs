//! When will it go: what the queue answers for mails that wait, and why not now.

use std::time::Duration;

use postroom_shared::account::{Account, AccountId, Pause};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Priority;
use postroom_shared::queue::{MailState, NewJob, Outcome, Outlook, Queue, Why};
use postroom_shared::reason::Reason;

use crate::support::{Session, job, prove, queue};

const HOUR: Duration = Duration::from_secs(3_600);

async fn limited(queue: &Queue, address: &str, change: impl FnOnce(&mut Account)) -> AccountId {
    let id: AccountId = address.parse().unwrap();
    let mut account = Account { limit: Some(1_000), ..Account::new(id.clone()) };
    change(&mut account);
    queue.put_account(&account).await.unwrap();
    prove(queue, &id).await;
    id
}

async fn push(queue: &Queue, jobs: &[NewJob]) -> Vec<MailId> {
    queue.push_many(jobs).await.into_iter().map(|answer| answer.unwrap().id()).collect()
}

async fn push_some(queue: &Queue, account: &AccountId, count: usize) -> Vec<MailId> {
    push(queue, &(0..count).map(|_| job(queue, account)).collect::<Vec<_>>()).await
}

/// What `mail show` and `send` say of mails; both must say the same.
async fn looks(queue: &Queue, ids: &[MailId]) -> Vec<Outlook> {
    let many = queue.outlooks(ids).await.unwrap();
    let mut found = Vec::new();
    for (id, place) in ids.iter().zip(many) {
        let (one, many) = (queue.mail(*id).await.unwrap().unwrap().outlook.unwrap(), place.unwrap().outlook.unwrap());
        assert_eq!((one.why, one.reason), (many.why, many.reason), "{one:?} {many:?}");
        found.push(one);
    }
    found
}

fn hours(outlook: &Outlook) -> u64 {
    outlook.likely_at.unwrap().since(Millis::now()).as_secs().div_ceil(60) / 60
}

#[tokio::test]
async fn nothing_in_its_way_no_worker_and_held() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |_| {}).await;
    let ids = push_some(&queue, &alice, 1).await;
    let look = || async { looks(&queue, &ids).await.remove(0) };
    let alone = look().await;
    assert_eq!((alone.likely_at, alone.why), (None, Some(Why::NoWorker)));

    let session = Session::open(&queue).await;
    let now = look().await;
    assert!(now.why.is_none() && now.likely_at.unwrap() <= Millis::now(), "{now:?}");

    queue.hold(&alice, Reason::Quota, "5.4.5", Pause::For { least: 3 * HOUR, most: 3 * HOUR }).await.unwrap();
    let held = look().await;
    assert_eq!((held.why, held.reason, hours(&held)), (Some(Why::Held), Some(Reason::Quota), 3));
    queue.hold(&alice, Reason::Consent, "gone", Pause::UntilAPerson).await.unwrap();
    let person = look().await;
    assert_eq!((person.likely_at, person.why, person.reason), (None, Some(Why::Held), Some(Reason::Consent)));

    queue.resume(&alice).await.unwrap();
    let claimed = session.claim(1).await.jobs;
    assert_eq!(look().await.why, None);
    session.settle(&claimed[0], Outcome::Sent).await;
    assert_eq!(queue.mail(ids[0]).await.unwrap().unwrap().outlook, None);
    assert_eq!(queue.outlooks(&ids).await.unwrap()[0].as_ref().unwrap().outlook, None);
    assert_eq!(queue.outlooks(&[queue.new_id(&alice, Millis::now())]).await.unwrap(), [None]);
}

#[tokio::test]
async fn a_used_up_budget_says_when_it_is_free_again() {
    let (_redis, queue) = queue().await;
    let alice =
        limited(&queue, "alice@example.com", |account| (account.limit, account.connections) = (Some(4), Some(9))).await;
    let session = Session::open(&queue).await;
    let first = push_some(&queue, &alice, 4).await;
    let claimed = session.claim(9).await.jobs;
    assert_eq!(claimed.len(), first.len());
    session.settle_all(&claimed, Outcome::Sent).await;
    let ids = push_some(&queue, &alice, 5).await;
    let found = looks(&queue, &ids).await;
    let budget = queue.budget(&alice).await.unwrap().unwrap();
    assert_eq!((budget.messages.used, budget.messages.left), (4, Some(0)));
    for look in &found[..4] {
        assert_eq!((look.why, look.likely_at), (Some(Why::Budget), budget.frees_at), "{look:?}");
    }
    // The fifth finds none on the next day, either, and its deadline comes first.
    assert_eq!((hours(&found[4]), found[4].too_late), (48, true), "{:?}", found[4]);
    assert!(session.claim(9).await.jobs.is_empty());
}

#[tokio::test]
async fn a_rate_and_the_mails_ahead() {
    let (_redis, queue) = queue().await;
    let paced = limited(&queue, "paced@example.com", |account| account.rate = Some(0.1)).await;
    let free = limited(&queue, "free@example.com", |_| {}).await;
    let _session = Session::open(&queue).await;
    let ids = push_some(&queue, &paced, 3).await;
    let found = looks(&queue, &ids).await;
    assert_eq!(found.iter().map(|look| look.why).collect::<Vec<_>>(), [None, Some(Why::Rate), Some(Why::Rate)]);
    let apart = found[2].likely_at.unwrap().since(found[1].likely_at.unwrap()).as_millis();
    assert!((9_900..=10_100).contains(&apart), "{apart}");

    let ids = push_some(&queue, &free, 100).await;
    let found = looks(&queue, &ids).await;
    assert_eq!((found[0].why, found[99].why), (None, Some(Why::Ahead)));
    assert!(found[99].note.starts_with("99 mails"), "{:?}", found[99]);
    // Urgent mail is not behind them.
    let urgent = push(&queue, &[NewJob { priority: Priority::Urgent, ..job(&queue, &free) }]).await;
    assert_eq!(looks(&queue, &urgent).await[0].why, None);
}

#[tokio::test]
async fn scheduled_retried_and_in_doubt() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| account.connections = Some(9)).await;
    let session = Session::open(&queue).await;
    let at = Millis::now().after(HOUR);
    let scheduled = push(&queue, &[NewJob { send_at: Some(at), ..job(&queue, &alice) }]).await;
    let mut ids = push_some(&queue, &alice, 2).await;
    let claimed = session.claim(9).await.jobs;
    session.settle(&claimed[0], Outcome::Retry(at)).await;
    session.settle(&claimed[1], Outcome::Check(at)).await;
    ids.extend(scheduled);
    let found = looks(&queue, &ids).await;
    let expected = [Why::Retry, Why::InDoubt, Why::Due];
    assert_eq!(found.iter().map(|look| look.why.unwrap()).collect::<Vec<_>>(), expected);
    assert!(found.iter().all(|look| look.likely_at == Some(at)), "{found:?}");
    assert_eq!(queue.mail(ids[2]).await.unwrap().unwrap().state, MailState::Scheduled);
}
