//! The dashboard's pages: that they find what is there, say what a reply means, do what they offer, and show hostile mails as text.

use std::time::Duration;

use postroom_it::{Api, PATIENCE, PageAnswer, Rig, Visitor, until};
use postroom_shared::account::Pause;
use postroom_shared::clock::Millis;
use postroom_shared::mail::Tag;
use postroom_shared::queue::{Attempt, Event, MailState, NewJob, Outcome, Queue, What};
use postroom_shared::reason::Reason;
use postroom_shared::reply::{Enhanced, Reply, Stage};
use serde_json::json;

use crate::support::{Session, account, job, settlement};

const SHOP: &str = "shop@example.com";
/// Would run, load or leave its attribute, if it were not escaped.
const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";

async fn rig() -> (Rig, Api, Visitor) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve_dashboard("on").await.unwrap();
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    (rig, api, admin)
}

async fn page(visitor: &Visitor, path: &str) -> PageAnswer {
    let answer = visitor.get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

/// Lets mails die, each of a reason and with a server's words.
async fn die(queue: &Queue, session: &Session, mails: &[(&NewJob, Reason, &str)]) {
    for (new, reason, words) in mails {
        queue.push(new).await.unwrap();
        let claimed = session.claim(1).await.jobs.remove(0);
        let reply = Reply::new(Stage::Rcpt, 550, Some(Enhanced(5, 1, 1)), *words);
        let attempt = json!({ "number": 1, "claimed": Millis::now(), "worker": session.id.to_string(), "reason": reason,
            "next": "dead", "reply": reply });
        let attempt: Attempt = serde_json::from_value(attempt).unwrap();
        let mut dead = settlement(&claimed, Outcome::Dead);
        dead.reason = *reason;
        dead.event = Some(Event { at: Millis::now(), what: What::Attempt(attempt) });
        queue.settle(claimed.id.shard(), &[dead]).await.unwrap();
    }
}

async fn state(queue: &Queue, new: &NewJob) -> MailState {
    queue.mail(new.id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn hostile_mails_are_text_on_every_page() {
    let (rig, api, admin) = rig().await;
    let queue = rig.queue().await.unwrap();
    let shop = account(&queue, SHOP).await;
    let evil_html =
        format!("<p>hi</p>{EVIL}<link rel=preconnect href=//evil.example><meta http-equiv=refresh content=0>");
    let name = format!("\"{}\"", EVIL.replace('"', "\\\""));
    let mail = json!({
        "from": format!("{name} <{SHOP}>"), "to": [format!("{name} <ann@example.org>")], "subject": EVIL,
        "text": EVIL, "html": evil_html, "idempotency_key": EVIL, "attachments": [{ "filename": EVIL, "content": "aGk=" }],
    });
    let (session, now) = (Session::open(&queue).await, Millis::now());
    let mut hostile = crate::support::mail(&queue, &shop, &mail);
    hostile.job.tags = vec![Tag { name: EVIL.to_owned(), value: EVIL.to_owned() }];
    hostile.job.message_id = format!("<{EVIL}@example.org>");
    die(&queue, &session, &[(&hostile, Reason::Recipient, EVIL)]).await;
    queue.hold(&shop, Reason::Operator, EVIL, Pause::UntilAPerson).await.unwrap();
    let worker = postroom_shared::queue::SessionId::random();
    queue.open_session(0, &worker, EVIL, Duration::from_secs(60)).await.unwrap();
    rig.key(&["create", &EVIL[..40]]).await.unwrap();
    let template = json!({ "name": "evil", "subject": "x", "html": evil_html, "text": EVIL, "sample": { "a": 1 } });
    assert_eq!(api.post("/templates", &template).await.unwrap().status, 200);
    assert!(Millis::now() >= now);

    let id = hostile.id;
    let of_mail = ["", "/source"].map(|path| format!("/dashboard/mails/{id}{path}"));
    let others = ["", "/mails", "/dead", "/accounts", "/templates", "/templates/evil", "/workers", "/keys", "/audit"];
    let others = others.into_iter().map(|path| format!("/dashboard{path}"));
    let account = format!("/dashboard/accounts/{}", shop.hashed());
    let query = "%22%27%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let searched = format!("/dashboard/mails?q={query}&by=key");
    let filtered = format!("/dashboard/dead?domain={query}&tag={query}");
    let mut escaped = 0;
    for path in others.chain(of_mail).chain([account, searched, filtered]) {
        let answer = page(&admin, &path).await;
        assert!(!answer.text.contains("<script>") && !answer.text.contains("<img src=x"), "{path}: {}", answer.text);
        assert!(!answer.text.contains("\"'>"), "{path}: {}", answer.text);
        escaped += answer.text.matches("&lt;script&gt;alert(1)").count();
    }
    assert!(escaped > 20, "it stood on the pages: {escaped}");
    for path in [format!("/dashboard/mails/{id}/preview"), "/dashboard/templates/evil/preview".to_owned()] {
        let framed = page(&admin, &path).await;
        let policy = framed.header("content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert!(framed.text.contains("<p>hi</p>") && !framed.text.contains("<link") && !framed.text.contains("<meta"));
    }
}

#[tokio::test]
async fn one_mail_shows_the_servers_words_and_what_they_mean() {
    let (rig, api, admin) = rig().await;
    let mail = json!({ "from": SHOP, "to": ["bounced@postroom.test"], "subject": "Gone", "html": "<b>Hi</b>" });
    let id = api.post("/emails", &mail).await.unwrap().text("id").to_owned();
    let path = format!("/dashboard/mails/{id}");
    let before = page(&admin, &path).await.text;
    assert!(before.contains("No worker is running") && before.contains("Cancel it"), "{before}");
    let _worker = rig.worker(&[]).unwrap();
    let shown = until("the mail to die", PATIENCE, || async {
        let text = page(&admin, &path).await.text;
        Ok(text.contains("Retry it").then_some(text))
    });
    let shown = shown.await.unwrap();
    let reply = rig.queue().await.unwrap().mail(id.parse().unwrap()).await.unwrap().unwrap();
    let attempt = reply.timeline.iter().find_map(|event| event.what.attempt()).unwrap();
    // A recipient's refusal stands beside the mail's own reply.
    let refused = attempt.refused.first().map(|(_, reply)| reply.clone());
    let reply = attempt.reply.clone().or(refused).unwrap();
    let row = postroom_shared::replies::Table::builtin().unwrap().classify(&reply).row;
    for words in
        [reply.words().as_str(), &row.means, &row.advice, "Attempt 1", "Dead letter", "What to do", "sandbox=\"\""]
    {
        let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(shown.contains(&escaped) || shown.contains(words), "{words}: {shown}");
    }
    assert!(page(&admin, &format!("{path}/source")).await.text.contains("Message-ID"));
}

#[tokio::test]
async fn mails_are_found_by_their_marks() {
    let (rig, api, admin) = rig().await;
    let mail = |to: &str, key: &str, tag: &str| {
        json!({ "from": SHOP, "to": [to], "subject": format!("To {to}"), "text": "x", "idempotency_key": key,
            "tags": [{ "name": "order", "value": tag }] })
    };
    let ann = api.post("/emails", &mail("ann@example.org", "k-ann", "1001")).await.unwrap().text("id").to_owned();
    let bob = api.post("/emails", &mail("bob@example.org", "k-bob", "1002")).await.unwrap().text("id").to_owned();
    let found = admin.get(&format!("/dashboard/mails?q={ann}")).await.unwrap();
    assert_eq!((found.status, found.header("location")), (303, format!("/dashboard/mails/{ann}").as_str()));
    let message_id = rig.queue().await.unwrap().mail(ann.parse().unwrap()).await.unwrap().unwrap().message_id.unwrap();
    let message_id = message_id.replace('<', "%3C").replace('>', "%3E").replace('@', "%40");
    for query in [
        "q=ann%40example.org",
        "q=ANN%40example.org&by=recipient",
        "q=order%3D1001",
        "q=k-ann",
        "q=k-ann&by=key&state=ready",
        "q=order%3D1001&by=tag&state=ready",
        &format!("q={message_id}"),
        &format!("q={message_id}&by=message-id"),
    ] {
        let list = page(&admin, &format!("/dashboard/mails?{query}")).await.text;
        assert!(list.contains(&ann) && !list.contains(&bob), "{query}: {list}");
    }
    let hash = SHOP.parse::<postroom::AccountId>().unwrap().hashed();
    for query in ["q=order&by=tag", "state=ready", &format!("account={hash}"), ""] {
        let list = page(&admin, &format!("/dashboard/mails?{query}")).await.text;
        assert!(list.contains(&ann) && list.contains(&bob), "{query}: {list}");
    }
    for query in ["q=nobody%40example.org", "state=dead", "reason=quota", "q=none"] {
        assert!(page(&admin, &format!("/dashboard/mails?{query}")).await.text.contains("No mail fits."), "{query}");
    }
    for query in ["state=lost", "reason=bad+luck", "after=x", "q=no+id&by=id"] {
        assert_eq!(admin.get(&format!("/dashboard/mails?{query}")).await.unwrap().status, 422, "{query}");
    }
    let cancelled = admin.post(&format!("/dashboard/mails/{bob}/cancel"), &[]).await.unwrap();
    assert!(cancelled.header("location").contains("told=cancelled"), "{cancelled:?}");
    assert!(page(&admin, "/dashboard/mails?state=cancelled").await.text.contains(&bob));
    let late = admin.post(&format!("/dashboard/mails/{bob}/cancel"), &[]).await.unwrap();
    assert!(page(&admin, late.header("location")).await.text.contains("Nothing was changed"), "{late:?}");
}

#[tokio::test]
async fn pages_of_mails_lead_to_each_other() {
    let (rig, _api, admin) = rig().await;
    let queue = rig.queue().await.unwrap();
    let shop = account(&queue, SHOP).await;
    let jobs: Vec<NewJob> = (0..120).map(|_| job(&queue, &shop)).collect();
    for one in &jobs {
        queue.push(one).await.unwrap();
    }
    let link = |page: &PageAnswer, word: &str| {
        let end = page.text.find(&format!("\">{word}</a>"))?;
        let from = page.text[..end].rfind("href=\"")? + 6;
        Some(page.text[from..end].replace("&amp;", "&"))
    };
    let ids = |page: &PageAnswer| -> Vec<String> {
        let links = page.text.split("href=\"/dashboard/mails/").skip(1);
        links.filter_map(|rest| Some(rest.split('"').next()?.to_owned())).collect()
    };
    let first = page(&admin, "/dashboard/mails?state=ready").await;
    assert_eq!((ids(&first).len(), link(&first, "Newer")), (50, None));
    let second = page(&admin, &link(&first, "Older").unwrap()).await;
    let third = page(&admin, &link(&second, "Older").unwrap()).await;
    assert_eq!((ids(&third).len(), link(&third, "Older")), (20, None));
    let all: Vec<String> = [ids(&first), ids(&second), ids(&third)].concat();
    let mut expected: Vec<String> = jobs.iter().map(|one| one.id.to_string()).collect();
    expected.reverse();
    assert_eq!(all, expected);
    assert_eq!(ids(&page(&admin, &link(&second, "Newer").unwrap()).await), ids(&first));
}

#[tokio::test]
async fn dead_letters_that_fit_are_retried_and_no_others() {
    let (rig, _api, admin) = rig().await;
    let queue = rig.queue().await.unwrap();
    let shop = account(&queue, SHOP).await;
    let session = Session::open(&queue).await;
    let mut mails: Vec<NewJob> = (0..4).map(|_| job(&queue, &shop)).collect();
    mails[1].job.tags = vec![Tag { name: "kind".to_owned(), value: "news".to_owned() }];
    let reasons = [Reason::Policy, Reason::Policy, Reason::Recipient, Reason::Policy];
    let died: Vec<_> = mails.iter().zip(reasons).map(|(mail, reason)| (mail, reason, "no")).collect();
    die(&queue, &session, &died[..3]).await;

    let list = page(&admin, "/dashboard/dead?reason=policy").await.text;
    assert!(list.contains("2 fit") && !list.contains(&mails[2].id.to_string()), "{list}");
    let tagged = page(&admin, "/dashboard/dead?tag=kind%3Dnews").await.text;
    assert!(tagged.contains("1 fit") && tagged.contains(&mails[1].id.to_string()), "{tagged}");
    let until_field = list.split("name=\"until\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let question = page(&admin, &format!("/dashboard/dead/retry?reason=policy&until={until_field}")).await.text;
    assert!(question.contains("2 dead letters fit") && question.contains("New deadline"), "{question}");
    // What dies while somebody reads the question is not meant.
    until("the next millisecond", PATIENCE, || async {
        Ok((Millis::now().0 > until_field.parse::<u64>().unwrap()).then_some(()))
    })
    .await
    .unwrap();
    die(&queue, &session, &died[3..]).await;
    let bad = [("reason", "policy"), ("until", &until_field), ("ttl", "soon")];
    assert_eq!(admin.post("/dashboard/dead/retry", &bad).await.unwrap().status, 422);
    let fields = [("reason", "policy"), ("until", &until_field), ("ttl", "2h")];
    let done = admin.post("/dashboard/dead/retry", &fields).await.unwrap();
    assert_eq!(done.header("location"), "/dashboard/dead?reason=policy&told=retried&changed=2&failed=0");
    assert!(page(&admin, done.header("location")).await.text.contains("2 dead letters put back"));
    let states = [state(&queue, &mails[0]).await, state(&queue, &mails[1]).await];
    assert_eq!(states, [MailState::Ready; 2]);
    assert_eq!([state(&queue, &mails[2]).await, state(&queue, &mails[3]).await], [MailState::Dead; 2]);
    let deadline = queue.mail(mails[0].id).await.unwrap().unwrap().deadline;
    assert!(deadline.since(Millis::now()) <= Duration::from_secs(7_200), "{deadline}");

    let one = mails[2].id.to_string();
    let done = admin.post("/dashboard/dead/discard", &[("id", &one)]).await.unwrap();
    assert!(done.header("location").starts_with(&format!("/dashboard/mails/{one}?told=discarded")), "{done:?}");
    assert_eq!(state(&queue, &mails[2]).await, MailState::Discarded);
    assert_eq!(state(&queue, &mails[3]).await, MailState::Dead);
}
