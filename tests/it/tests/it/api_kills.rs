//! `kill -9` of `postroom serve` at random moments under load: each idempotency key is delivered once, and every answer 200 is
//! a mail that went.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_it::{PATIENCE, Process, Rig, Splitmix, client, until};
use serde_json::{Value, json};

const ACCOUNTS: [&str; 3] = ["shop@example.com", "news@example.com", "desk@example.com"];
const CLIENTS: u64 = 8;
/// Between the requests of one client.
const PACE: Duration = Duration::from_millis(15);
/// An attachment of which three are more than Redis is given in one script.
const LARGE: usize = 1_600_000;
const LARGE_BATCHES: u64 = 8;

/// What became of requests, each try counted.
#[derive(Default)]
struct Tries {
    answered: AtomicU64,
    known: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    put_off: AtomicU64,
}

struct Load {
    http: reqwest::Client,
    bases: Mutex<Vec<String>>,
    key: String,
    seed: u64,
    tries: Tries,
    over: AtomicBool,
    /// Each mail that was answered with 200: its recipient and its id.
    promised: Mutex<Vec<(String, String)>>,
}

/// A hand-over as an app makes it: the same bytes and the same key each time, until there is an answer.
struct HandOver {
    path: &'static str,
    key: String,
    body: String,
    recipients: Vec<String>,
}

fn mail(dice: &mut Splitmix, to: &str, large: bool) -> Value {
    let from = ACCOUNTS[dice.next() as usize % ACCOUNTS.len()];
    let mut mail = json!({ "from": from, "to": [to], "subject": format!("For {to}"), "text": "x".repeat(2_000) });
    if large {
        let bytes: Vec<u8> = (0..LARGE / 8).flat_map(|_| dice.next().to_le_bytes()).collect();
        mail["attachments"] = json!([{ "filename": "a.bin", "content": STANDARD.encode(bytes) }]);
    }
    mail
}

impl HandOver {
    fn draw(dice: &mut Splitmix, client: u64, number: u64) -> Self {
        let key = format!("order-{client}-{number}");
        let large = client == 0 && number % 20 == 7 && number < 20 * LARGE_BATCHES;
        let mails = if large || dice.next().is_multiple_of(5) { 3 } else { 1 };
        let recipients: Vec<_> = (0..mails).map(|mail| format!("{key}-{mail}@example.org")).collect();
        let mut mails: Vec<_> = recipients.iter().map(|to| mail(dice, to, large)).collect();
        let (path, body) = match mails.len() {
            1 => ("/emails", mails.remove(0)),
            _ => ("/emails/batch", Value::Array(mails)),
        };
        Self { path, key, body: body.to_string(), recipients }
    }
}

impl Load {
    async fn start(rig: &Rig, seed: u64, base: String) -> Arc<Self> {
        Arc::new(Self {
            http: client().unwrap(),
            bases: Mutex::new(vec![base]),
            key: rig.key(&["create", "load", "--scope", "send"]).await.unwrap(),
            seed,
            tries: Tries::default(),
            over: AtomicBool::new(false),
            promised: Mutex::default(),
        })
    }

    async fn client(&self, number: u64) {
        let mut dice = Splitmix::new(self.seed ^ number << 32);
        for nth in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let one = HandOver::draw(&mut dice, number, nth);
            let ids = self.hand_over(&one, &mut dice).await;
            assert_eq!(ids.len(), one.recipients.len(), "{}", one.key);
            self.promised.lock().unwrap().extend(one.recipients.into_iter().zip(ids));
            tokio::time::sleep(PACE).await;
        }
    }

    /// Repeats until it is answered with 200; answers the ids.
    async fn hand_over(&self, one: &HandOver, dice: &mut Splitmix) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let base = {
                let bases = self.bases.lock().unwrap();
                bases[dice.next() as usize % bases.len()].clone()
            };
            let request = self.http.post(format!("{base}{}", one.path)).bearer_auth(&self.key);
            let answered = request.header("idempotency-key", &one.key).body(one.body.clone()).send().await;
            let (status, body) = match read(answered).await {
                Ok(answer) => answer,
                Err(error) => {
                    let count = if error.is_connect() { &self.tries.refused } else { &self.tries.broken };
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5 + dice.next() % 20)).await;
                    assert!(begun.elapsed() < PATIENCE, "{}: no answer in a minute: {error}", one.key);
                    continue;
                }
            };
            match status {
                200 => {
                    self.tries.answered.fetch_add(1, Ordering::Relaxed);
                    self.tries.known.fetch_add(u64::from(body["known"] == true), Ordering::Relaxed);
                    return ids(&body);
                }
                500.. => {
                    self.tries.put_off.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PACE).await;
                }
                _ => panic!("{}: {status} {body}", one.key),
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {status} {body}", one.key);
        }
    }

    fn answered(&self) -> u64 {
        self.tries.answered.load(Ordering::Relaxed)
    }
}

/// The whole answer, for a server may die in the midst of it.
async fn read(answered: Result<reqwest::Response, reqwest::Error>) -> Result<(u16, Value), reqwest::Error> {
    let response = answered?;
    let status = response.status().as_u16();
    Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
}

fn ids(body: &Value) -> Vec<String> {
    let id = |one: &Value| one["id"].as_str().unwrap().to_owned();
    match body["data"].as_array() {
        Some(mails) => mails.iter().map(id).collect(),
        None => vec![id(body)],
    }
}

/// Kills and restarts the server on its port, so many times, at moments that the seed decides; a second one is there for the
/// third in the middle, and is killed in its end.
async fn kill_again_and_again(rig: &Rig, load: &Load, port: &str, mut server: Process, kills: u64) -> Process {
    let mut dice = Splitmix::new(load.seed);
    let settings = [("POSTROOM_LISTEN", port), ("POSTROOM_API_RATE", "0")];
    let mut beside = None;
    for kill in 0..kills {
        if kill == kills / 3 {
            let (process, base) = rig.serve_process(&settings[1..]).await.unwrap();
            load.bases.lock().unwrap().push(base);
            beside = Some(process);
        }
        if kill == kills * 2 / 3 {
            beside.take().unwrap().kill().await.unwrap();
            load.bases.lock().unwrap().truncate(1);
        }
        let before = load.answered();
        until("an answer after the restart", PATIENCE, || async { Ok((load.answered() > before).then_some(())) })
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_micros(dice.next() % 100_000)).await;
        server.kill().await.unwrap();
        if kill.is_multiple_of(5) {
            // This one dies while it starts, or just after.
            let mut short = Process::start("postroom", &["serve"], &rig.with(&settings)).unwrap();
            tokio::time::sleep(Duration::from_micros(dice.next() % 150_000)).await;
            short.kill().await.unwrap();
        }
        server = rig.serve_process(&settings).await.unwrap().0;
    }
    server
}

async fn killed_at_random_moments(kills: u64, seed: u64) {
    let rig = Rig::start().await.unwrap();
    for account in ACCOUNTS {
        rig.add_account(account).await.unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let settings = [("POSTROOM_LISTEN", port.as_str()), ("POSTROOM_API_RATE", "0")];
    let (server, base) = rig.serve_process(&settings).await.unwrap();
    let load = Load::start(&rig, seed, base).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.client(number).await })
        })
        .collect();
    let begun = Instant::now();
    let _server = kill_again_and_again(&rig, &load, &port, server, kills).await;
    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let loaded = begun.elapsed();
    let tries = &load.tries;
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "seed {seed}: {kills} kills in {loaded:.1?}; {} requests answered with 200, {} of single mails known from a try before; \
         {} tries cut off by a kill, {} refused by a closed port, {} put off",
        count(&tries.answered),
        count(&tries.known),
        count(&tries.broken),
        count(&tries.refused),
        count(&tries.put_off),
    );
    assert!(count(&tries.broken) > kills / 2, "the kills hit no requests");
    each_was_delivered_once(&rig, &load).await;
}

async fn each_was_delivered_once(rig: &Rig, load: &Load) {
    let promised = load.promised.lock().unwrap().clone();
    let queue = rig.queue().await.unwrap();
    let workers = [(); 2].map(|()| rig.worker(&[("POSTROOM_LOG", "warn")]).unwrap());
    let patience = PATIENCE + Duration::from_millis(20) * promised.len() as u32;
    let ended = until("all mails to be gone", patience, || async {
        let states = queue.stats().await?.states;
        let waiting = ["scheduled", "ready", "sending", "retry"].iter().any(|state| states[*state] > 0);
        Ok((!waiting).then_some(states))
    });
    let states = ended.await.unwrap();
    let (sent, dead) = (states["sent"], states["dead"]);
    let mut delivered: HashMap<String, u64> = HashMap::new();
    for mail in rig.sandbox.mails() {
        for recipient in mail.recipients {
            *delivered.entry(recipient).or_default() += 1;
        }
    }
    println!(
        "{} mails promised; {sent} sent by the queue, {dead} dead; {} recipients served, {} of them more than once",
        promised.len(),
        delivered.len(),
        delivered.values().filter(|copies| **copies > 1).count(),
    );
    for (recipient, id) in &promised {
        assert_eq!(delivered.get(recipient), Some(&1), "{recipient} {id}");
        let status = queue.mail(id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(status.state.as_str(), "sent", "{id}");
        assert!(status.subject.unwrap().ends_with(recipient), "{id} is the mail that was answered: {recipient}");
    }
    assert_eq!((sent, dead, delivered.len()), (promised.len() as u64, 0, promised.len()), "nothing else was stored");
    drop(workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_twenty_times_delivers_each_idempotency_key_once() {
    killed_at_random_moments(20, 5).await;
}

#[cfg(feature = "long")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_two_hundred_times_delivers_each_idempotency_key_once() {
    let seed = std::env::var_os("SEED").and_then(|seed| seed.into_string().ok()?.parse().ok()).unwrap_or(1);
    killed_at_random_moments(200, seed).await;
}
