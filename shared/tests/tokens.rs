//! Access tokens over a real Redis and a token endpoint that counts what it is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::settings::{RedisSettings, TlsSettings, TokenSettings};
use postroom_shared::store::Store;
use postroom_shared::tokens::{
    AccessToken, AfterRefusal, Credentials, CredentialsError, SealError, Sealer, TokenError, Tokens, credentials,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// A Redis of its own, ended with the test.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server in PATH");
        Self { child, port }
    }

    async fn store(&self) -> Store {
        let settings = RedisSettings { url: format!("redis://127.0.0.1:{}", self.port).into(), shards: None };
        for _ in 0..200 {
            if let Ok(store) = Store::connect(&settings).await {
                return store;
            }
        }
        panic!("Redis did not start");
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
enum Answer {
    /// A token that lives so many seconds.
    Token(u64),
    /// The same, with a new refresh token.
    Rotate(&'static str),
    /// Another answer, once the test lets it go.
    Held(Arc<Semaphore>, Box<Self>),
    /// Status, content type, body.
    Refuse(u16, &'static str, &'static str),
}

type Rule = Arc<Mutex<Box<dyn FnMut(&str) -> Answer + Send>>>;

/// A token endpoint. Its tokens are numbered in the order they were asked for.
struct Endpoint {
    url: String,
    rule: Rule,
    asked: Arc<Mutex<Vec<Instant>>>,
    arrived: Arc<Semaphore>,
}

impl Endpoint {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let rule: Rule = Arc::new(Mutex::new(Box::new(move |_: &str| answer.clone())));
        let (asked, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let endpoint = Self { url, rule, asked, arrived };
        let (rule, asked, arrived) = (endpoint.rule.clone(), endpoint.asked.clone(), endpoint.arrived.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, rule.clone(), asked.clone(), arrived.clone()));
            }
        });
        endpoint
    }

    fn rule(&self, rule: impl FnMut(&str) -> Answer + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    fn answers(&self, answer: Answer) {
        self.rule(move |_| answer.clone());
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits for the next request that nobody has waited for.
    async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }
}

async fn serve(mut stream: TcpStream, rule: Rule, asked: Arc<Mutex<Vec<Instant>>>, arrived: Arc<Semaphore>) {
    let Some(body) = request_body(&mut stream).await else { return };
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push(Instant::now());
        asked.len()
    };
    assert!(body.contains("grant_type=refresh_token") && body.contains("client_id="), "{body}");
    let mut answer = (rule.lock().unwrap())(&body);
    arrived.add_permits(1);
    if let Answer::Held(gate, then) = answer {
        gate.acquire().await.unwrap().forget();
        answer = *then;
    }
    let token = |life: u64, more: &str| {
        format!(r#"{{"access_token":"access-{number}","expires_in":{life},"token_type":"Bearer"{more}}}"#)
    };
    let (status, kind, body) = match answer {
        Answer::Token(life) => (200, "application/json", token(life, "")),
        Answer::Rotate(next) => (200, "application/json", token(3_600, &format!(r#","refresh_token":"{next}""#))),
        Answer::Held(..) => panic!("held twice"),
        Answer::Refuse(status, kind, body) => (status, kind, body.to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
}

async fn request_body(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut part = [0; 4_096];
        let length = stream.read(&mut part).await.ok().filter(|length| *length > 0)?;
        text.push_str(std::str::from_utf8(&part[..length]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let line = head.lines().find(|line| line.to_lowercase().starts_with("content-length:"))?;
        if body.len() >= line.split_once(':')?.1.trim().parse().ok()? {
            return Some(body.to_owned());
        }
    }
}

fn account(name: &str) -> AccountId {
    format!("{name}@example.com").parse().unwrap()
}

fn sealer(keys: &str) -> Arc<Sealer> {
    Arc::new(Sealer::from_setting(&keys.to_owned().into()).unwrap())
}

/// An account's credentials; its refresh token carries its name.
fn credentials_of(name: &str) -> Credentials {
    Credentials {
        client_id: "client".to_owned(),
        client_secret: SecretString::default(),
        refresh_token: format!("refresh-{name}").into(),
    }
}

/// Another process of the fleet.
async fn process(redis: &Redis, endpoint: &Endpoint) -> Tokens {
    let settings = TokenSettings { keys: None, token_url: endpoint.url.parse().unwrap() };
    Tokens::new(redis.store().await, sealer(KEY), &settings, &TlsSettings::default()).unwrap()
}

async fn stage(answer: Answer) -> (Redis, Endpoint, Tokens) {
    let (redis, endpoint) = (Redis::start(), Endpoint::start(answer).await);
    let store = redis.store().await;
    for name in ["alice", "bob", "carol", "dave"] {
        credentials::save(&store, &sealer(KEY), &account(name), &credentials_of(name)).await.unwrap();
    }
    let tokens = process(&redis, &endpoint).await;
    (redis, endpoint, tokens)
}

fn text(token: &AccessToken) -> String {
    token.secret().expose_secret().to_owned()
}

fn tried(after: Result<AfterRefusal, TokenError>) -> AccessToken {
    match after {
        Ok(AfterRefusal::Try(token)) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_tasks_in_four_processes_ask_once() {
    let (redis, endpoint, _) = stage(Answer::Token(3_600)).await;
    let barrier = Arc::new(Barrier::new(20));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let (tokens, barrier) = (tokens.clone(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                text(&tokens.access(&account("alice")).await.unwrap())
            });
        }
    }
    assert!(tasks.join_all().await.iter().all(|token| token == "access-1"));
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_several_lifetimes_there_is_one_refresh_each() {
    const LIFE: Duration = Duration::from_secs(2);
    let (redis, endpoint, _) = stage(Answer::Token(LIFE.as_secs())).await;
    let end = Instant::now() + LIFE * 3;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let tokens = tokens.clone();
            tasks.spawn(async move {
                while Instant::now() < end {
                    let asked = Millis::now();
                    let token = tokens.access(&account("alice")).await.unwrap();
                    assert!(token.expires() > asked);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
    }
    tasks.join_all().await;
    let asked = endpoint.asked.lock().unwrap().clone();
    assert!(asked.len() >= 4, "{}", asked.len());
    // A token is fresh for two thirds of its life, counted from just before it was asked for.
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] > LIFE / 2), "{asked:?}");
}

#[tokio::test]
async fn when_the_lock_holder_died_another_takes_over() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let store = redis.store().await;
    let key = store.keys_of(&account("alice")).token_lock(&account("alice"));
    let mut set = redis::cmd("SET");
    set.arg(key).arg("somebody who died").arg("PX").arg(600);
    set.query_async::<()>(&mut store.connection()).await.unwrap();
    let begun = Instant::now();
    assert_eq!(text(&tokens.access(&account("alice")).await.unwrap()), "access-1");
    assert!(begun.elapsed() > Duration::from_millis(500));
    assert_eq!((endpoint.count(), tokens.figures().waits), (1, 1));
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_no_lock_behind() {
    let gate = Arc::new(Semaphore::new(0));
    let (_redis, endpoint, tokens) = stage(Answer::Held(gate.clone(), Box::new(Answer::Token(3_600)))).await;
    let alice = account("alice");
    tokio::select! {
        _ = tokens.access(&alice) => panic!("the endpoint holds its answer"),
        () = endpoint.arrival() => {}
    }
    gate.add_permits(1);
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), "access-1");
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn a_late_writer_does_not_replace_a_newer_token() {
    let gate = Arc::new(Semaphore::new(0));
    let (redis, endpoint, slow) = stage(Answer::Held(gate.clone(), Box::new(Answer::Token(3_600)))).await;
    let (store, alice) = (redis.store().await, account("alice"));
    let late = tokio::spawn({
        let (slow, alice) = (slow.clone(), alice.clone());
        async move { slow.access(&alice).await }
    });
    endpoint.arrival().await;
    // As if the lock had run out.
    let mut del = redis::cmd("DEL");
    del.arg(store.keys_of(&alice).token_lock(&alice));
    del.query_async::<()>(&mut store.connection()).await.unwrap();
    endpoint.answers(Answer::Token(3_600));
    assert_eq!(text(&process(&redis, &endpoint).await.access(&alice).await.unwrap()), "access-2");
    gate.add_permits(1);
    assert_eq!(text(&late.await.unwrap().unwrap()), "access-1");
    assert_eq!(slow.figures().lock_losses, 1);
    assert_eq!(text(&process(&redis, &endpoint).await.access(&alice).await.unwrap()), "access-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_forces_one_refresh_in_the_whole_fleet() {
    let (redis, endpoint, first) = stage(Answer::Token(3_600)).await;
    let alice = account("alice");
    let refused = first.access(&alice).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let tokens = process(&redis, &endpoint).await;
        for _ in 0..5 {
            let (tokens, alice, refused) = (tokens.clone(), alice.clone(), refused.clone());
            tasks.spawn(async move { text(&tried(tokens.after_refusal(&alice, &refused).await)) });
        }
    }
    assert!(tasks.join_all().await.iter().all(|token| token == "access-2"));
    let second = tried(first.after_refusal(&alice, &refused).await);
    assert_eq!(text(&second), "access-2");
    assert_eq!(text(&first.access(&alice).await.unwrap()), "access-2");
    for tokens in [first, process(&redis, &endpoint).await] {
        let after = tokens.after_refusal(&alice, &second).await.unwrap();
        assert!(matches!(after, AfterRefusal::FreshRefused), "{after:?}");
    }
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn a_forced_refresh_that_failed_does_not_condemn_the_account() {
    let (redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let alice = account("alice");
    let refused = tokens.access(&alice).await.unwrap();
    endpoint.answers(Answer::Refuse(503, "text/html", "<html>"));
    assert!(tokens.after_refusal(&alice, &refused).await.unwrap_err().is_passing());
    let asked = endpoint.count();
    let error = tokens.after_refusal(&alice, &refused).await.unwrap_err();
    assert!(matches!(error, TokenError::Passing { retry_after: Some(_), .. }), "{error}");
    assert_eq!(endpoint.count(), asked);
    // New credentials end the wait.
    credentials::save(&redis.store().await, &sealer(KEY), &alice, &credentials_of("alice")).await.unwrap();
    endpoint.answers(Answer::Token(3_600));
    assert_eq!(text(&tried(tokens.after_refusal(&alice, &refused).await)), format!("access-{}", asked + 1));
}

#[tokio::test]
async fn refusals_of_the_endpoint_are_told_apart() {
    let (_redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    endpoint.rule(|body| {
        if body.contains("refresh-alice") {
            let body = r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#;
            Answer::Refuse(400, "application/json", body)
        } else {
            Answer::Refuse(401, "application/json", r#"{"error":"invalid_client"}"#)
        }
    });
    let error = tokens.access(&account("alice")).await.unwrap_err();
    assert!(matches!(&error, TokenError::Consent { error, .. } if error == "invalid_grant"), "{error}");
    assert!(error.to_string().contains("expired or revoked"), "{error}");
    let error = tokens.access(&account("bob")).await.unwrap_err();
    assert!(matches!(&error, TokenError::Client { error, .. } if error == "invalid_client"), "{error}");
    assert_eq!(tokens.access(&account("nobody")).await.unwrap_err(), TokenError::NoCredentials);
    assert_eq!(endpoint.count(), 2);
    assert_eq!(tokens.figures().failures, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_endpoint_fails_the_old_token_is_used_to_its_end() {
    let (_redis, endpoint, tokens) = stage(Answer::Token(2)).await;
    let names = ["alice", "bob", "carol", "dave"];
    let mut olds = Vec::new();
    for name in names {
        olds.push(tokens.access(&account(name)).await.unwrap());
    }
    endpoint.rule(|body| match () {
        () if body.contains("refresh-alice") => Answer::Refuse(403, "text/html", "<title>403 (Forbidden)</title>"),
        () if body.contains("refresh-bob") => Answer::Refuse(429, "application/json", "{}"),
        () if body.contains("refresh-carol") => Answer::Refuse(500, "text/html", ""),
        () => Answer::Refuse(200, "application/json", r#"{"access_token":"#),
    });
    let mut tasks = JoinSet::new();
    for (name, old) in names.into_iter().zip(olds) {
        let tokens = tokens.clone();
        tasks.spawn(async move {
            let error = loop {
                match tokens.access(&account(name)).await {
                    Ok(token) => assert_eq!(text(&token), text(&old)),
                    Err(error) => break error,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert!(Millis::now() >= old.expires());
            error
        });
    }
    let errors = tasks.join_all().await;
    assert!(errors.iter().all(TokenError::is_passing), "{errors:?}");
    assert!(errors.iter().all(|error| !error.to_string().contains("access_token")), "{errors:?}");
    endpoint.answers(Answer::Token(3_600));
    for name in names {
        tokens.access(&account(name)).await.unwrap();
    }
}

#[tokio::test]
async fn without_redis_a_token_in_memory_goes_on() {
    let (mut redis, endpoint, tokens) = stage(Answer::Token(3_600)).await;
    let (alice, stranger) = (account("alice"), process(&redis, &endpoint).await);
    let token = tokens.access(&alice).await.unwrap();
    redis.kill();
    assert_eq!(text(&tokens.access(&alice).await.unwrap()), text(&token));
    let error = stranger.access(&alice).await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(tokens.after_refusal(&alice, &token).await.unwrap_err().is_passing());
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_unless_a_person_logged_in_meanwhile() {
    let (redis, endpoint, tokens) = stage(Answer::Rotate("refresh-next")).await;
    let store = redis.store().await;
    let stored = async |name: &str| {
        let loaded = credentials::load(&store, &sealer(KEY), &account(name)).await.unwrap().unwrap();
        loaded.refresh_token.expose_secret().to_owned()
    };
    tokens.access(&account("alice")).await.unwrap();
    assert_eq!(stored("alice").await, "refresh-next");
    // Bob logs in anew while the endpoint answers.
    let gate = Arc::new(Semaphore::new(0));
    endpoint.arrival().await;
    endpoint.answers(Answer::Held(gate.clone(), Box::new(Answer::Rotate("refresh-next"))));
    let bob = tokio::spawn(async move { tokens.access(&account("bob")).await });
    endpoint.arrival().await;
    credentials::save(&store, &sealer(KEY), &account("bob"), &credentials_of("bob-by-hand")).await.unwrap();
    gate.add_permits(1);
    bob.await.unwrap().unwrap();
    assert_eq!(stored("bob").await, "refresh-bob-by-hand");
}

#[tokio::test]
async fn credentials_open_only_with_their_key_and_in_their_place() {
    let (redis, _endpoint, _) = stage(Answer::Token(3_600)).await;
    let (store, alice, bob) = (redis.store().await, account("alice"), account("bob"));
    let key = |account: &AccountId| store.keys_of(account).sealed(account);
    let raw: Vec<u8> = redis::cmd("GET").arg(key(&alice)).query_async(&mut store.connection()).await.unwrap();
    assert!(!raw.windows(7).any(|window| window == b"refresh"));
    let load = async |keys: &str, account: &AccountId| credentials::load(&store, &sealer(keys), account).await;
    let put = async |record: &[u8]| {
        redis::cmd("SET").arg(key(&bob)).arg(record).query_async::<()>(&mut store.connection()).await.unwrap();
    };
    let sealed = |result: Result<Option<Credentials>, CredentialsError>| match result {
        Err(CredentialsError::Sealed(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(sealed(load(OTHER_KEY, &alice).await), SealError::UnknownKey { .. }));
    let rotated = load(&format!("{OTHER_KEY},{KEY}"), &alice).await.unwrap().unwrap();
    assert_eq!(rotated.refresh_token.expose_secret(), "refresh-alice");
    put(&raw).await;
    assert_eq!(sealed(load(KEY, &bob).await), SealError::Damaged);
    put(&raw[..raw.len() - 1]).await;
    assert_eq!(sealed(load(KEY, &bob).await), SealError::Damaged);
    credentials::remove(&store, &alice).await.unwrap();
    assert!(load(KEY, &alice).await.unwrap().is_none());
}
