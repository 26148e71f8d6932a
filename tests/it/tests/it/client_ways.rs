//! The Rust client's two ways, straight to Redis and over HTTP: every operation answers the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postroom::{
    Client, DirectClient, Draft, Error, FindQuery, HttpClient, MailId, MailState, MailStatus, Mailer, Millis,
    PageQuery, SendError, Sent,
};
use postroom_it::{Api, Rig};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";
const MISSING: &str = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10";

fn mail(to: &str, more: Value) -> Value {
    let mut mail =
        json!({ "from": format!("Shop <{SHOP}>"), "to": [to], "subject": "Your order", "text": "Thank you." });
    mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mail
}

/// What was answered, mails told by the order in which they first came.
#[derive(Default)]
struct Told {
    mails: HashMap<MailId, usize>,
    lines: Vec<String>,
}

impl Told {
    fn number(&mut self, id: MailId) -> usize {
        let next = self.mails.len();
        *self.mails.entry(id).or_insert(next)
    }

    fn sent(&mut self, what: &str, answer: &Result<Sent, SendError>) {
        let line = match answer {
            Ok(Sent { id, known, test, send_at }) => {
                format!("mail {} known {known} test {test} at {send_at:?}", self.number(*id))
            }
            Err(SendError::Conflict(id)) => format!("conflict with {}", self.number(*id)),
            Err(SendError::Refused(refusal)) => format!("refused {:?}", refusal.faults()),
            Err(error) => format!("{error:?}"),
        };
        self.lines.push(format!("{what}: {line}"));
    }

    fn batch(&mut self, what: &str, answers: Result<Vec<Result<Sent, SendError>>, SendError>) {
        match answers {
            Ok(answers) => answers.iter().for_each(|answer| self.sent(what, answer)),
            Err(error) => self.sent(what, &Err(error)),
        }
    }

    fn add(&mut self, what: &str, answer: impl std::fmt::Debug) {
        self.lines.push(format!("{what}: {answer:?}"));
    }
}

/// A mail's status without what differs from one queue to another.
fn fixed(status: Option<MailStatus>) -> Value {
    let Some(status) = status else { return Value::Null };
    let mut value = serde_json::to_value(status).unwrap();
    for field in ["id", "queued_at", "at", "deadline", "message_id"] {
        assert!(value.as_object_mut().unwrap().remove(field).is_some(), "{field}");
    }
    value["outlook"] = value["outlook"]["why"].take();
    for event in value["timeline"].as_array_mut().unwrap() {
        event["at"] = Value::Null;
    }
    value
}

/// Hands mails over, one by one and several.
async fn hand_over(client: &Client, told: &mut Told, soon: Millis) -> MailId {
    let keyed = |to: &str| mail(to, json!({ "idempotency_key": "order-1" }));
    let first = client.send(mail("ann@example.org", json!({}))).await;
    told.sent("first", &first);
    for (what, mail) in [
        ("keyed", keyed("ann@example.org")),
        ("again", keyed("ann@example.org")),
        ("conflict", keyed("bob@example.org")),
        ("scheduled", mail("ann@example.org", json!({ "send_at": soon.to_string() }))),
        ("test", mail("delivered@postroom.test", json!({}))),
        ("bad", json!({ "from": "nobody", "to": ["x"], "subjct": "s", "send_at": "whenever" })),
        ("not his", json!({ "from": "other@example.com", "to": ["x@example.org"], "text": "" })),
        ("no object", json!(["x"])),
    ] {
        told.sent(what, &client.send(mail).await);
    }
    let account = Draft::from(mail("ann@example.org", json!({}))).with_account("other@example.com".parse().unwrap());
    told.sent("account", &client.send(account).await);

    let mut many: Vec<Value> = (0..250).map(|n| mail(&format!("n{n}@example.org"), json!({}))).collect();
    many[7]["to"] = json!(["nobody"]);
    many[120] = keyed("bob@example.org");
    many[201] = keyed("ann@example.org");
    many[202]["send_at"] = json!("whenever");
    client.send_many(many).await.iter().for_each(|answer| told.sent("many", answer));
    told.batch("none", Ok(client.send_many(Vec::<Value>::new()).await));
    first.unwrap().id
}

async fn batches(client: &Client, told: &mut Told) {
    let good = || vec![mail("a@example.org", json!({})), mail("b@example.org", json!({ "priority": "bulk" }))];
    let bad = || vec![mail("a@example.org", json!({})), mail("nobody", json!({ "subjct": "" }))];
    told.batch("batch", client.send_batch(Some("batch-1"), good(), true).await);
    told.batch("batch again", client.send_batch(Some("batch-1"), good(), true).await);
    told.batch("batch of others", client.send_batch(Some("batch-1"), bad(), false).await);
    told.batch("all or none", client.send_batch(None, bad(), true).await);
    told.batch("those that can", client.send_batch(Some("batch-2"), bad(), false).await);
    told.batch("a bad key", client.send_batch(Some("\n"), good(), false).await);
    told.batch("nothing", client.send_batch(None, Vec::<Value>::new(), true).await);
}

/// Asks for mails and changes them.
async fn ask(client: &Client, rig: &Rig, told: &mut Told, first: MailId, soon: Millis) {
    let missing: MailId = MISSING.parse().unwrap();
    told.add("status", fixed(client.status(first).await.unwrap()));
    told.add("no status", client.status(missing).await.unwrap().is_none());
    told.add("wait", client.wait(first, Duration::from_millis(80)).await.unwrap().unwrap().state);
    for (what, id) in [("moved", first), ("moved again", first), ("nothing moved", missing)] {
        told.add(what, client.reschedule(id, soon).await.unwrap());
    }
    let far = Millis::now().after(Duration::from_secs(40 * 86_400));
    told.add("too far", matches!(client.reschedule(first, far).await, Err(Error::TooFar)));
    told.add("scheduled", fixed(client.status(first).await.unwrap()));
    let now = Millis(Millis::now().0 - 60_000);
    told.add("now", client.reschedule(first, now).await.unwrap());
    for (what, id) in [("cancel", first), ("cancel again", first), ("cancel nothing", missing)] {
        told.add(what, client.cancel(id).await.unwrap());
    }
    told.add("too late", client.reschedule(first, soon).await.unwrap());
    let known = told.mails.iter().map(|(id, number)| (*number, *id)).collect::<std::collections::BTreeMap<_, _>>();
    let ids: Vec<MailId> = known.into_values().take(20).chain([missing]).collect();
    let places = client.outlooks(&ids).await.unwrap();
    for place in &places {
        let short = |place: &postroom::Place| {
            let why = place.outlook.as_ref().map(|outlook| outlook.why);
            (place.account.reveal().to_owned(), place.state, place.reason, why)
        };
        told.add("outlook", place.as_ref().map(short));
    }
    told.add("no outlooks", client.outlooks(&[]).await.unwrap());
    // Nothing is lost on the way: the queue's own words.
    let own = serde_json::to_value(rig.queue().await.unwrap().mail(first).await.unwrap()).unwrap();
    assert_eq!(serde_json::to_value(client.status(first).await.unwrap()).unwrap(), own);
    told.add("wait for the end", client.wait(first, Duration::from_secs(60)).await.unwrap().unwrap().state);
}

/// Looks for mails, in each way that there is.
async fn find(client: &Client, told: &mut Told, first: MailId) {
    let page = |limit| PageQuery { limit, ..PageQuery::default() };
    let of = |limit| FindQuery { page: page(limit), ..FindQuery::default() };
    let of_shop = PageQuery { accounts: Some(vec![SHOP.parse().unwrap()]), ..page(100) };
    let message_id = client.status(first).await.unwrap().unwrap().message_id;
    for (what, query) in [
        ("recipient", FindQuery { recipient: Some("ann@example.org".parse().unwrap()), ..of(100) }),
        ("one", FindQuery { recipient: Some("n100@example.org".parse().unwrap()), page: of_shop, ..of(1) }),
        ("tag", FindQuery { tag: Some("kind=none".parse().unwrap()), ..of(100) }),
        ("state", FindQuery { page: PageQuery { state: Some(MailState::Scheduled), ..page(100) }, ..of(1) }),
        ("reason", FindQuery { reason: Some(postroom::Reason::Operator), ..of(100) }),
        ("message id", FindQuery { message_id, ..of(100) }),
        ("key", FindQuery { idempotency_key: Some("order-1".to_owned()), ..of(100) }),
        ("batch", FindQuery { idempotency_key: Some("batch-1".to_owned()), ..of(100) }),
    ] {
        let found = client.find(&query).await.unwrap();
        let mut numbers: Vec<usize> = found.mails.iter().map(|mail| told.number(mail.id)).collect();
        // Those of one millisecond lie in the order of their ids.
        numbers.sort_unstable();
        assert_eq!(numbers.is_empty(), what == "tag", "{what}");
        told.add(what, (numbers, found.has_more, found.next.is_some()));
    }
    let newest = client.find(&of(3)).await.unwrap();
    assert_eq!(newest.next, Some(newest.mails[2].id));
    let after = PageQuery { after: newest.next, ..page(100) };
    let older = client.find(&FindQuery { page: after, ..FindQuery::default() }).await.unwrap();
    assert!(newest.mails.iter().all(|mail| older.mails.iter().all(|other| other.id != mail.id)));
    told.add("pages", (newest.mails.len(), older.mails.len(), older.has_more));
    let before = PageQuery { before: Some(older.mails[0].id), ..page(100) };
    let back = client.find(&FindQuery { page: before, ..FindQuery::default() }).await.unwrap();
    let ids = |page: &postroom::Page| page.mails.iter().map(|mail| mail.id).collect::<Vec<_>>();
    assert_eq!((ids(&back), back.next), (ids(&newest), None));
}

async fn all(client: &Client, rig: &Rig, soon: Millis) -> Vec<String> {
    let mut told = Told::default();
    let first = hand_over(client, &mut told, soon).await;
    batches(client, &mut told).await;
    ask(client, rig, &mut told, first, soon).await;
    find(client, &mut told, first).await;
    told.lines
}

async fn rig() -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    (rig, api)
}

fn with_key(base: &str, key: &str) -> String {
    base.replace("http://", &format!("http://:{key}@"))
}

#[tokio::test]
async fn every_operation_answers_the_same_over_both_ways() {
    let ((one, _), (other, api)) = tokio::join!(rig(), rig());
    let soon = Millis::now().after(Duration::from_secs(3_600));
    let direct = all(&Client::connect(&one.redis.url()).await.unwrap(), &one, soon).await;
    let http = all(&Client::connect(&with_key(&api.base, &api.key)).await.unwrap(), &other, soon).await;
    assert!(direct.len() > 300 && direct.iter().any(|line| line.starts_with("conflict: conflict with")), "{direct:#?}");
    for (direct, http) in direct.iter().zip(&http) {
        assert_eq!(direct, http);
    }
    assert_eq!(direct.len(), http.len());
}

#[tokio::test]
async fn what_only_one_way_can_do_is_refused_and_not_lost() {
    let (rig, api) = rig().await;
    let client = Client::connect_with_key(&api.base, api.key.clone()).unwrap();
    let eml = Draft::from_eml(b"From: shop@example.com\r\nTo: ann@example.org\r\n\r\nHi\r\n".to_vec());
    let live = Draft::from(mail("ann@example.org", json!({}))).as_test();
    let bound = Draft::from(mail("ann@example.org", json!({}))).within(Arc::new([SHOP.parse().unwrap()]));
    for (draft, words) in [(eml, "(.eml)"), (live, "test key"), (bound, "API key")] {
        let refused = client.send(draft).await.unwrap_err();
        assert!(matches!(refused, SendError::Refused(_)) && refused.to_string().contains(words), "{refused:?}");
    }
    let batch = client.send_batch(None, vec![mail("ann@example.org", json!({})); 101], true).await;
    assert!(matches!(batch, Err(SendError::Refused(_))), "{batch:?}");
    assert_eq!(rig.queue().await.unwrap().stats().await.unwrap().states.values().sum::<u64>(), 0);
    // With a test key, a mail may ask for test mode.
    let test = rig.key(&["create", "ci", "--test"]).await.unwrap();
    let client = Client::connect_with_key(&api.base, test).unwrap();
    let sent = client.send(Draft::from(mail("ann@example.org", json!({}))).as_test()).await.unwrap();
    assert!(sent.test);
}

/// An app's own mailer, as its tests may have one.
#[tokio::test]
async fn a_mailer_set_up_by_hand_goes_behind_the_same_client() {
    let (rig, api) = rig().await;
    let direct = DirectClient::over(rig.queue().await.unwrap());
    let http = HttpClient::with_key(&api.base, api.key.clone().into()).unwrap();
    assert!(!format!("{http:?}").contains(&api.key));
    let ways: [Box<dyn Mailer>; 2] = [Box::new(direct.clone()), Box::new(http.clone())];
    let mut ids = Vec::new();
    for way in &ways {
        ids.push(way.send(mail("ann@example.org", json!({})).into()).await.unwrap().id);
    }
    for client in [Client::through(direct), Client::through(http)] {
        assert_eq!(client.outlooks(&ids).await.unwrap().into_iter().flatten().count(), 2);
    }
    for wrong in ["http://127.0.0.1:1", "https://", "ftp://x", "http://user@127.0.0.1:1"] {
        let error = Client::connect(wrong).await.map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains("user@"), "{error}");
    }
}
