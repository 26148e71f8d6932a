//! A Redis, a token endpoint that counts what it is asked, and processes of the fleet.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::settings::{RedisSettings, TlsSettings, TokenSettings};
use postroom_shared::store::Store;
use postroom_shared::tokens::{
    AccessToken, Credentials, FleetFigures, Sealer, TokenError, TokenFigures, Tokens, credentials,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// A Redis of its own, ended with the test.
pub(crate) struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { child: Self::spawn(port), port }
    }

    fn spawn(port: u16) -> Child {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server in PATH")
    }

    /// Starts it again, empty.
    pub(crate) fn revive(&mut self) {
        self.child = Self::spawn(self.port);
    }

    pub(crate) async fn store(&self) -> Store {
        let url = format!("redis://127.0.0.1:{}", self.port).into();
        let settings = RedisSettings { url, shards: None, eviction_ok: false, answer_within: Duration::from_secs(15) };
        for _ in 0..200 {
            if let Ok(store) = Store::connect(&settings).await {
                return store;
            }
        }
        panic!("Redis did not start");
    }

    pub(crate) fn kill(&mut self) {
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
pub(crate) enum Answer {
    /// A token that lives so many seconds.
    Token(u64),
    /// The same, with a new refresh token.
    Rotate(&'static str),
    /// Another answer, once the test lets it go.
    Held(Arc<Semaphore>, Box<Self>),
    /// Status, content type, body.
    Refuse(u16, &'static str, &'static str),
    /// A status with `Retry-After`.
    ComeAgain(u16, String),
    /// Half of a token.
    Truncated,
}

pub(crate) type Rule = Arc<Mutex<Box<dyn FnMut(&str) -> Answer + Send>>>;

/// A token endpoint. Its tokens are numbered in the order they were asked for.
pub(crate) struct Endpoint {
    url: String,
    rule: Rule,
    pub(crate) asked: Arc<Mutex<Vec<Instant>>>,
    arrived: Arc<Semaphore>,
}

impl Endpoint {
    pub(crate) async fn start(answer: Answer) -> Self {
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

    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Answer + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    pub(crate) fn answers(&self, answer: Answer) {
        self.rule(move |_| answer.clone());
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Waits for the next request that nobody has waited for.
    pub(crate) async fn arrival(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }
}

pub(crate) async fn serve(mut stream: TcpStream, rule: Rule, asked: Arc<Mutex<Vec<Instant>>>, arrived: Arc<Semaphore>) {
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
    let (mut cut, mut more) = (0, String::new());
    let (status, kind, body) = match answer {
        Answer::ComeAgain(status, when) => {
            more = format!("Retry-After: {when}\r\n");
            (status, "text/html", "<title>Later</title>".to_owned())
        }
        Answer::Truncated => {
            cut = 20;
            (200, "application/json", token(3_600, ""))
        }
        Answer::Token(life) => (200, "application/json", token(life, "")),
        Answer::Rotate(next) => (200, "application/json", token(3_600, &format!(r#","refresh_token":"{next}""#))),
        Answer::Held(..) => panic!("held twice"),
        Answer::Refuse(status, kind, body) => (status, kind, body.to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{more}Connection: close\r\n\r\n{}",
        body.len(),
        &body[..body.len() - cut]
    );
    let _ = stream.write_all(head.as_bytes()).await;
}

pub(crate) async fn request_body(stream: &mut TcpStream) -> Option<String> {
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

pub(crate) fn account(name: &str) -> AccountId {
    format!("{name}@example.com").parse().unwrap()
}

pub(crate) fn sealer(keys: &str) -> Arc<Sealer> {
    Arc::new(Sealer::from_setting(&keys.to_owned().into()).unwrap())
}

/// An account's credentials; its refresh token carries its name.
pub(crate) fn credentials_of(name: &str) -> Credentials {
    Credentials::Consent {
        client_id: "client".to_owned(),
        client_secret: SecretString::default(),
        refresh_token: format!("refresh-{name}").into(),
    }
}

/// Another process of the fleet.
pub(crate) async fn process(redis: &Redis, endpoint: &Endpoint) -> Tokens {
    process_with(redis, endpoint, KEY).await
}

/// The same, with these keys.
pub(crate) async fn process_with(redis: &Redis, endpoint: &Endpoint, keys: &str) -> Tokens {
    let settings = TokenSettings { keys: None, token_url: endpoint.url.parse().unwrap() };
    Tokens::new(redis.store().await, sealer(keys), &settings, &TlsSettings::default()).unwrap()
}

pub(crate) async fn stage(answer: Answer) -> (Redis, Endpoint, Tokens) {
    let (redis, endpoint) = (Redis::start(), Endpoint::start(answer).await);
    let store = redis.store().await;
    for name in ["alice", "bob", "carol", "dave"] {
        credentials::save(&store, &sealer(KEY), &account(name), &credentials_of(name)).await.unwrap();
    }
    let tokens = process(&redis, &endpoint).await;
    (redis, endpoint, tokens)
}

/// What a process counted of an account.
pub(crate) fn figures(tokens: &Tokens, name: &str) -> TokenFigures {
    let of_all = tokens.figures();
    of_all.into_iter().find(|(id, _)| *id == account(name)).map(|(_, figures)| figures).unwrap_or_default()
}

/// What the fleet counted of an account.
pub(crate) async fn fleet_figures(redis: &Redis, name: &str) -> FleetFigures {
    FleetFigures::read(&redis.store().await, &account(name)).await.unwrap()
}

/// Asks as a worker does: when it is told to come again, it does.
pub(crate) async fn patiently(tokens: &Tokens, name: &str) -> AccessToken {
    loop {
        match tokens.access(&account(name)).await {
            Ok(token) => return token,
            Err(TokenError::Passing { retry_after, .. }) => tokio::time::sleep(retry_after.unwrap_or_default()).await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn text(token: &AccessToken) -> String {
    token.secret().expose_secret().to_owned()
}
