//! Redis gone, paused or full while mails are handed over: 503 in time, no mail half accepted, and all well again by itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use postroom_it::{Api, PATIENCE, Persistence, Rig, RigOptions, until};
use postroom_shared::queue::{ListFilter, Queue};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";
const TIMEOUT: Duration = Duration::from_secs(2);
/// For a machine that has other work to do.
const SLACK: Duration = Duration::from_secs(3);
const CLIENTS: u64 = 6;

/// What was answered to hand-overs without an idempotency key, none of which is repeated.
#[derive(Default)]
struct Answers {
    stored: BTreeSet<String>,
    /// With the id that the mail has if it was stored.
    unknown: BTreeSet<String>,
    put_off: u64,
    /// `retry-after` of those that were put off.
    after: BTreeSet<String>,
    slowest: Duration,
}

struct Load {
    answers: Arc<Mutex<Answers>>,
    over: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
    api: Arc<Api>,
}

impl Load {
    fn start(api: Api) -> Self {
        let (api, over, answers) = (Arc::new(api), Arc::new(AtomicBool::new(false)), Arc::<Mutex<Answers>>::default());
        let clients = (0..CLIENTS).map(|client| {
            let (api, over, answers) = (Arc::clone(&api), Arc::clone(&over), Arc::clone(&answers));
            tokio::spawn(async move {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    hand_over(&api, &mail(&format!("{client}-{number}@example.org")), &answers).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        });
        let clients = clients.collect();
        Self { answers, over, clients, api }
    }

    fn stored(&self) -> usize {
        self.answers.lock().unwrap().stored.len()
    }

    fn put_off(&self) -> u64 {
        let answers = self.answers.lock().unwrap();
        answers.put_off + answers.unknown.len() as u64
    }

    async fn until_stored(&self, more: usize) {
        let before = self.stored();
        until("mails to be stored", PATIENCE, || async { Ok((self.stored() >= before + more).then_some(())) })
            .await
            .unwrap();
    }

    /// Until so many were answered with 503.
    async fn until_put_off(&self, more: u64) {
        let before = self.put_off();
        until("mails to be put off", PATIENCE, || async { Ok((self.put_off() >= before + more).then_some(())) })
            .await
            .unwrap();
    }

    async fn end(self) -> (Answers, Arc<Api>) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let answers = std::mem::take(&mut *self.answers.lock().unwrap());
        (answers, self.api)
    }
}

fn mail(to: &str) -> Value {
    json!({ "from": SHOP, "to": [to], "subject": "Your order", "text": "Thank you." })
}

async fn hand_over(api: &Api, mail: &Value, answers: &Mutex<Answers>) {
    let begun = Instant::now();
    let answer = api.post("/emails", mail).await.unwrap();
    let took = begun.elapsed();
    let mut answers = answers.lock().unwrap();
    answers.slowest = answers.slowest.max(took);
    let id = answer.text("id").to_owned();
    match answer.status.as_u16() {
        200 => drop(answers.stored.insert(id)),
        503 => {
            assert_eq!(answer.text("name"), "application_error", "{answer:?}");
            answers.after.insert(answer.headers["retry-after"].to_str().unwrap().to_owned());
            if id.is_empty() {
                answers.put_off += 1;
            } else {
                answers.unknown.insert(id);
            }
        }
        other => panic!("{other}: {answer:?}"),
    }
}

async fn rig(persistence: Persistence) -> (Rig, Queue, Load) {
    let rig = Rig::start_with(RigOptions { persistence, ..RigOptions::default() }).await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let queue = rig.queue().await.unwrap();
    let timeout = format!("{}s", TIMEOUT.as_secs());
    let api = rig.serve(&[("POSTROOM_API_TIMEOUT", &timeout), ("POSTROOM_API_RATE", "0")]).await.unwrap();
    (rig, queue, Load::start(api))
}

/// What Redis holds is what was answered with 200, and of what was told as unknown any part.
async fn compare(queue: &Queue, answers: &Answers) {
    let stored = until("Redis to tell what it holds", PATIENCE, || async {
        Ok(queue.list(&ListFilter { limit: 1_000_000, ..ListFilter::default() }).await.ok())
    });
    let stored: BTreeSet<String> = stored.await.unwrap().iter().map(|mail| mail.id.to_string()).collect();
    println!(
        "{} answered with 200, {} told as unknown ({} of them stored), {} told as not stored; slowest answer {:.2?}, \
         retry-after {:?}",
        answers.stored.len(),
        answers.unknown.len(),
        answers.unknown.intersection(&stored).count(),
        answers.put_off,
        answers.slowest,
        answers.after,
    );
    let lost: Vec<_> = answers.stored.difference(&stored).collect();
    assert!(lost.is_empty(), "answered with 200, and not stored: {lost:?}");
    let untold: Vec<_> = stored.difference(&answers.stored).filter(|id| !answers.unknown.contains(*id)).collect();
    assert!(untold.is_empty(), "stored, and told as not stored: {untold:?}");
    assert!(answers.slowest < TIMEOUT + SLACK, "an answer took {:?}", answers.slowest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_gone_mails_are_put_off_and_none_is_half_accepted() {
    let (rig, queue, load) = rig(Persistence::Always).await;
    for _ in 0..3 {
        load.until_stored(50).await;
        let gone = rig.redis.restart(Duration::from_secs(3));
        let (gone, ()) = tokio::join!(gone, load.until_put_off(10));
        gone.unwrap();
    }
    load.until_stored(50).await;
    let (answers, _api) = load.end().await;
    compare(&queue, &answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_paused_mails_are_put_off_in_time_and_none_is_half_accepted() {
    let (rig, queue, load) = rig(Persistence::None).await;
    for _ in 0..2 {
        load.until_stored(50).await;
        rig.redis.signal("STOP").await.unwrap();
        load.until_put_off(2 * CLIENTS).await;
        let begun = Instant::now();
        let listed = load.api.get("/emails").await.unwrap();
        assert_eq!((listed.status.as_u16(), listed.headers.contains_key("retry-after")), (503, true), "{listed:?}");
        let ready = load.api.ask_with("", "GET", "/readyz", &[], &Value::Null).await.unwrap();
        let live = load.api.ask_with("", "GET", "/livez", &[], &Value::Null).await.unwrap();
        assert_eq!((ready.status.as_u16(), live.status.as_u16()), (503, 200));
        assert!(begun.elapsed() < 2 * (TIMEOUT + SLACK), "{:?}", begun.elapsed());
        rig.redis.signal("CONT").await.unwrap();
    }
    load.until_stored(50).await;
    let (answers, _api) = load.end().await;
    compare(&queue, &answers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_full_mails_are_put_off_for_longer_and_none_is_half_accepted() {
    let (rig, queue, load) = rig(Persistence::None).await;
    load.until_stored(50).await;
    rig.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]).await.unwrap();
    load.until_put_off(5 * CLIENTS).await;
    // What stands in Redis can be asked for all the while.
    let listed = load.api.get("/emails?limit=5").await.unwrap();
    assert_eq!(listed.status.as_u16(), 200, "{listed:?}");
    rig.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
    load.until_stored(50).await;
    let (answers, _api) = load.end().await;
    assert!(answers.put_off > 0 && answers.after.contains("30"), "{:?}", answers.after);
    compare(&queue, &answers).await;
}
