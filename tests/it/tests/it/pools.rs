//! Pools: which account gets a mail, when it moves to another one, when it stays, and that a thread stays together.

use std::time::Duration;

use postroom_shared::account::{Account, AccountId, Pause};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Priority;
use postroom_shared::pool::Pool;
use postroom_shared::queue::{MailState, MailStatus, NewJob, Outcome, Pooled, Queue, What};
use postroom_shared::reason::Reason;

use crate::support::{Session, job, prove, queue, queue_with};

const HOUR: Duration = Duration::from_secs(3_600);
const A_DAY: Pause = Pause::For { least: Duration::from_secs(86_400), most: Duration::from_secs(86_400) };

async fn limited(queue: &Queue, name: &str, limit: u32) -> AccountId {
    let id: AccountId = format!("{name}@example.com").parse().unwrap();
    let account = Account { limit: Some(limit), connections: Some(50), ..Account::new(id.clone()) };
    queue.put_account(&account).await.unwrap();
    prove(queue, &id).await;
    id
}

/// A mail of the pool; `thread` as at the door: its root if it has one, then its own Message-ID.
fn pooled(queue: &Queue, accounts: &[AccountId], thread: &[&str]) -> NewJob {
    let thread = thread.iter().map(|id| (*id).to_owned()).collect();
    let pool = Some(Pooled { pool: "shop".parse().unwrap(), accounts: accounts.to_vec(), thread });
    NewJob { pool, ..job(queue, &accounts[0]) }
}

async fn push(queue: &Queue, jobs: &[NewJob]) -> Vec<MailId> {
    queue.push_many(jobs).await.into_iter().map(|answer| answer.unwrap().id()).collect()
}

async fn push_some(queue: &Queue, accounts: &[AccountId], count: usize) -> Vec<MailId> {
    let jobs: Vec<NewJob> = (0..count).map(|i| pooled(queue, accounts, &[&format!("<{i}@x>")])).collect();
    push(queue, &jobs).await
}

async fn status(queue: &Queue, id: MailId) -> MailStatus {
    queue.mail(id).await.unwrap().unwrap()
}

/// How many of the mails each of the accounts has.
async fn spread(queue: &Queue, ids: &[MailId], accounts: &[AccountId]) -> Vec<usize> {
    let mut counts = vec![0; accounts.len()];
    for id in ids {
        let account = status(queue, *id).await.account;
        counts[accounts.iter().position(|known| *known == account).unwrap()] += 1;
    }
    counts
}

/// Why a mail moved, each time.
fn moves(status: &MailStatus) -> Vec<&str> {
    let why = |what: &What| matches!(what, What::Moved { .. });
    let moved = status.timeline.iter().filter(|event| why(&event.what));
    moved.map(|event| if let What::Moved { why, .. } = &event.what { why.as_str() } else { "" }).collect()
}

/// Lets the scripts sweep until there is nothing more to do at once; hands nothing out.
async fn sweep(session: &Session) {
    for _ in 0..200 {
        let answer = session.claim(0).await;
        if !answer.more && answer.next_in != Some(Duration::ZERO) {
            return;
        }
    }
    panic!("there is always more to do");
}

async fn waiting(queue: &Queue, id: &AccountId) -> u64 {
    queue.standing(id).await.unwrap().unwrap().waiting.iter().sum()
}

#[tokio::test]
async fn the_account_with_most_left_gets_the_mail() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 100).await, limited(&queue, "b", 130).await, limited(&queue, "c", 20).await];
    let ids = push_some(&queue, &accounts, 50).await;
    // First b until as much is left of a, then both in turn; c has less than either all the time.
    assert_eq!(spread(&queue, &ids, &accounts).await, [10, 40, 0]);
    let one = status(&queue, ids[0]).await;
    assert_eq!((one.pool.unwrap().as_str(), one.state, one.attempts), ("shop", MailState::Ready, 0));
    // A held account gets none, and one with less gets what its pool has.
    queue.hold(&accounts[1], Reason::Quota, "x", A_DAY).await.unwrap();
    let more = push_some(&queue, &accounts[1..], 3).await;
    assert_eq!(spread(&queue, &more, &accounts).await, [0, 0, 3]);
    // If all are held it waits where the hold ends first.
    queue.hold(&accounts[2], Reason::Quota, "x", Pause::For { least: HOUR, most: HOUR }).await.unwrap();
    let last = push_some(&queue, &accounts[1..], 1).await;
    assert_eq!(spread(&queue, &last, &accounts).await, [0, 0, 1]);
}

#[tokio::test]
async fn what_a_share_leaves_to_mail_that_is_not_urgent_is_the_room_of_its_account() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 10).await, limited(&queue, "b", 8).await];
    // No limit of recipients: nothing of that is kept back.
    let kept =
        Account { limit: Some(10), urgent_share: 50, connections: Some(50), ..Account::new(accounts[0].clone()) };
    queue.put_account(&kept).await.unwrap();
    prove(&queue, &accounts[0]).await;
    let ids = push_some(&queue, &accounts, 9).await;
    assert_eq!(spread(&queue, &ids, &accounts).await, [3, 6]);
    let session = Session::open(&queue).await;
    assert_eq!(session.claim_with(50, 20, &[]).await.jobs.len(), 9, "none had to leave its account");
}

#[tokio::test]
async fn mail_of_a_held_account_moves_in_slices_and_goes() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 9_000).await, limited(&queue, "b", 1_000).await];
    let session = Session::open(&queue).await;
    let ids = push_some(&queue, &accounts, 300).await;
    let alone = push(&queue, &[job(&queue, &accounts[0])]).await;
    assert_eq!(spread(&queue, &ids, &accounts).await, [300, 0]);
    queue.hold(&accounts[0], Reason::Consent, "gone", Pause::UntilAPerson).await.unwrap();
    sweep(&session).await;
    assert_eq!(spread(&queue, &ids, &accounts).await, [0, 300]);
    assert_eq!((waiting(&queue, &accounts[0]).await, waiting(&queue, &accounts[1]).await), (1, 300));
    assert_eq!(status(&queue, alone[0]).await.account, accounts[0], "a mail without a pool stays");
    let mut seen = Vec::new();
    while seen.len() < ids.len() {
        let jobs = session.claim_with(50, 20, &[]).await.jobs;
        assert!(!jobs.is_empty(), "{} of {}", seen.len(), ids.len());
        seen.extend(jobs.iter().map(|claimed| claimed.id));
        session.settle_all(&jobs, Outcome::Sent).await;
    }
    assert!(seen == ids, "in the order in which they came, each once");
    let one = status(&queue, ids[7]).await;
    assert_eq!((one.state, one.attempts, moves(&one)), (MailState::Sent, 1, vec!["held"]));
    // What is kept of a mail that moved ends like that of any other.
    let ttl: i64 = redis::cmd("PTTL")
        .arg(queue.store().keys(0).log(ids[7]))
        .query_async(&mut queue.store().connection())
        .await
        .unwrap();
    assert!(ttl > 0, "{ttl}");
    let keys = queue.store().keys(0);
    let left: u64 = redis::cmd("EXISTS")
        .arg(keys.pooled(&accounts[0], 'n'))
        .arg(keys.pooled(&accounts[1], 'n'))
        .query_async(&mut queue.store().connection())
        .await
        .unwrap();
    assert_eq!(left, 0, "nothing is noted of mails that went");
}

#[tokio::test]
async fn a_used_up_budget_sends_the_rest_through_the_others_and_back() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 40).await, limited(&queue, "b", 30).await];
    let session = Session::open(&queue).await;
    let ids = push_some(&queue, &accounts[..1], 40).await;
    let jobs: Vec<NewJob> = (0..60).map(|i| pooled(&queue, &accounts, &[&format!("<{i}@y>")])).collect();
    let both = push(&queue, &jobs).await;
    // 40 mails wait for a: of the others b gets as many as it has left, and then each the half of what is too much.
    assert_eq!(spread(&queue, &both, &accounts).await, [15, 45]);
    let mut sent = 0;
    loop {
        let jobs = session.claim_with(50, 20, &[]).await.jobs;
        if jobs.is_empty() {
            break;
        }
        sent += session.settle_all(&jobs, Outcome::Sent).await.len();
    }
    sweep(&session).await;
    assert_eq!(sent, 70, "each as many as it may, none is held");
    let rest: usize = both.len() + ids.len() - sent;
    assert_eq!(waiting(&queue, &accounts[0]).await + waiting(&queue, &accounts[1]).await, rest as u64);
    // More may go through a: what waits for b comes back to it, as much as fits.
    let raised = Account { limit: Some(60), connections: Some(50), ..Account::new(accounts[0].clone()) };
    queue.change_account(&raised).await.unwrap();
    sweep(&session).await;
    assert_eq!((waiting(&queue, &accounts[0]).await, waiting(&queue, &accounts[1]).await), (20, 10));
    let mut more = 0;
    loop {
        let jobs = session.claim_with(50, 20, &[]).await.jobs;
        if jobs.is_empty() {
            break;
        }
        more += session.settle_all(&jobs, Outcome::Sent).await.len();
    }
    assert_eq!(more, 20);
}

#[tokio::test]
async fn mail_that_comes_back_or_is_retried_takes_the_best_and_uncertain_mail_stays() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 100).await, limited(&queue, "b", 50).await];
    let session = Session::open(&queue).await;
    let ids = push_some(&queue, &accounts, 4).await;
    let claimed = session.claim(4).await.jobs;
    assert_eq!(claimed.len(), 4);
    let soon = || Millis::now().after(Duration::from_millis(30));
    queue.hold(&accounts[0], Reason::Quota, "5.4.5", A_DAY).await.unwrap();
    session.settle(&claimed[0], Outcome::Back).await;
    session.settle(&claimed[1], Outcome::Retry(soon())).await;
    session.settle(&claimed[2], Outcome::Check(soon())).await;
    // The fourth is under way: its bytes have begun to leave when its worker is lost.
    assert!(session.begin(&claimed[3]).await);
    queue.leave(0, &session.id, session.lease).await.unwrap();
    let session = Session::open(&queue).await;
    tokio::time::sleep(Duration::from_millis(40)).await;
    sweep(&session).await;
    assert_eq!(spread(&queue, &ids, &accounts).await, [2, 2]);
    let found = [status(&queue, ids[0]).await, status(&queue, ids[1]).await, status(&queue, ids[2]).await];
    assert_eq!(found.iter().map(moves).collect::<Vec<_>>(), [vec!["held"], vec!["held"], vec![]]);
    assert_eq!(found.iter().map(|one| one.attempts).collect::<Vec<_>>(), [0, 1, 1], "moving costs no attempt");
    assert_eq!(status(&queue, ids[3]).await.account, accounts[0], "uncertain: it stays");

    // Once nothing is uncertain any more, it may move.
    queue.resume(&accounts[0]).await.unwrap();
    prove(&queue, &accounts[0]).await;
    let claimed = session.claim(9).await.jobs;
    let doubtful = claimed.iter().find(|claimed| claimed.id == ids[2]).unwrap();
    assert!(doubtful.doubt.is_some() && doubtful.account == accounts[0]);
    queue.hold(&accounts[0], Reason::Quota, "5.4.5", A_DAY).await.unwrap();
    session.settle(doubtful, Outcome::Retry(Millis::now())).await;
    sweep(&session).await;
    let moved = status(&queue, ids[2]).await;
    assert_eq!((moved.account.clone(), moves(&moved)), (accounts[1].clone(), vec!["held"]));
}

#[tokio::test]
async fn a_thread_stays_on_one_account_unless_that_is_held_for_long() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 1_000).await, limited(&queue, "b", 10).await];
    let session = Session::open(&queue).await;
    let of_thread = |own: &str| pooled(&queue, &accounts, &["<root@x>", own]);
    let first = push(&queue, &[pooled(&queue, &accounts[1..], &["<root@x>"])]).await;
    let replies = push(&queue, &[of_thread("<1@x>"), of_thread("<2@x>"), pooled(&queue, &accounts, &["<3@x>"])]).await;
    assert_eq!(spread(&queue, &first, &accounts).await, [0, 1]);
    assert_eq!(spread(&queue, &replies, &accounts).await, [1, 2], "with the thread, not where most is left");
    // A mail that answers the second mail of the thread, and names nothing else, finds it, too.
    let deep = push(&queue, &[pooled(&queue, &accounts, &["<1@x>", "<4@x>"])]).await;
    assert_eq!(spread(&queue, &deep, &accounts).await, [0, 1]);

    let short = Pause::For { least: Duration::from_secs(300), most: Duration::from_secs(300) };
    queue.hold(&accounts[1], Reason::LoginLimit, "x", short).await.unwrap();
    sweep(&session).await;
    assert_eq!(spread(&queue, &replies, &accounts).await, [1, 2], "five minutes are waited for");
    queue.hold(&accounts[1], Reason::Quota, "x", A_DAY).await.unwrap();
    sweep(&session).await;
    assert_eq!(spread(&queue, &replies, &accounts).await, [3, 0], "a day is not");
    queue.resume(&accounts[1]).await.unwrap();
    prove(&queue, &accounts[1]).await;
    let next = push(&queue, &[of_thread("<5@x>")]).await;
    assert_eq!(spread(&queue, &next, &accounts).await, [1, 0], "and the thread went with them");
}

#[tokio::test]
async fn removed_accounts_scheduled_mail_and_ends_by_hand() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 100).await, limited(&queue, "b", 50).await];
    let session = Session::open(&queue).await;
    let at = Millis::now().after(Duration::from_millis(50));
    let scheduled = push(&queue, &[NewJob { send_at: Some(at), ..pooled(&queue, &accounts, &["<s@x>"]) }]).await;
    let ids = push_some(&queue, &accounts, 3).await;
    let own = push(&queue, &[job(&queue, &accounts[0])]).await;
    queue.cancel(ids[0]).await.unwrap().unwrap().unwrap();
    queue.remove_account(&accounts[0]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    sweep(&session).await;
    assert_eq!(spread(&queue, &ids[1..], &accounts).await, [0, 2]);
    assert_eq!(status(&queue, own[0]).await.reason, Some(Reason::NoAccount));
    let due = status(&queue, scheduled[0]).await;
    assert_eq!((due.state, due.account, due.timeline.len()), (MailState::Ready, accounts[1].clone(), 2));
    assert_eq!(status(&queue, ids[0]).await.state, MailState::Cancelled);
    queue.remove_account(&accounts[1]).await.unwrap();
    sweep(&session).await;
    assert_eq!(status(&queue, ids[1]).await.reason, Some(Reason::NoAccount));
    let refused = queue.push(&pooled(&queue, &accounts, &["<n@x>"])).await.unwrap_err();
    assert!(refused.to_string().contains("not known"), "{refused}");
}

#[tokio::test]
async fn mails_that_find_no_account_are_looked_at_again_only_when_something_changed() {
    let (_redis, queue) = queue().await;
    let accounts = [limited(&queue, "a", 1_000).await, limited(&queue, "b", 900).await];
    let session = Session::open(&queue).await;
    let urgent = |i: usize| NewJob { priority: Priority::Urgent, ..pooled(&queue, &accounts, &[&format!("<{i}@x>")]) };
    let ids = push(&queue, &(0..120).map(urgent).collect::<Vec<_>>()).await;
    for account in &accounts {
        queue.hold(account, Reason::Consent, "gone", Pause::UntilAPerson).await.unwrap();
    }
    sweep(&session).await;
    let before = spread(&queue, &ids, &accounts).await;
    push(&queue, &[urgent(999)]).await;
    let answer = session.claim(0).await;
    assert!(!answer.more && answer.next_in.is_none(), "nothing has changed: {answer:?}");
    assert_eq!(spread(&queue, &ids, &accounts).await, before);
    queue.resume(&accounts[1]).await.unwrap();
    sweep(&session).await;
    assert_eq!(spread(&queue, &ids, &accounts).await, [0, 120]);
}

#[tokio::test]
async fn with_several_shards_a_mail_stays_among_the_accounts_of_its_own() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "4")]).await;
    let mut accounts = Vec::new();
    for (name, limit) in [("a", 10), ("b", 20), ("c", 30), ("d", 40), ("e", 50), ("f", 60), ("g", 70), ("h", 80)] {
        let id = limited(&queue, name, limit).await;
        let alias = vec!["shop@example.com".parse().unwrap()];
        let known = queue.account(&id).await.unwrap().unwrap();
        queue.change_account(&Account { aliases: alias, ..known }).await.unwrap();
        accounts.push((id, u64::from(limit)));
    }
    let shard = |id: &AccountId| queue.store().shard_of(id);
    let mut left = std::collections::BTreeMap::<u16, u64>::new();
    for (id, limit) in &accounts {
        *left.entry(shard(id)).or_default() += limit;
    }
    assert!(left.len() > 1, "the accounts lie in several shards");
    let members = accounts.iter().map(|(id, _)| id.clone()).collect();
    queue.put_pool(&Pool { name: "shop".parse().unwrap(), accounts: members }).await.unwrap();
    let client = postroom::DirectClient::over(queue.clone());
    let mail = |key: Option<String>, headers: serde_json::Value| {
        serde_json::json!({ "from": "shop@example.com", "to": "ann@example.org", "text": "Hi", "pool": "shop",
            "idempotency_key": key, "headers": headers })
    };
    let none = || serde_json::json!({});
    let first = client.send(mail(None, none())).await.unwrap().id;
    assert_eq!(Some(first.shard()), left.iter().max_by_key(|(_, left)| **left).map(|(shard, _)| *shard));
    for n in 0..10 {
        let key = Some(format!("key-{n}"));
        let sent = client.send(mail(key.clone(), none())).await.unwrap();
        assert_eq!(shard(&status(&queue, sent.id).await.account), sent.id.shard());
        // Another client has read the accounts anew: what is left has changed, the shard of the key has not.
        let again = postroom::DirectClient::over(queue.clone()).send(mail(key, none())).await.unwrap();
        assert_eq!((again.id, again.known), (sent.id, true));
    }
    // An answer goes to the shard of the mail that it answers, and to the same account.
    let one = status(&queue, first).await;
    let answer = serde_json::json!({ "In-Reply-To": one.message_id });
    let answer = client.send(mail(None, answer)).await.unwrap().id;
    assert_eq!(status(&queue, answer).await.account, one.account);
}
