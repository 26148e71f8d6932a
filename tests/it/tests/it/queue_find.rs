//! Finding mails by index: each way finds what it should and nothing else, whatever else there is, and looks at little.

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{FindQuery, MailState, NewJob, Outcome, Page, PageQuery, Queue};
use postroom_shared::reason::Reason;
use serde_json::json;

use crate::support::{Session, account, job, mail, queue, queue_with, settlement};

async fn push(queue: &Queue, jobs: &[NewJob]) -> Vec<MailId> {
    queue.push_many(jobs).await.into_iter().map(|answer| answer.unwrap().id()).collect()
}

fn ids(page: &Page) -> Vec<MailId> {
    page.mails.iter().map(|mail| mail.id).collect()
}

fn sorted(mut ids: Vec<MailId>) -> Vec<MailId> {
    ids.sort();
    ids
}

fn of(limit: usize) -> FindQuery {
    FindQuery { page: PageQuery { limit, ..PageQuery::default() }, ..FindQuery::default() }
}

fn to(address: &str) -> FindQuery {
    FindQuery { recipient: Some(address.parse().unwrap()), ..of(100) }
}

fn tagged(tag: &str) -> FindQuery {
    FindQuery { tag: Some(tag.parse().unwrap()), ..of(100) }
}

fn in_state(state: MailState) -> FindQuery {
    FindQuery { page: PageQuery { limit: 100, state: Some(state), ..PageQuery::default() }, ..FindQuery::default() }
}

fn because(reason: Reason) -> FindQuery {
    FindQuery { reason: Some(reason), ..of(100) }
}

async fn find(queue: &Queue, query: &FindQuery) -> Vec<MailId> {
    ids(&queue.find(query).await.unwrap())
}

/// All pages one after the other.
async fn walk(queue: &Queue, mut query: FindQuery) -> Vec<MailId> {
    let mut all = Vec::new();
    loop {
        let page = queue.find(&query).await.unwrap();
        assert!(page.mails.len() <= query.page.limit);
        assert_eq!(page.has_more, page.next.is_some());
        all.extend(ids(&page));
        let Some(next) = page.next else { return all };
        query.page.after = Some(next);
    }
}

/// The keys that begin like this in the first shard.
async fn keys(queue: &Queue, begin: &str) -> Vec<String> {
    let pattern = format!("{}*", queue.store().keys(0).by_value(begin));
    redis::cmd("KEYS").arg(pattern).query_async(&mut queue.store().connection()).await.unwrap()
}

fn letter(queue: &Queue, account: &AccountId, to: &[&str], tags: &serde_json::Value) -> NewJob {
    let fields = json!({"from": account.reveal(), "to": to, "subject": "x", "text": "y", "tags": tags});
    mail(queue, account, &fields)
}

#[tokio::test]
async fn each_way_finds_its_mails_and_no_others() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "4")]).await;
    let alice = account(&queue, "alice@example.com").await;
    let bob = account(&queue, "bob@example.com").await;
    let mut first = letter(&queue, &alice, &["ann@example.org", "Ben@Example.org"], &json!({"kind": "welcome"}));
    first.idempotency = Some(("order-1".to_owned(), "print".to_owned()));
    let mut second = letter(&queue, &bob, &["ann@example.org"], &json!({"kind": "reset", "vip": ""}));
    // As a batch's mails have it.
    second.idempotency = Some(("batch-1\n1".to_owned(), "print".to_owned()));
    let mut third = letter(&queue, &alice, &["cat@example.org"], &json!([]));
    third.job.message_id = "<own-1@shop.example>".to_owned();
    third.idempotency = Some(("batch-1\n0".to_owned(), "print".to_owned()));
    let mut found = Vec::new();
    for one in [first, second, third] {
        found.extend(push(&queue, &[one]).await);
    }
    let [first, second, third] = found[..] else { panic!("three mails") };
    // Those of one millisecond lie in the order of their ids.
    let both = sorted(vec![first, second]);
    assert_eq!(sorted(find(&queue, &to("ann@example.org")).await), both);
    assert_eq!(find(&queue, &to("BEN@example.ORG")).await, [first]);
    assert_eq!(find(&queue, &to("nobody@example.org")).await, []);
    assert_eq!(sorted(find(&queue, &tagged("kind")).await), both);
    assert_eq!(find(&queue, &tagged("kind=welcome")).await, [first]);
    assert_eq!(find(&queue, &tagged("vip=")).await, [second]);
    assert_eq!(find(&queue, &tagged("kind=wel")).await, []);
    let with_id = |id: &str| FindQuery { message_id: Some(id.to_owned()), ..of(10) };
    for id in ["<own-1@shop.example>", "own-1@shop.example", " <own-1@shop.example> "] {
        assert_eq!(find(&queue, &with_id(id)).await, [third], "{id}");
    }
    assert_eq!(find(&queue, &with_id(&format!("<{first}@example.com>"))).await, [first]);
    assert_eq!(find(&queue, &with_id(&format!("<{first}@other.example>"))).await, []);
    let keyed = |key: &str| FindQuery { idempotency_key: Some(key.to_owned()), ..of(10) };
    assert_eq!(find(&queue, &keyed("order-1")).await, [first]);
    assert_eq!(sorted(find(&queue, &keyed("batch-1")).await), sorted(vec![third, second]));
    assert_eq!(find(&queue, &keyed("order-2")).await, []);
    // All that is given must fit.
    let both = FindQuery { tag: Some("kind=reset".parse().unwrap()), ..to("ann@example.org") };
    assert_eq!(find(&queue, &both).await, [second]);
    let dead = FindQuery { page: in_state(MailState::Dead).page, ..to("ann@example.org") };
    assert_eq!(find(&queue, &dead).await, []);
    // Whoever may see one account sees nothing of others, whatever is asked.
    for query in [to("ann@example.org"), tagged("kind"), with_id(&format!("<{second}@example.com>")), keyed("batch-1")]
    {
        let page = PageQuery { accounts: Some(vec![alice.clone()]), ..query.page.clone() };
        let seen = find(&queue, &FindQuery { page, ..query }).await;
        assert!(seen.iter().all(|id| [first, third].contains(id)), "{seen:?}");
    }
}

#[tokio::test]
async fn states_and_reasons_follow_the_mail() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let hour = Millis::now().after(Duration::from_secs(3_600));
    let later = push(&queue, &[NewJob { send_at: Some(hour), ..job(&queue, &alice) }]).await;
    assert_eq!(find(&queue, &in_state(MailState::Scheduled)).await, later);
    let waiting = push(&queue, &[job(&queue, &alice), job(&queue, &alice), job(&queue, &alice)]).await;
    assert_eq!(sorted(find(&queue, &in_state(MailState::Ready)).await), sorted(waiting));
    let session = Session::open(&queue).await;
    let claimed = session.claim(3).await.jobs;
    let [sent, retried, died] = &claimed[..] else { panic!("three jobs") };
    assert_eq!(sorted(find(&queue, &in_state(MailState::Sending)).await), sorted(vec![sent.id, retried.id, died.id]));
    let ends =
        [settlement(sent, Outcome::Sent), settlement(retried, Outcome::Retry(hour)), settlement(died, Outcome::Dead)];
    queue.settle(0, &ends).await.unwrap();
    assert_eq!(find(&queue, &in_state(MailState::Sending)).await, []);
    assert_eq!(find(&queue, &in_state(MailState::Sent)).await, [sent.id]);
    assert_eq!(find(&queue, &because(Reason::Delivered)).await, [sent.id]);
    assert_eq!(find(&queue, &in_state(MailState::Retry)).await, [retried.id]);
    assert_eq!(find(&queue, &in_state(MailState::Dead)).await, [died.id]);
    assert_eq!(find(&queue, &because(Reason::Message)).await, [died.id]);
    assert_eq!(find(&queue, &FindQuery { reason: Some(Reason::Quota), ..in_state(MailState::Dead) }).await, []);
    let status = queue.mail(retried.id).await.unwrap().unwrap();
    assert_eq!(find(&queue, &because(status.reason.unwrap())).await, [retried.id]);
    // Each state is left as it was entered.
    queue.cancel(retried.id).await.unwrap().unwrap().unwrap();
    queue.cancel(later[0]).await.unwrap().unwrap().unwrap();
    assert_eq!(sorted(find(&queue, &in_state(MailState::Cancelled)).await), sorted(vec![later[0], retried.id]));
    for state in [MailState::Scheduled, MailState::Retry] {
        assert_eq!(find(&queue, &in_state(state)).await, [], "{}", state.as_str());
    }
    queue.retry_dead(died.id, Duration::from_secs(60)).await.unwrap().unwrap().unwrap();
    assert_eq!(find(&queue, &in_state(MailState::Dead)).await, []);
    assert_eq!(find(&queue, &in_state(MailState::Ready)).await, [died.id]);
    let again = session.claim(1).await.jobs;
    queue.settle(0, &[settlement(&again[0], Outcome::Dead)]).await.unwrap();
    queue.discard_dead(died.id).await.unwrap().unwrap().unwrap();
    assert_eq!(find(&queue, &in_state(MailState::Discarded)).await, [died.id]);
    assert_eq!(keys(&queue, "sdead:").await, Vec::<String>::new());
    assert_eq!(sorted(find(&queue, &because(Reason::Operator)).await), sorted(vec![later[0], retried.id, died.id]));
}

#[tokio::test]
async fn mails_of_a_version_without_these_sets_are_found_by_looking_through_all() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    push(&queue, &[job(&queue, &alice), job(&queue, &alice)]).await;
    let session = Session::open(&queue).await;
    let claimed = session.claim(2).await.jobs;
    let ends: Vec<_> = claimed.iter().map(|job| settlement(job, Outcome::Dead)).collect();
    queue.settle(0, &ends).await.unwrap();
    let of_states = keys(&queue, "s").await;
    assert_eq!(of_states.len(), 1);
    redis::cmd("DEL").arg(of_states).query_async::<()>(&mut queue.store().connection()).await.unwrap();
    assert_eq!(find(&queue, &in_state(MailState::Dead)).await.len(), 2);
    assert_eq!(find(&queue, &because(Reason::Message)).await.len(), 2);
}

#[tokio::test]
async fn pages_show_every_mail_once_in_both_directions() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "3")]).await;
    let mut newest_first = Vec::new();
    let accounts = [account(&queue, "alice@example.com").await, account(&queue, "bob@example.com").await];
    // Those of one call are handed over in the same millisecond; every third is one that is told of for long.
    for group in 0..20 {
        let one = |place: usize| NewJob {
            ttl: (place == 2).then_some(Duration::from_secs(20 * 86_400)),
            ..job(&queue, &accounts[(group + place) % 2])
        };
        newest_first.extend(push(&queue, &(0..3).map(one).collect::<Vec<_>>()).await);
    }
    let whole = find(&queue, &to("to@example.org")).await;
    assert_eq!(sorted(whole.clone()), sorted(newest_first));
    for limit in [1, 7, 59, 60, 61] {
        let query = FindQuery { page: of(limit).page, ..to("to@example.org") };
        assert_eq!(walk(&queue, query).await, whole, "{limit}");
    }
    let before = |id| PageQuery { before: Some(id), limit: 20, ..PageQuery::default() };
    let page = queue.find(&FindQuery { page: before(whole[40]), ..to("to@example.org") }).await.unwrap();
    assert_eq!((ids(&page), page.next), (whole[20..40].to_vec(), Some(whole[20])));
    let page = queue.find(&FindQuery { page: before(whole[20]), ..to("to@example.org") }).await.unwrap();
    assert_eq!((ids(&page), page.next), (whole[..20].to_vec(), None));
}

#[tokio::test]
async fn what_is_gone_is_skipped_and_forgotten_and_every_key_ends() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let far = Some(Millis::now().after(Duration::from_secs(20 * 86_400)));
    let pushed =
        push(&queue, &[job(&queue, &alice), job(&queue, &alice), NewJob { send_at: far, ..job(&queue, &alice) }]).await;
    let mut connection = queue.store().connection();
    for key in [keys(&queue, "t").await, keys(&queue, "T").await, keys(&queue, "m").await].concat() {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!(left > 86_400_000, "{key} ends in {left} ms");
    }
    assert_eq!(keys(&queue, "t").await.len(), 2);
    assert_eq!(find(&queue, &to("to@example.org")).await.len(), 3);
    let gone = queue.store().keys(0).mail(pushed[0]);
    redis::cmd("DEL").arg(gone).query_async::<()>(&mut connection).await.unwrap();
    let left = find(&queue, &to("to@example.org")).await;
    assert!(left.len() == 2 && !left.contains(&pushed[0]), "{left:?}");
    let mut sizes = Vec::new();
    for key in keys(&queue, "t").await {
        let size: u64 = redis::cmd("ZCARD").arg(&key).query_async(&mut connection).await.unwrap();
        sizes.push(size);
    }
    sizes.sort_unstable();
    // Only the set that was searched was cleared.
    assert_eq!(sizes, [1, 2]);
}

#[tokio::test]
async fn a_dead_letter_is_found_by_its_recipient_for_as_long_as_it_is_kept() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let pushed = push(&queue, &[job(&queue, &alice)]).await;
    let session = Session::open(&queue).await;
    let claimed = session.claim(1).await.jobs;
    queue.settle(0, &[settlement(&claimed[0], Outcome::Dead)]).await.unwrap();
    // As if the usual life of the value had passed.
    redis::cmd("DEL").arg(keys(&queue, "t").await).query_async::<()>(&mut queue.store().connection()).await.unwrap();
    assert_eq!(find(&queue, &to("to@example.org")).await, pushed);
    for key in keys(&queue, "T").await {
        let left: u64 = redis::cmd("TTL").arg(&key).query_async(&mut queue.store().connection()).await.unwrap();
        assert!(left > 97 * 86_400, "{key} ends in {left} s");
    }
}

#[tokio::test]
async fn a_search_among_twenty_thousand_mails_looks_at_few() {
    let (redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut wanted = Vec::new();
    for hundred in 0..200 {
        let one = |place: usize| {
            let mut new = job(&queue, &alice);
            new.job.recipients = vec![format!("u{}@example.org", hundred * 100 + place).parse().unwrap()];
            new.job.tags = vec![postroom_shared::mail::Tag { name: "kind".to_owned(), value: "all".to_owned() }];
            new
        };
        let pushed = push(&queue, &(0..100).map(one).collect::<Vec<_>>()).await;
        if hundred == 1 {
            wanted = pushed;
        }
    }
    queue.cancel(wanted[5]).await.unwrap().unwrap().unwrap();
    let message_id = FindQuery { message_id: Some(format!("<{}@example.com>", wanted[3])), ..of(20) };
    let key = FindQuery { idempotency_key: Some("none".to_owned()), ..of(20) };
    let searches = [
        ("recipient", to("u103@example.org"), 1),
        ("tag", FindQuery { page: of(20).page, ..tagged("kind=all") }, 20),
        ("state", in_state(MailState::Cancelled), 1),
        ("reason", because(Reason::Operator), 1),
        ("Message-ID", message_id, 0),
        ("idempotency key", key, 0),
    ];
    for (name, query, expected) in searches {
        redis.ask::<()>(&["CONFIG", "RESETSTAT"]).await.unwrap();
        assert_eq!(find(&queue, &query).await.len(), expected, "{name}");
        let commands = redis.commands().await.unwrap();
        for never in ["scan", "keys", "xrevrange", "xrange", "zscan", "sscan", "hscan", "smembers"] {
            assert!(!commands.contains_key(never), "{name}: {never}");
        }
        let all: u64 = commands.values().sum();
        assert!(all < 250, "{name} took {all} commands: {commands:?}");
    }
    // What many mails share is kept of the newest.
    let size: u64 = {
        let key = keys(&queue, "g").await.swap_remove(0);
        redis.ask(&["ZCARD", &key]).await.unwrap()
    };
    assert_eq!(size, 10_000);
}
