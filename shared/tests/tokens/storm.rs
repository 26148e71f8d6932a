//! When a token endpoint comes back after an outage, the fleet does not come back as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postroom_shared::tokens::credentials;
use tokio::task::JoinSet;

use crate::stage::{Answer, KEY, account, credentials_of, patiently, process, sealer, stage};

const PROCESSES: usize = 8;
const ACCOUNTS: usize = 24;
const OUTAGE: Duration = Duration::from_secs(5);
const SLICE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_requests_are_few_and_scattered() {
    let (redis, endpoint, first) = stage(Answer::Token(3_600)).await;
    // The client is known to be good, as it is in a fleet that has been at work.
    first.access(&account("alice")).await.unwrap();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    endpoint.rule(move |_| {
        if down.load(Ordering::Relaxed) { Answer::Refuse(503, "text/html", "<html>") } else { Answer::Token(3_600) }
    });
    let store = redis.store().await;
    let names: Vec<_> = (0..ACCOUNTS).map(|number| format!("user{number}")).collect();
    for name in &names {
        credentials::save(&store, &sealer(KEY), &account(name), &credentials_of(name)).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for _ in 0..PROCESSES {
        let tokens = process(&redis, &endpoint).await;
        for name in names.clone() {
            let tokens = tokens.clone();
            tasks.spawn(async move { patiently(&tokens, &name).await });
        }
    }
    tokio::time::sleep(OUTAGE).await;
    is_down.store(false, Ordering::Relaxed);
    let back = Instant::now();
    tasks.join_all().await;
    let asked = endpoint.asked.lock().unwrap().clone();
    let (during, after): (Vec<_>, Vec<_>) = asked.into_iter().skip(1).partition(|at| *at < back);
    let after: Vec<Duration> = after.into_iter().map(|at| at - back).collect();
    let busiest = after.iter().map(|from| after.iter().filter(|at| (*from..*from + SLICE).contains(at)).count()).max();
    let busiest = busiest.unwrap_or_default();
    println!("{PROCESSES} processes, {ACCOUNTS} accounts: {} requests in {OUTAGE:?} of outage", during.len());
    println!("{} after it, at most {busiest} of them in {SLICE:?}, over {:?}", after.len(), after.iter().max());
    // Three tries, a rest of one to three seconds, three tries, a rest of two to six: not once for each process.
    assert!(during.len() <= ACCOUNTS * 9, "{}", during.len());
    assert!(during.len() >= ACCOUNTS * 3, "{}", during.len());
    assert!((ACCOUNTS..=ACCOUNTS + 2).contains(&after.len()), "{}", after.len());
    assert!(busiest <= ACCOUNTS / 2, "{busiest} of {} at once: {after:?}", after.len());
}
