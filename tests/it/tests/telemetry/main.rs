//! Metrics and traces, read by what others wrote: PyPI's `prometheus-client` parses what both programs show, PyPI's `rotel`
//! receives the traces, over HTTP and gRPC, and is killed under load. `make test-telemetry`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what failed by failing"
)]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

mod load;
mod rotel;

use std::collections::BTreeSet;

use postroom_it::{Api, Exposition, PATIENCE, Rig, RigOptions, probe_of, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::{MailState, MailStatus};
use serde_json::json;
use tokio::process::Command;

use rotel::{Rotel, installed, printed};

const SHOP: &str = "shop@example.com";

async fn hand_over(rig: &Rig, api: &Api) -> MailStatus {
    let mail = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": "Your order", "text": "Thank you." });
    let stored = api.post("/emails", &mail).await.unwrap();
    let (queue, id) = (rig.queue().await.unwrap(), stored.text("id").parse().unwrap());
    until("the mail to be sent", PATIENCE, || async {
        Ok(queue.mail(id).await?.filter(|status| status.state == MailState::Sent))
    })
    .await
    .unwrap()
}

/// Two mails, of which the first fails twice, with rotel as the collector.
async fn traced(protocol: &str) {
    let collector = Rotel::start(true).await;
    let endpoint = collector.endpoint(protocol);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("POSTROOM_RETRY_BASE", "50ms"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let rig = Rig::start_with(RigOptions { settings, ..RigOptions::default() }).await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let fault = Fault::new(Stage::Final, Action::reply("451 4.3.0 Temporarily rejected. Try again later."));
    rig.sandbox.add_fault(fault.times(2)).unwrap();
    let worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let (first, second) = (hand_over(&rig, &api).await, hand_over(&rig, &api).await);
    let named =
        |name: &str| printed(&collector.process.log()).into_iter().filter(|it| it.name == name).collect::<Vec<_>>();
    until("rotel to have all traces", PATIENCE, || async {
        Ok((named("process postroom").len() == 4 && named("send postroom").len() == 2).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}\n{}", worker.log(), collector.process.log()));
    let (doors, attempts) = (named("send postroom"), named("process postroom"));
    for (mail, count) in [(&first, 3), (&second, 1)] {
        let line = format!("-> messaging.message.id: Str({})", mail.id);
        let door = doors.iter().find(|it| it.has(&line)).expect("a span at the door");
        let own: Vec<_> = attempts.iter().filter(|it| it.has(&line)).collect();
        assert_eq!(own.len(), count, "{protocol}");
        assert!(own.iter().all(|it| it.links == [(door.trace.clone(), door.id.clone())]), "{own:?}");
    }
    let traces: BTreeSet<_> = attempts.iter().chain(&doors).map(|it| &it.trace).collect();
    assert_eq!(traces.len(), 6, "each attempt is a trace, and so is each door");
    println!("{protocol}: 2 mails, 2 spans at the door, 4 attempts in 4 traces, each linked to its door");
}

#[tokio::test]
async fn rotel_gets_every_attempt_over_http() {
    traced("http/protobuf").await;
}

#[tokio::test]
async fn rotel_gets_every_attempt_over_grpc() {
    traced("grpc").await;
}

#[tokio::test]
async fn another_parser_reads_what_both_programs_show() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let worker = rig.worker(&[]).unwrap();
    let api = rig.serve(&[]).await.unwrap();
    hand_over(&rig, &api).await;
    for process in [&worker, &api.process] {
        let shown = Exposition::of(&probe_of(process).await.unwrap()).await.unwrap();
        let file = rig.folder().join("metrics.txt");
        tokio::fs::write(&file, &shown.text).await.unwrap();
        let program = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
                       families = list(read(open(sys.argv[1]).read()))\n\
                       print(len(families), sum(len(family.samples) for family in families))";
        let output = Command::new(installed("bin/python")).arg("-c").arg(program).arg(&file).output().await.unwrap();
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), shown.text);
        let counted = String::from_utf8_lossy(&output.stdout).into_owned();
        let samples: usize = counted.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(samples, shown.series().len());
        println!("prometheus-client read families and samples: {}", counted.trim());
    }
}
