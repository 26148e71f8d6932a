//! Traces of the real programs, as a collector gets them: one an attempt, linked to the door; and what a collector that is
//! gone, slow or silent costs, which is no mail.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use postroom_it::{Api, Collector, Exposition, PATIENCE, Process, Rig, RigOptions, Span, mail_json, probe_of, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::{MailState, MailStatus};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{in_state, mail};

const SHOP: &str = "shop@example.com";
const DOOR: &str = "send postroom";
const ATTEMPT: &str = "process postroom";
const APP: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A rig whose programs send their traces there; further settings win.
async fn rig(endpoint: &str, further: &[(&str, &str)]) -> Rig {
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("POSTROOM_RETRY_BASE", "50ms"),
        ("POSTROOM_RETRY_CAP", "100ms"),
    ];
    let settings = settings.iter().chain(further).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let rig = Rig::start_with(RigOptions { settings: settings.collect(), ..RigOptions::default() }).await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    rig
}

fn busy(rig: &Rig, times: u64) {
    let fault = Fault::new(Stage::Final, Action::reply("451 4.3.0 Temporarily rejected. Try again later."));
    rig.sandbox.add_fault(fault.times(times)).unwrap();
}

async fn hand_over(rig: &Rig, api: &Api, headers: &[(&str, &str)]) -> MailStatus {
    let mail = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": "Your order", "text": "Thank you." });
    let stored = api.ask_with(&api.key, "POST", "/emails", headers, &mail).await.unwrap();
    assert_eq!(stored.status, 200, "{stored:?}");
    in_state(&rig.queue().await.unwrap(), stored.text("id").parse().unwrap(), MailState::Sent).await
}

async fn spans(collector: &Collector, name: &str, count: usize) -> Vec<Span> {
    until(&format!("{count} spans {name}"), PATIENCE, || async {
        let spans = collector.named(name);
        Ok((spans.len() >= count).then_some(spans))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn every_attempt_is_a_trace_of_its_own_linked_to_the_door() {
    let collector = Collector::start().await.unwrap();
    let rig = rig(&collector.endpoint(), &[]).await;
    busy(&rig, 2);
    let _worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let first = hand_over(&rig, &api, &[("traceparent", APP)]).await;
    let second = hand_over(&rig, &api, &[]).await;
    let (doors, attempts) = (spans(&collector, DOOR, 2).await, spans(&collector, ATTEMPT, 4).await);
    assert_eq!((doors.len(), attempts.len()), (2, 4));
    let door_of = |mail: &MailStatus| {
        doors.iter().find(|door| door.attribute("messaging.message.id") == mail.id.to_string()).unwrap()
    };
    // The app's own trace goes on at the door.
    assert_eq!((door_of(&first).trace.as_str(), door_of(&first).parent.as_str()), (&APP[3..35], &APP[36..52]));
    assert_eq!((door_of(&second).parent.as_str(), door_of(&second).kind), ("", 4));
    for (status, numbers) in [(&first, &["1", "2", "3"][..]), (&second, &["1"][..])] {
        let id = status.id.to_string();
        let mut own: Vec<_> = attempts.iter().filter(|it| it.attribute("messaging.message.id") == id).collect();
        own.sort_by_key(|span| span.times);
        assert_eq!(own.iter().map(|span| span.attribute("postroom.attempt")).collect::<Vec<_>>(), numbers);
        let door = door_of(status);
        for span in &own {
            assert_eq!((span.kind, span.parent.as_str(), span.service.as_str()), (5, "", "postroom-worker"));
            assert_eq!(span.links, [(door.trace.clone(), door.id.clone())]);
        }
        // The timeline names the traces.
        let told: Vec<_> = status.timeline.iter().filter_map(|event| event.what.attempt()?.trace.clone()).collect();
        assert_eq!(told, own.iter().map(|span| span.trace.clone()).collect::<Vec<_>>());
    }
    let traces: BTreeSet<_> = attempts.iter().map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 4, "each attempt is a trace");
    let failed: Vec<_> = attempts.iter().filter(|span| span.failed).collect();
    assert_eq!(failed.len(), 2);
    for span in failed {
        let told = ["smtp.reply.code", "smtp.reply.enhanced_code", "smtp.stage", "postroom.reason", "error.type"];
        let told = told.map(|name| span.attribute(name));
        assert_eq!(told, ["451", "4.3.0", "final", "server_busy", "server_busy"]);
    }
    let raw = String::from_utf8_lossy(&collector.raw()).into_owned();
    assert!(!raw.contains("example.org") && !raw.contains("Your order") && !raw.contains(SHOP));
}

#[tokio::test]
async fn an_attempt_shows_what_it_did_in_its_order() {
    let collector = Collector::start().await.unwrap();
    let rig = rig(&collector.endpoint(), &[]).await;
    let _worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    hand_over(&rig, &api, &[]).await;
    let root = spans(&collector, ATTEMPT, 1).await.remove(0);
    let mut within: Vec<_> =
        collector.spans().into_iter().filter(|it| it.trace == root.trace && it.id != root.id).collect();
    within.sort_by_key(|span| (span.times.0, std::cmp::Reverse(span.times.1)));
    let below = |parent: &str| {
        let of = within.iter().filter(|span| span.parent == parent);
        of.map(|span| span.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(below(&root.id), ["queue wait", "token", "connect", "smtp mail", "smtp rcpt", "smtp final", "settle"]);
    let connect = within.iter().find(|span| span.name == "connect").unwrap();
    assert_eq!(below(&connect.id), ["smtp dial", "smtp ehlo", "smtp auth"]);
    assert!(within.iter().all(|span| root.times.0 <= span.times.0 && span.times.1 <= root.times.1), "{within:?}");
    let last = within.iter().find(|span| span.name == "smtp final").unwrap();
    assert_eq!(last.attribute("smtp.reply.code"), "250");
}

#[tokio::test]
async fn what_failed_is_recorded_whatever_the_sampler_says() {
    let collector = Collector::start().await.unwrap();
    let rig = rig(&collector.endpoint(), &[("OTEL_TRACES_SAMPLER", "always_off")]).await;
    busy(&rig, 1);
    let mut worker = rig.worker(&[]).unwrap();
    let mut api = rig.serve(&[]).await.unwrap();
    let mail = hand_over(&rig, &api, &[]).await;
    let told: Vec<_> =
        mail.timeline.iter().filter_map(|event| event.what.attempt()).map(|it| it.trace.is_some()).collect();
    assert_eq!(told, [true, false]);
    // Whoever stops sends what is left: now all has come that ever will.
    assert!(worker.stop().await.unwrap().success() && api.process.stop().await.unwrap().success());
    let attempts = collector.named(ATTEMPT);
    assert_eq!((attempts.len(), collector.named(DOOR).len()), (1, 0));
    assert!(attempts[0].failed && attempts[0].links.len() == 1, "{attempts:?}");
}

#[tokio::test]
async fn without_a_collector_the_callers_own_trace_travels_and_nothing_else_does() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let mail = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": "Your order", "text": "Thank you." });
    let queue = rig.queue().await.unwrap();
    let mut records = Vec::new();
    for headers in [vec![("traceparent", APP)], vec![], vec![("traceparent", "00-not-a-trace")]] {
        let stored = api.ask_with(&api.key, "POST", "/emails", &headers, &mail).await.unwrap();
        let key = queue.store().keys(0).job(stored.text("id").parse().unwrap());
        let record: Vec<u8> = rig.redis.ask(&["GET", &key]).await.unwrap();
        records.push(postroom_shared::queue::Job::decode(&record).unwrap().trace);
    }
    assert_eq!(records[0].map(|trace| trace.to_string()).as_deref(), Some(APP));
    assert_eq!(records[1..], [None, None]);
}

/// Mails enough to fill the exporter's queue, all at once.
async fn load(rig: &Rig, mails: usize) {
    let queue = rig.queue().await.unwrap();
    let shop = SHOP.parse().unwrap();
    let jobs: Vec<_> =
        (0..mails).map(|n| mail(&queue, &shop, &mail_json(SHOP, "bob@example.org", &n.to_string()))).collect();
    assert!(queue.push_many(&jobs).await.iter().all(Result::is_ok));
}

async fn all_sent(rig: &Rig, worker: &Process, mails: u64) -> Exposition {
    let probe = probe_of(worker).await.unwrap();
    until("all mails to be sent", PATIENCE * 2, || async {
        let shown = Exposition::of(&probe).await?;
        Ok((shown.get("postroom_mails_finished_total{timeliness=\"on_time\"}")? >= mails as f64).then_some(shown))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{:?}", worker.log(), rig.sandbox.stats()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_dies_under_load_costs_no_mail() {
    const MAILS: usize = 2_000;
    let collector = Collector::start().await.unwrap();
    let rig = rig(&collector.endpoint(), &[("OTEL_BSP_MAX_QUEUE_SIZE", "500")]).await;
    let worker = rig.worker(&[]).unwrap();
    load(&rig, MAILS).await;
    spans(&collector, ATTEMPT, 20).await;
    drop(collector);
    let shown = all_sent(&rig, &worker, MAILS as u64).await;
    assert_eq!((rig.sandbox.mails().len(), rig.sandbox.stats().doubled), (MAILS, 0));
    assert_eq!(shown.get("postroom_attempts_total{outcome=\"retry\",reason=\"server_busy\"}").unwrap(), 0.0);
    assert!(shown.get("postroom_spans_dropped_total").unwrap() > 0.0, "{}", worker.log());
    let told = || worker.log().matches("the collector does not take spans").count();
    until("it to be told", PATIENCE, || async { Ok((told() > 0).then_some(())) }).await.unwrap();
    load(&rig, 100).await;
    all_sent(&rig, &worker, MAILS as u64 + 100).await;
    assert_eq!(told(), 1, "{}", worker.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_takes_and_never_answers_holds_up_neither_mail_nor_stop() {
    const MAILS: usize = 300;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let _taking = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    for protocol in ["http/protobuf", "grpc"] {
        let further = [("OTEL_BSP_MAX_QUEUE_SIZE", "100"), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)];
        let rig = rig(&endpoint, &further).await;
        let mut worker = rig.worker(&[]).unwrap();
        load(&rig, MAILS).await;
        let shown = all_sent(&rig, &worker, MAILS as u64).await;
        assert!(shown.get("postroom_spans_dropped_total").unwrap() > 0.0, "{protocol}: {}", worker.log());
        let began = Instant::now();
        assert!(worker.stop().await.unwrap().success());
        // Three seconds for the last spans, and whatever a loaded machine adds; not the exporter's own ten or thirty.
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    }
}
