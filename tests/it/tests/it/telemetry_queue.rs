//! The figures of the queue: what waits, what could be at work, for how long, and why not.

use std::time::Duration;

use postroom_shared::account::{Account, AccountId, Pause};
use postroom_shared::clock::Millis;
use postroom_shared::mail::Priority;
use postroom_shared::queue::{AccountFigures, NewJob, Outcome, QueueFigures};
use postroom_shared::reason::Reason;

use crate::support::{Session, account, job, prove, queue};

const HOUR: Duration = Duration::from_secs(3_600);

fn slots(figures: &QueueFigures) -> u64 {
    figures.accounts.iter().map(|account| account.slots_wanted).sum()
}

fn of_account<'a>(figures: &'a QueueFigures, id: &AccountId) -> &'a AccountFigures {
    figures.accounts.iter().find(|account| account.account == *id).unwrap()
}

#[tokio::test]
async fn slots_are_wanted_as_far_as_connections_limits_and_holds_let_mail_go() {
    let (_redis, queue) = queue().await;
    let [free, few, held, spent] = ["free", "few", "held", "spent"].map(|name| format!("{name}@example.com"));
    let (free, few, held, spent) = (
        account(&queue, &free).await,
        account(&queue, &few).await,
        account(&queue, &held).await,
        account(&queue, &spent).await,
    );
    assert_eq!(slots(&queue.figures().await.unwrap()), 0);
    queue.put_account(&Account { limit: Some(2), ..Account::new(spent.clone()) }).await.unwrap();
    prove(&queue, &spent).await;
    for (id, mails) in [(&free, 10), (&few, 2), (&held, 4), (&spent, 3)] {
        for _ in 0..mails {
            queue.push(&job(&queue, id)).await.unwrap();
        }
    }
    queue.hold(&held, Reason::Consent, "gone", Pause::UntilAPerson).await.unwrap();
    let figures = queue.figures().await.unwrap();
    let of = |id| of_account(&figures, id);
    let wanted = [&free, &few, &held, &spent].map(|id| of(id).slots_wanted);
    // Three connections an account; two mails; held; two of the limit left.
    assert_eq!(wanted, [3, 2, 0, 2]);
    assert_eq!((of(&held).held, of(&held).all_waiting(), of(&free).held), (Some(Reason::Consent), 4, None));
    assert_eq!((of(&spent).limit, of(&spent).used, figures.states["ready"]), (Some(2), 0, 19));

    // What is in hand wants its slot, too; a limit that is used up lets nothing more go.
    let session = Session::open(&queue).await;
    let claimed = session.claim(100).await.jobs;
    assert_eq!(slots(&queue.figures().await.unwrap()), 3 + 2 + 2);
    session.settle_all(&claimed, Outcome::Sent).await;
    let figures = queue.figures().await.unwrap();
    let of = |id| of_account(&figures, id);
    assert_eq!((of(&spent).slots_wanted, of(&spent).used, of(&spent).all_waiting()), (0, 2, 1));
    assert_eq!((of(&spent).oldest, figures.workers), ([Duration::ZERO; 3], 1));
}

#[tokio::test]
async fn mail_that_is_due_wants_slots_though_no_worker_lives_to_bring_it_to_its_lane() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let soon = Millis::now().after(Duration::from_millis(300));
    queue.push(&NewJob { send_at: Some(soon), ..job(&queue, &alice) }).await.unwrap();
    let later = Millis::now().after(HOUR);
    queue.push(&NewJob { send_at: Some(later), ..job(&queue, &alice) }).await.unwrap();
    let before = queue.figures().await.unwrap();
    assert_eq!((slots(&before), before.states["scheduled"], before.schedule_lag), (0, 2, Duration::ZERO));
    let due = postroom_it::until("the mail to be due", postroom_it::PATIENCE, || async {
        let figures = queue.figures().await?;
        Ok((figures.schedule_lag > Duration::ZERO).then_some(figures))
    });
    assert_eq!(slots(&due.await.unwrap()), 1);
}

#[tokio::test]
async fn ages_are_told_of_what_could_go_and_of_the_dead() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let old = queue.push(&NewJob { priority: Priority::Bulk, ..job(&queue, &alice) }).await.unwrap().id();
    let key = queue.store().keys(0).mail(old);
    let an_hour_ago = (Millis::now().0 - 3_600_000).to_string();
    redis.ask::<i64>(&["HSET", &key, "t", &an_hour_ago]).await.unwrap();
    let figures = queue.figures().await.unwrap();
    let [urgent, normal, bulk] = figures.accounts[0].oldest;
    assert_eq!((urgent, normal), (Duration::ZERO, Duration::ZERO));
    assert!(bulk >= HOUR && bulk < HOUR + postroom_it::PATIENCE, "{bulk:?}");

    // A hold is on purpose: what waited before it is not counted after it.
    queue.hold(&alice, Reason::Quota, "wait", Pause::UntilAPerson).await.unwrap();
    assert_eq!(queue.figures().await.unwrap().accounts[0].oldest, [Duration::ZERO; 3]);
    queue.resume(&alice).await.unwrap();
    assert!(queue.figures().await.unwrap().accounts[0].oldest[2] < postroom_it::PATIENCE);
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs.remove(0);
    assert!(claimed.waited < postroom_it::PATIENCE && claimed.overdue < postroom_it::PATIENCE, "{claimed:?}");

    session.settle_all(&[claimed], Outcome::Dead).await;
    let dead = queue.store().keys(0).dead();
    let two_hours_ago = (Millis::now().0 - 7_200_000).to_string();
    redis.ask::<i64>(&["ZADD", &dead, "XX", &two_hours_ago, &old.to_string()]).await.unwrap();
    let figures = queue.figures().await.unwrap();
    assert!(figures.oldest_dead >= 2 * HOUR, "{:?}", figures.oldest_dead);
    assert_eq!(figures.states["dead"], 1);
}

#[tokio::test]
async fn an_attempt_that_failed_counts_against_the_mails_time() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let id = queue.push(&job(&queue, &alice)).await.unwrap().id();
    let key = queue.store().keys(0).mail(id);
    let an_hour_ago = (Millis::now().0 - 3_600_000).to_string();
    redis.ask::<i64>(&["HSET", &key, "t", &an_hour_ago]).await.unwrap();
    let session = Session::open(&queue).await;
    let first = session.claim(1).await.jobs.remove(0);
    assert!(first.waited >= HOUR && first.overdue == first.waited, "{first:?}");
    session.settle_all(&[first], Outcome::Retry(Millis::now())).await;
    let again = postroom_it::until("the mail to be handed out again", postroom_it::PATIENCE, || async {
        Ok(session.claim(1).await.jobs.pop())
    });
    let again = again.await.unwrap();
    assert!(again.waited < postroom_it::PATIENCE && again.overdue >= HOUR, "{again:?}");
}
