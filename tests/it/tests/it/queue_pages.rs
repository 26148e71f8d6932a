//! Pages of mails: every mail once, whatever comes in or goes meanwhile, over one shard and over several.

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, NewJob, Page, PageQuery, Queue, RecipientKind};
use serde_json::json;

use crate::support::{account, job, mail, queue, queue_with};

async fn push(queue: &Queue, jobs: &[NewJob]) -> Vec<MailId> {
    queue.push_many(jobs).await.into_iter().map(|answer| answer.unwrap().id()).collect()
}

/// So many mails, handed over one after the other in small groups, the oldest first.
async fn push_some(queue: &Queue, accounts: &[AccountId], count: usize) -> Vec<MailId> {
    let mut ids = Vec::new();
    for group in 0..count.div_ceil(7) {
        let one = |place: usize| job(queue, &accounts[(group + place) % accounts.len()]);
        let jobs: Vec<NewJob> = (0..7.min(count - ids.len())).map(one).collect();
        ids.extend(push(queue, &jobs).await);
    }
    ids
}

fn ids(page: &Page) -> Vec<MailId> {
    page.mails.iter().map(|mail| mail.id).collect()
}

/// All pages one after the other.
async fn walk(queue: &Queue, query: PageQuery) -> Vec<MailId> {
    let (mut all, mut query) = (Vec::new(), query);
    loop {
        let page = queue.page(&query).await.unwrap();
        assert!(page.mails.len() <= query.limit);
        all.extend(ids(&page));
        assert_eq!(page.has_more, page.next.is_some());
        let Some(next) = page.next else { return all };
        query.after = Some(next);
    }
}

fn of(limit: usize) -> PageQuery {
    PageQuery { limit, ..PageQuery::default() }
}

#[tokio::test]
async fn pages_show_every_mail_once_in_both_directions() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    assert_eq!(walk(&queue, of(10)).await, []);
    let mut newest_first = push_some(&queue, &[alice], 60).await;
    newest_first.reverse();
    for limit in [1, 7, 30, 59, 60, 61, 100] {
        assert_eq!(walk(&queue, of(limit)).await, newest_first, "{limit}");
    }
    let page = queue.page(&of(20)).await.unwrap();
    assert_eq!((ids(&page), page.has_more), (newest_first[..20].to_vec(), true));
    let last = queue.page(&PageQuery { after: Some(newest_first[39]), ..of(20) }).await.unwrap();
    assert_eq!((ids(&last), last.has_more), (newest_first[40..].to_vec(), false));
    // Backwards: those next to the mail, the newest first all the same.
    let before = queue.page(&PageQuery { before: Some(newest_first[40]), ..of(20) }).await.unwrap();
    assert_eq!(
        (ids(&before), before.has_more, before.next),
        (newest_first[20..40].to_vec(), true, Some(newest_first[20]))
    );
    let first = queue.page(&PageQuery { before: Some(newest_first[20]), ..of(20) }).await.unwrap();
    assert_eq!((ids(&first), first.has_more), (newest_first[..20].to_vec(), false));
}

#[tokio::test]
async fn over_several_shards_all_mails_have_one_order() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "16")]).await;
    let mut accounts = Vec::new();
    for number in 0..8 {
        accounts.push(account(&queue, &format!("user{number}@example.com")).await);
    }
    let mut pushed = push_some(&queue, &accounts, 120).await;
    let whole = ids(&queue.page(&of(100)).await.unwrap());
    for limit in [1, 3, 50, 100] {
        let walked = walk(&queue, of(limit)).await;
        assert_eq!(walked[..100], whole, "{limit}");
        let mut sorted = walked;
        sorted.sort();
        pushed.sort();
        assert_eq!(sorted, pushed, "{limit}");
    }
    let back = queue.page(&PageQuery { before: Some(whole[60]), ..of(25) }).await.unwrap();
    assert_eq!(ids(&back), whole[35..60]);
    let one = PageQuery { accounts: Some(vec![accounts[3].clone()]), ..of(4) };
    assert_eq!(walk(&queue, one).await.len(), 120 / 8);
}

#[tokio::test]
async fn mails_that_come_in_or_go_meanwhile_neither_hide_nor_repeat_others() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let mut newest_first = push_some(&queue, std::slice::from_ref(&alice), 50).await;
    newest_first.reverse();
    let page = queue.page(&of(10)).await.unwrap();
    // One that comes in later but was made long before, by a clock that is behind, is a new one all the same.
    let late = NewJob { id: queue.new_id(&alice, Millis(Millis::now().0 - 60_000)), ..job(&queue, &alice) };
    push(&queue, std::slice::from_ref(&late)).await;
    push_some(&queue, std::slice::from_ref(&alice), 5).await;
    let rest = PageQuery { after: page.next, ..of(10) };
    assert_eq!(walk(&queue, rest.clone()).await, newest_first[10..]);
    // The mail at the place is gone; its entry in the index is not.
    let keys = queue.store().keys(0);
    let mut gone = redis::cmd("DEL");
    gone.arg(keys.mail(newest_first[9])).arg(keys.job(newest_first[9])).arg(keys.mail(newest_first[20]));
    gone.query_async::<()>(&mut queue.store().connection()).await.unwrap();
    let left: Vec<MailId> = newest_first[10..].iter().copied().filter(|id| *id != newest_first[20]).collect();
    assert_eq!(walk(&queue, rest.clone()).await, left);
    assert_eq!(walk(&queue, of(10)).await[5], late.id);
    // Nothing is known of the place any more: its time stands for it.
    let unknown = queue.new_id(&alice, Millis::now().after(Duration::from_secs(1)));
    assert_eq!(walk(&queue, PageQuery { after: Some(unknown), ..of(100) }).await.len(), 50 - 2 + 6);
    let long_ago = queue.new_id(&alice, Millis(1_000));
    assert_eq!(walk(&queue, PageQuery { after: Some(long_ago), ..of(100) }).await, []);
}

#[tokio::test]
async fn a_filter_shows_what_fits_and_says_when_it_gave_up() {
    let (_redis, queue) = queue_with(&[("POSTROOM_SHARDS", "2")]).await;
    let shard = |id: &AccountId| queue.store().shard_of(id);
    let mut names =
        (0..).map(|n| format!("user{n}@example.com").parse::<AccountId>().unwrap()).filter(|id| shard(id) == 0);
    let (alice, bob) = (names.next().unwrap(), names.next().unwrap());
    for id in [&alice, &bob] {
        account(&queue, id.reveal()).await;
    }
    let first = push_some(&queue, std::slice::from_ref(&bob), 3).await;
    queue.cancel(first[1]).await.unwrap();
    let many: Vec<NewJob> = (0..10_500).map(|_| job(&queue, &alice)).collect();
    push(&queue, &many).await;
    let of_bob = PageQuery { accounts: Some(vec![bob.clone()]), ..of(10) };
    let page = queue.page(&of_bob).await.unwrap();
    assert!(page.mails.is_empty() && page.has_more);
    let rest = queue.page(&PageQuery { after: page.next, ..of_bob.clone() }).await.unwrap();
    assert_eq!((ids(&rest), rest.has_more), (vec![first[2], first[1], first[0]], false));
    let cancelled = PageQuery { state: Some(MailState::Cancelled), ..of_bob };
    assert_eq!(walk(&queue, cancelled).await, [first[1]]);
}

#[tokio::test]
async fn what_is_left_of_a_mail_tells_its_recipients_apart() {
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    let body = "Hello, hello. ".repeat(30_000);
    let new = mail(
        &queue,
        &alice,
        &json!({ "from": "Alice <alice@example.com>", "to": "a@x.example", "cc": ["b@x.example", "A@x.example"],
                 "bcc": "c@x.example", "subject": "Hi", "text": body, "tags": ["t"] }),
    );
    push(&queue, std::slice::from_ref(&new)).await;
    let kinds = |page: &Page| page.mails[0].recipients.iter().map(|one| one.kind).collect::<Vec<_>>();
    let page = queue.page(&of(1)).await.unwrap();
    assert_eq!(kinds(&page), [RecipientKind::To, RecipientKind::Cc, RecipientKind::Bcc]);
    queue.cancel(new.id).await.unwrap();
    assert!(queue.mail_bytes(new.id).await.unwrap().is_none());
    let page = queue.page(&of(1)).await.unwrap();
    assert_eq!(kinds(&page), [RecipientKind::To, RecipientKind::Cc, RecipientKind::Bcc]);
    let mail = &page.mails[0];
    assert_eq!((mail.subject.as_deref(), mail.tags.len(), mail.state), (Some("Hi"), 1, MailState::Cancelled));
    assert_eq!(mail.from.as_ref().unwrap().reveal(), "alice@example.com");
}
