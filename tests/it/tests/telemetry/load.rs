//! A collector that is killed under load: what it costs in mails and in throughput, before and after in one run; and what a
//! trace costs in processor time.

use std::time::{Duration, Instant};

use postroom_it::{Exposition, PATIENCE, Process, Rig, RigOptions, probe_of, until};
use postroom_sandbox::{Config, Keep};
use postroom_shared::clock::Millis;
use postroom_shared::mail::Mail;
use postroom_shared::message::Message;
use postroom_shared::queue::{Job, NewJob};
use serde_json::json;

use crate::SHOP;
use crate::rotel::Rotel;

const MAILS: usize = 24_000;
/// Of the throughput; the issue's own number.
const MOST_LOSS: f64 = 0.05;

async fn rig(settings: &[(&str, &str)]) -> Rig {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sandbox = Config { keep: Keep::None, ..Config::default() };
    let rig = Rig::start_with(RigOptions { settings, sandbox, ..RigOptions::default() }).await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    rig
}

async fn push(rig: &Rig, mails: usize) {
    let (queue, shop) = (rig.queue().await.unwrap(), SHOP.parse().unwrap());
    let new = |n: usize| {
        let json = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": n.to_string(), "text": "Thank you." });
        let (now, mail) = (Millis::now(), Mail::from_json(&json, Millis::now()).unwrap());
        let id = queue.new_id(&shop, now);
        NewJob {
            id,
            account: shop.clone(),
            priority: mail.priority(),
            send_at: None,
            ttl: None,
            idempotency: None,
            pool: None,
            job: Job::new(Message::freeze(&mail, id, now).unwrap(), Vec::new()),
        }
    };
    let jobs: Vec<NewJob> = (0..mails).map(new).collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
}

/// Waits until so many were sent in time; answers when that was, and how many it were.
async fn sent(probe: &str, least: f64) -> (Instant, f64) {
    until(&format!("{least} mails to be sent"), PATIENCE * 5, || async {
        let sent =
            Exposition::of(probe).await?.get("postroom_attempts_total{outcome=\"sent\",reason=\"delivered\"}")?;
        Ok((sent >= least).then(|| (Instant::now(), sent)))
    })
    .await
    .unwrap()
}

fn rate(from: (Instant, f64), to: (Instant, f64)) -> f64 {
    (to.1 - from.1) / (to.0 - from.0).as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_killed_under_load_costs_no_mail_and_no_throughput() {
    let mut rotel = Rotel::start(false).await;
    let endpoint = rotel.endpoint("grpc");
    let rig = rig(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).await;
    push(&rig, MAILS).await;
    let worker = rig.worker(&[]).unwrap();
    let probe = probe_of(&worker).await.unwrap();
    // The first few seconds belong to nobody: the account is on trial, connections are opened.
    let (all, tenth) = (MAILS as f64, MAILS as f64 / 10.0);
    let began = sent(&probe, tenth).await;
    let killed_after = sent(&probe, 5.0 * tenth).await;
    rotel.process.kill().await.unwrap();
    let again = sent(&probe, 5.5 * tenth).await;
    let ended = sent(&probe, 9.5 * tenth).await;
    sent(&probe, all).await;
    let shown = Exposition::of(&probe).await.unwrap();
    let (before, after) = (rate(began, killed_after), rate(again, ended));
    let failed = all - shown.get("postroom_attempts_total{outcome=\"sent\",reason=\"delivered\"}").unwrap();
    let dropped = shown.get("postroom_spans_dropped_total").unwrap();
    println!(
        "{MAILS} mails: {failed} failed; {before:.0} a second with the collector, {after:.0} after its death ({:+.1} %); \
         {dropped} spans dropped, {} KiB at most",
        (after / before - 1.0) * 100.0,
        worker.peak_resident_kib().unwrap()
    );
    assert_eq!((failed, rig.sandbox.stats().doubled), (0.0, 0));
    assert_eq!(shown.sum("postroom_attempts_total"), all, "every mail went at its first attempt");
    assert!(dropped > 0.0);
    assert!(after > before * (1.0 - MOST_LOSS), "{before} {after}");
}

/// Processor time a mail, in microseconds.
async fn cost(settings: &[(&str, &str)]) -> f64 {
    let rig = rig(settings).await;
    push(&rig, MAILS / 2).await;
    let worker = rig.worker(&[]).unwrap();
    let probe = probe_of(&worker).await.unwrap();
    let cpu = |worker: &Process| worker.cpu_seconds().unwrap();
    let (_, first) = sent(&probe, 1_000.0).await;
    let before = cpu(&worker);
    let (_, last) = sent(&probe, (MAILS / 2) as f64).await;
    (cpu(&worker) - before) / (last - first) * 1e6
}

/// Told, not judged: what it costs depends on the machine and the profile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_traces_cost_is_told() {
    let rotel = Rotel::start(false).await;
    let endpoint = rotel.endpoint("http/protobuf");
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    let mut told = Vec::new();
    for (what, settings) in [
        ("no collector", vec![]),
        ("always_off", vec![at, ("OTEL_TRACES_SAMPLER", "always_off")]),
        ("always_on", vec![at]),
    ] {
        let microseconds = cost(&settings).await;
        assert!(microseconds > 0.0 && microseconds < Duration::from_secs(1).as_micros() as f64);
        told.push(format!("{what} {microseconds:.0} µs"));
    }
    println!("processor time of the worker a mail: {}", told.join(", "));
}
