//! The Rust client over HTTP when something fails: the server, its Redis, the key, or the connection at any place.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use postroom::{Client, Error, HttpClient, MailId, SendError};
use postroom_it::{Api, PATIENCE, Rig, start_serve, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SHOP: &str = "shop@example.com";
const KEY: &str = "pr_live_of_nobody";

fn mail(key: Option<&str>) -> Value {
    json!({ "from": SHOP, "to": ["ann@example.org"], "subject": "s", "text": "t", "idempotency_key": key })
}

async fn rig() -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    (rig, api)
}

fn client(base: &str, key: &str, patience: Duration) -> Client {
    Client::through(HttpClient::with_key(base, key.to_owned().into()).unwrap().with_patience(patience))
}

async fn stored(rig: &Rig) -> u64 {
    rig.queue().await.unwrap().stats().await.unwrap().states.values().sum()
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_loses_nothing_and_doubles_nothing() {
    let (rig, mut api) = rig().await;
    let client = client(&api.base, &api.key, PATIENCE);
    let mails: Vec<Value> = (0..5_000).map(|n| mail(Some(&format!("k{n}")))).collect();
    let sending = tokio::spawn({
        let client = client.clone();
        async move { client.send_many(mails).await }
    });
    until("some mails are stored", PATIENCE, || async { Ok((stored(&rig).await > 0).then_some(())) }).await.unwrap();
    api.process.kill().await.unwrap();
    assert!(!sending.is_finished(), "killed in between");
    let listen = api.base.trim_start_matches("http://").to_owned();
    let (_again, base) = start_serve(&rig.with(&[("POSTROOM_LISTEN", &listen)])).await.unwrap();
    assert_eq!(base, api.base);
    let ids: HashSet<MailId> = sending.await.unwrap().into_iter().map(|sent| sent.unwrap().id).collect();
    assert_eq!((ids.len(), stored(&rig).await), (5_000, 5_000));
    let place = client.outlooks(&[*ids.iter().next().unwrap()]).await.unwrap();
    assert!(place[0].is_some());
}

#[tokio::test]
async fn a_key_that_is_revoked_is_told_and_never_printed() {
    let (rig, api) = rig().await;
    let key = rig.key(&["create", "app", "--scope", "send"]).await.unwrap();
    let client = client(&api.base, &key, PATIENCE);
    let sent = client.send(mail(None)).await.unwrap();
    let restricted = client.status(sent.id).await.map(|_| ()).unwrap_err();
    assert!(matches!(&restricted, Error::Denied(why) if why.contains("restricted to only send")), "{restricted:?}");
    rig.key(&["revoke", key.split('_').nth(2).unwrap()]).await.unwrap();
    let refused =
        until("the key is refused", PATIENCE, || async { Ok(client.send(mail(None)).await.err()) }).await.unwrap();
    assert!(matches!(&refused, SendError::Wrong(why) if why.contains("API key is invalid")), "{refused:?}");
    let many = client.send_many(vec![mail(None), mail(Some("k"))]).await;
    assert!(many.iter().all(|one| matches!(one, Err(SendError::Wrong(_)))), "{many:?}");
    let denied = client.cancel(sent.id).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)), "{denied:?}");
    assert!(!format!("{refused} {refused:?} {denied} {denied:?}").contains(&key));
}

#[tokio::test]
async fn a_full_redis_is_told_as_such_and_nothing_is_stored() {
    let (rig, api) = rig().await;
    let client = client(&api.base, &api.key, Duration::from_secs(1));
    client.send(mail(None)).await.unwrap();
    let _: String = rig.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let full = client.send(mail(None)).await.unwrap_err();
    assert!(matches!(full, SendError::Full(_)), "{full:?}");
    assert_eq!(full.to_string().matches("it was not stored").count(), 1, "{full}");
    let many = client.send_many(vec![mail(None), mail(None)]).await;
    assert!(many.iter().all(|one| matches!(one, Err(SendError::Full(_)))), "{many:?}");
    let _: String = rig.redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    assert_eq!(stored(&rig).await, 1);
    client.send(mail(None)).await.unwrap();
}

/// A server that gives these answers, one a request; `None`: it closes the connection without a word. The last one stays.
async fn scripted(answers: Vec<Option<(u16, &'static str, Value)>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !whole(&bytes) {
                if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let number = count.fetch_add(1, Ordering::SeqCst);
            if let Some((status, header, body)) = &answers[number.min(answers.len() - 1)] {
                let body = body.to_string();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{header}\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        }
    });
    (base, asked)
}

fn whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn done() -> Option<(u16, &'static str, Value)> {
    Some((200, "", json!({ "id": "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10", "state": "ready" })))
}

fn failed(status: u16, header: &'static str, more: Value) -> Option<(u16, &'static str, Value)> {
    let mut body = json!({ "statusCode": status, "name": "application_error", "message": "no" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Some((status, header, body))
}

/// One word for what came of a mail.
fn word(answer: &Result<postroom::Sent, SendError>) -> &'static str {
    match answer {
        Ok(_) => "sent",
        Err(SendError::Refused(_)) => "refused",
        Err(SendError::Conflict(_)) => "conflict",
        Err(SendError::KeyUsed) => "key used",
        Err(SendError::OthersRefused) => "others",
        Err(SendError::NotStored(_)) => "not stored",
        Err(SendError::Full(_)) => "full",
        Err(SendError::Unknown { keyed: true, .. }) => "unknown, keyed",
        Err(SendError::Unknown { keyed: false, .. }) => "unknown",
        Err(SendError::Wrong(_)) => "wrong",
    }
}

#[tokio::test]
async fn only_what_cannot_be_doubled_is_handed_over_again() {
    let stored = |word: &str| json!({ "stored": word });
    let nothing = || json!({});
    // What the server does, whether the mail has a key, what comes of it, and how often the server was asked (0: several times).
    let table = [
        (vec![None, done()], false, "unknown", 1),
        (vec![None, done()], true, "sent", 2),
        (vec![None], true, "unknown, keyed", 0),
        (vec![failed(503, "", stored("no")), done()], false, "sent", 2),
        (vec![failed(503, "", stored("full")), done()], false, "sent", 2),
        (vec![failed(503, "retry-after: 30\r\n", stored("full")), done()], false, "full", 1),
        (vec![failed(503, "", stored("no"))], false, "not stored", 0),
        (vec![failed(503, "", stored("unknown")), done()], false, "unknown", 1),
        (vec![failed(503, "", stored("unknown")), done()], true, "sent", 2),
        (vec![failed(503, "", nothing()), done()], false, "unknown", 1),
        (vec![failed(502, "", nothing()), done()], false, "unknown", 1),
        (vec![failed(429, "", nothing()), done()], false, "sent", 2),
        (vec![None, failed(503, "", stored("no"))], true, "unknown, keyed", 0),
        (vec![None, failed(403, "", nothing())], true, "unknown, keyed", 2),
        (vec![failed(403, "", nothing())], true, "wrong", 1),
        (vec![failed(500, "", nothing())], true, "wrong", 1),
        (vec![failed(413, "", nothing())], true, "refused", 1),
        (vec![failed(409, "", nothing())], true, "key used", 1),
        (vec![Some((200, "", json!({ "odd": true })))], true, "unknown, keyed", 1),
        (vec![Some((503, "", json!("<html>")))], false, "unknown", 1),
    ];
    for (number, (answers, keyed, expected, asked)) in table.into_iter().enumerate() {
        let (base, count) = scripted(answers).await;
        let client = client(&base, KEY, Duration::from_secs(2));
        let answer = client.send(mail(keyed.then_some("k"))).await;
        assert_eq!(word(&answer), expected, "row {number}: {answer:?}");
        let count = count.load(Ordering::SeqCst);
        assert!(if asked == 0 { count > 1 } else { count == asked }, "row {number}: asked {count} times");
    }
    // Nobody listens: nothing was stored.
    let base = format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    let answer = client(&base, KEY, Duration::from_secs(1)).send(mail(None)).await;
    assert_eq!(word(&answer), "not stored", "{answer:?}");
    assert!(!format!("{answer:?}").contains(KEY));
}

#[tokio::test]
async fn the_server_says_when_to_come_again() {
    let (base, asked) = scripted(vec![failed(429, "retry-after: 1\r\n", json!({})), done()]).await;
    let begun = Instant::now();
    client(&base, KEY, PATIENCE).send(mail(None)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // A limit that is used up keeps the next request back.
    let used_up = Some((200, "ratelimit-remaining: 0\r\nratelimit-reset: 1\r\n", done().unwrap().2));
    let (base, _) = scripted(vec![used_up, done()]).await;
    let client = client(&base, KEY, PATIENCE);
    client.send(mail(None)).await.unwrap();
    let begun = Instant::now();
    client.send(mail(None)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(900));
}
