//! What an account may send: the ledger of 24 hours, the rate, logins, holds that stack, and the trial with one mail.

use std::time::Duration;

use postroom_shared::account::{Account, AccountId, Pause};
use postroom_shared::clock::Millis;
use postroom_shared::mail::Priority;
use postroom_shared::queue::{Finding, Held, NewJob, Outcome, Queue};
use postroom_shared::reason::Reason;

use crate::support::{Session, account, connect, job, prove, queue, queue_with};

const LONG: Duration = Duration::from_secs(3_600);

async fn limited(queue: &Queue, address: &str, change: impl FnOnce(&mut Account)) -> AccountId {
    let id: AccountId = address.parse().unwrap();
    let mut account = Account::new(id.clone());
    change(&mut account);
    queue.put_account(&account).await.unwrap();
    prove(queue, &id).await;
    id
}

async fn push(queue: &Queue, account: &AccountId, count: usize, priority: Priority) -> Vec<NewJob> {
    let one = || NewJob { priority, ..job(queue, account) };
    let jobs: Vec<_> = (0..count).map(|_| one()).collect();
    for answer in queue.push_many(&jobs).await {
        answer.unwrap();
    }
    jobs
}

/// Claims until nothing more comes, and settles all of it.
async fn drain(session: &Session, outcome: Outcome) -> usize {
    let mut total = 0;
    loop {
        let jobs = session.claim_with(50, 20, &[]).await.jobs;
        if jobs.is_empty() {
            return total;
        }
        total += jobs.len();
        session.settle_all(&jobs, outcome).await;
    }
}

#[tokio::test]
async fn eight_workers_never_pass_a_budget_and_use_all_of_it() {
    let (redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| {
        (account.limit, account.connections) = (Some(100), Some(20));
    })
    .await;
    push(&queue, &alice, 400, Priority::Normal).await;
    let workers = (0..8).map(|worker| {
        let (queue, redis) = (connect(&redis, &[]), &redis);
        async move {
            let _ = redis;
            let session = Session::open(&queue.await).await;
            let (mut sent, mut round, mut idle) = (0, worker, 0);
            // Some come back unsent, so that their place in the budget goes to others.
            while idle < 20 {
                let jobs = session.claim_with(7, 3, &[]).await.jobs;
                idle = if jobs.is_empty() { idle + 1 } else { 0 };
                for claimed in &jobs {
                    round += 1;
                    let outcome = if round % 5 == 0 { Outcome::Back } else { Outcome::Sent };
                    sent += usize::from(outcome == Outcome::Sent);
                    session.settle(claimed, outcome).await;
                }
            }
            sent
        }
    });
    let sent: usize = futures::future::join_all(workers).await.into_iter().sum();
    assert_eq!(sent, 100);
    let budget = queue.budget(&alice).await.unwrap().unwrap();
    assert_eq!((budget.messages.used, budget.messages.in_hand, budget.messages.left), (100, 0, Some(0)));
    let frees = budget.frees_at.unwrap().since(Millis::now());
    assert!(frees > 23 * LONG && frees <= 24 * LONG + Duration::from_secs(300), "{frees:?}");
}

#[tokio::test]
async fn what_is_older_than_a_day_may_be_sent_again() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| account.limit = Some(10)).await;
    let session = Session::open(&queue).await;
    let (old, new) = (Millis::now().0 - 90_000_000, Millis::now().0 - 3_600_000);
    let keys = queue.store().keys_of(&alice);
    let state = format!("0 0 {} 0 0 0 8 16 {old} 0 0 0 0 0 0", Millis::now().0);
    redis::pipe()
        .cmd("RPUSH")
        .arg(keys.ledger(&alice))
        .arg(format!("{old}:5:10"))
        .arg(format!("{new}:3:6"))
        .cmd("HSET")
        .arg(keys.account(&alice))
        .arg("state")
        .arg(state)
        .query_async::<()>(&mut queue.store().connection())
        .await
        .unwrap();
    push(&queue, &alice, 20, Priority::Normal).await;
    assert_eq!(drain(&session, Outcome::Sent).await, 7);
    assert_eq!(queue.budget(&alice).await.unwrap().unwrap().messages.used, 10);
}

#[tokio::test]
async fn recipients_are_counted_and_a_mail_with_too_many_waits_without_losing_its_place() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| account.recipients = Some(5)).await;
    let session = Session::open(&queue).await;
    // Two recipients each: two mails fit, a third does not.
    let jobs = push(&queue, &alice, 4, Priority::Normal).await;
    let given: Vec<_> = session.claim_with(10, 10, &[]).await.jobs;
    assert_eq!(given.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [jobs[0].id, jobs[1].id]);
    session.settle(&given[0], Outcome::Sent).await;
    // What surely was not sent is given back.
    session.settle(&given[1], Outcome::Retry(Millis::now().after(LONG))).await;
    let next = session.claim_with(10, 10, &[]).await.jobs;
    assert_eq!(next.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [jobs[2].id]);
    let budget = queue.budget(&alice).await.unwrap().unwrap();
    assert_eq!((budget.recipients.used, budget.recipients.in_hand, budget.recipients.left), (2, 2, Some(1)));
}

#[tokio::test]
async fn a_share_of_the_budget_is_kept_for_urgent_mail() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| {
        (account.limit, account.urgent_share) = (Some(10), 30);
    })
    .await;
    let session = Session::open(&queue).await;
    push(&queue, &alice, 20, Priority::Bulk).await;
    assert_eq!(drain(&session, Outcome::Sent).await, 7);
    push(&queue, &alice, 20, Priority::Urgent).await;
    assert_eq!(drain(&session, Outcome::Sent).await, 3);
}

#[tokio::test]
async fn a_rate_holds_over_the_whole_fleet_with_its_burst() {
    let (_redis, queue) = queue().await;
    let alice =
        limited(&queue, "alice@example.com", |account| (account.rate, account.burst) = (Some(20.0), Some(4))).await;
    let sessions = [Session::open(&queue).await, Session::open(&queue).await];
    push(&queue, &alice, 12, Priority::Normal).await;
    let began = std::time::Instant::now();
    let mut sent = 0;
    while sent < 12 {
        let mut next_in = Duration::MAX;
        // The first session's permits bring one mail each, and the next call the rest of the burst.
        for session in [&sessions[0], &sessions[0], &sessions[1]] {
            let answer = session.claim_with(50, 20, &[]).await;
            sent += answer.jobs.len();
            session.settle_all(&answer.jobs, Outcome::Sent).await;
            next_in = next_in.min(answer.next_in.unwrap_or(Duration::MAX));
        }
        assert!(sent >= 4, "the burst goes at once");
        assert!(sent <= 4 + 1 + usize::try_from(began.elapsed().as_millis() / 50).unwrap(), "{sent}");
        if sent < 12 {
            tokio::time::sleep(next_in).await;
        }
    }
}

#[tokio::test]
async fn holds_stack_and_an_account_goes_on_when_the_last_one_ended() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    push(&queue, &alice, 3, Priority::Normal).await;
    let short = Pause::For { least: Duration::from_millis(100), most: LONG };
    queue.hold(&alice, Reason::Quota, "a limit", short).await.unwrap();
    queue.hold(&alice, Reason::Operator, "a person", Pause::UntilAPerson).await.unwrap();
    let held = queue.account(&alice).await.unwrap().unwrap();
    assert_eq!(held.holds.len(), 2);
    assert_eq!(held.hold().unwrap().reason, Reason::Operator);
    tokio::time::sleep(session.claim(5).await.next_in.unwrap() + Duration::from_millis(2)).await;
    assert!(session.claim(5).await.jobs.is_empty(), "the operator's hold still stands");
    queue.lift(&alice, Reason::Operator).await.unwrap();
    let jobs = session.claim(5).await.jobs;
    assert_eq!(jobs.len(), 1, "with one mail first");
    assert_eq!(jobs[0].attempts, 0);
}

#[tokio::test]
async fn a_pause_grows_while_its_reason_comes_again_and_begins_anew_after_a_delivery() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    push(&queue, &alice, 9, Priority::Normal).await;
    let (least, most) = (Duration::from_millis(100), Duration::from_millis(350));
    let hold = || async {
        let now = Millis::now();
        let until = queue.hold(&alice, Reason::Quota, "a limit", Pause::For { least, most }).await.unwrap().unwrap();
        until.since(now)
    };
    let about = |pause: Duration, millis: u64| {
        let expected = Duration::from_millis(millis);
        assert!(
            pause + Duration::from_millis(20) >= expected && pause <= expected + Duration::from_millis(60),
            "{pause:?}"
        );
    };
    for millis in [100, 200, 350, 350] {
        let pause = hold().await;
        about(pause, millis);
        assert!(hold().await <= pause + Duration::from_millis(60), "a hold that lasts is not made longer");
        tokio::time::sleep(pause + Duration::from_millis(60)).await;
        let jobs = session.claim(5).await.jobs;
        assert_eq!(jobs.len(), 1, "with one mail first");
        session.settle(&jobs[0], Outcome::Back).await;
    }
    let jobs = session.claim(5).await.jobs;
    session.settle_all(&jobs, Outcome::Sent).await;
    about(hold().await, 100);
}

#[tokio::test]
async fn a_refusal_for_quota_corrects_the_ledger_until_the_next_delivery() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| account.limit = Some(500)).await;
    let session = Session::open(&queue).await;
    push(&queue, &alice, 5, Priority::Normal).await;
    let jobs = session.claim(1).await.jobs;
    session.settle_all(&jobs, Outcome::Sent).await;
    queue.correct_ledger(&alice).await.unwrap();
    let budget = queue.budget(&alice).await.unwrap().unwrap().messages;
    assert_eq!((budget.used, budget.elsewhere, budget.left), (1, 499, Some(0)));
    let pause = Duration::from_millis(50);
    queue.hold(&alice, Reason::Quota, "a limit", Pause::For { least: pause, most: pause }).await.unwrap();
    tokio::time::sleep(pause + Duration::from_millis(20)).await;
    let probe = session.claim(5).await.jobs;
    assert_eq!(probe.len(), 1, "a trial goes beside the ledger");
    session.settle_all(&probe, Outcome::Sent).await;
    let budget = queue.budget(&alice).await.unwrap().unwrap().messages;
    assert_eq!((budget.used, budget.elsewhere, budget.left), (2, 0, Some(498)));
}

#[tokio::test]
async fn logins_are_limited_and_deliveries_earn_them_back() {
    let settings = [("POSTROOM_LOGIN_BURST", "3"), ("POSTROOM_LOGIN_INTERVAL", "10m")];
    let (_redis, queue) = queue_with(&settings).await;
    let alice = account(&queue, "alice@example.com").await;
    let session = Session::open(&queue).await;
    // A first connection stands, and goes on when no login is left.
    push(&queue, &alice, 1, Priority::Normal).await;
    assert_eq!(drain(&session, Outcome::Sent).await, 1);
    for _ in 0..3 {
        assert_eq!(queue.may_log_in(&alice).await.unwrap(), None);
    }
    // 12 deliveries are worth one login, and a bit.
    push(&queue, &alice, 12, Priority::Normal).await;
    assert_eq!(drain(&session, Outcome::Sent).await, 12);
    assert_eq!(queue.may_log_in(&alice).await.unwrap(), None);
    let pause = queue.may_log_in(&alice).await.unwrap().unwrap();
    assert!(pause > Duration::from_secs(400) && pause <= Duration::from_secs(600), "{pause:?}");
    let held = queue.account(&alice).await.unwrap().unwrap();
    assert_eq!(held.hold().unwrap().reason, Reason::LoginLimit);
    push(&queue, &alice, 1, Priority::Normal).await;
    assert!(session.claim(5).await.jobs.is_empty());
}

#[tokio::test]
async fn a_new_account_is_tried_with_one_mail_and_a_slow_first_mail_does_not_keep_the_others() {
    let (_redis, queue) = queue().await;
    let alice: AccountId = "alice@example.com".parse().unwrap();
    queue.put_account(&Account::new(alice.clone())).await.unwrap();
    let session = Session::open(&queue).await;
    push(&queue, &alice, 9, Priority::Normal).await;
    let first = session.claim_with(9, 9, &[]).await;
    assert_eq!(first.jobs.len(), 1);
    // It is slow: after a second another may go.
    tokio::time::sleep(first.next_in.unwrap() + Duration::from_millis(5)).await;
    let second = session.claim_with(9, 9, &[]).await;
    assert_eq!(second.jobs.len(), 1);
    // Neither says anything of the account: it is tried with one again. Then one goes, and the account has proved itself.
    session.settle_all(&first.jobs, Outcome::Back).await;
    session.settle_all(&second.jobs, Outcome::Back).await;
    let third = session.claim_with(9, 9, &[]).await.jobs;
    assert_eq!(third.len(), 1);
    session.settle_all(&third, Outcome::Sent).await;
    assert_eq!(session.claim_with(9, 9, &[]).await.jobs.len(), 8);
}

#[tokio::test]
async fn a_client_that_is_refused_holds_all_its_accounts_and_no_other() {
    let (_redis, queue) = queue().await;
    let with_client = |client: &'static str| move |account: &mut Account| account.client = Some(client.to_owned());
    let alice = limited(&queue, "alice@example.com", with_client("one")).await;
    let bob = limited(&queue, "bob@example.com", with_client("one")).await;
    let carol = limited(&queue, "carol@example.com", with_client("two")).await;
    assert_eq!(queue.hold_client(&alice, "invalid_client", Duration::ZERO).await.unwrap(), 2);
    let held = |id: AccountId| {
        let queue = queue.clone();
        async move { queue.account(&id).await.unwrap().unwrap().hold().map(|hold| hold.reason) }
    };
    assert_eq!(held(alice.clone()).await, Some(Reason::Client));
    assert_eq!((held(bob.clone()).await, held(carol).await), (Some(Reason::Client), None));
    queue.resume(&alice).await.unwrap();
    assert_eq!((held(alice).await, held(bob).await), (None, None));
}

#[tokio::test]
async fn what_was_refused_before_a_person_resumed_holds_nobody() {
    let (_redis, queue) = queue().await;
    let with_client = |account: &mut Account| account.client = Some("one".to_owned());
    let alice = limited(&queue, "alice@example.com", with_client).await;
    let bob = limited(&queue, "bob@example.com", with_client).await;
    queue.resume(&alice).await.unwrap();
    let finding = Finding { reason: Reason::Consent, pause: Pause::UntilAPerson, fewer: false };
    let refused = |age: Duration| queue.hold_after_attempt(&alice, finding, "gone", age);
    assert_eq!(refused(Duration::from_secs(600)).await.unwrap(), Held::Outdated);
    assert_eq!(queue.hold_client(&alice, "invalid_client", Duration::from_secs(600)).await.unwrap(), 0);
    for account in [&alice, &bob] {
        assert!(queue.account(account).await.unwrap().unwrap().hold().is_none());
    }
    assert_eq!(refused(Duration::ZERO).await.unwrap(), Held::UntilAPerson);
    // A person needs no attempt.
    queue.resume(&alice).await.unwrap();
    queue.hold(&alice, Reason::Operator, "a test", Pause::UntilAPerson).await.unwrap();
    assert!(queue.account(&alice).await.unwrap().unwrap().hold().is_some());
}

#[tokio::test]
async fn a_server_that_finds_connections_too_many_gets_one_fewer_for_each_finding() {
    let (_redis, queue) = queue().await;
    let alice = limited(&queue, "alice@example.com", |account| account.connections = Some(3)).await;
    let session = Session::open(&queue).await;
    push(&queue, &alice, 30, Priority::Normal).await;
    let pause = Duration::from_millis(40);
    let finding = Finding { reason: Reason::ServerBusy, pause: Pause::For { least: pause, most: pause }, fewer: true };
    for expected in [2, 1, 1] {
        // Several connections are told so at once.
        for _ in 0..3 {
            queue.hold_after_attempt(&alice, finding, "421 4.7.0", Duration::ZERO).await.unwrap();
        }
        let (connections, until) = queue.account(&alice).await.unwrap().unwrap().fewer.unwrap();
        assert_eq!(connections, expected);
        assert!(until > Millis::now().after(LONG / 2) && until <= Millis::now().after(LONG * 2), "{until}");
        tokio::time::sleep(pause + Duration::from_millis(20)).await;
        let probe = session.claim(9).await.jobs;
        assert_eq!(probe.len(), 1, "with one mail first");
        session.settle_all(&probe, Outcome::Sent).await;
        let jobs = session.claim_with(9, 1, &[]).await.jobs;
        assert_eq!(jobs.len(), expected as usize);
        session.settle_all(&jobs, Outcome::Sent).await;
        assert!(session.claim_with(0, 1, &[(alice.clone(), 0)]).await.jobs.is_empty());
    }
    queue.resume(&alice).await.unwrap();
    assert_eq!(queue.account(&alice).await.unwrap().unwrap().fewer, None);
    let probe = session.claim(9).await.jobs;
    session.settle_all(&probe, Outcome::Sent).await;
    assert_eq!(session.claim_with(9, 1, &[]).await.jobs.len(), 3);
}
