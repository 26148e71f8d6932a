//! Metrics and traces, read by what others wrote: PyPI's `prometheus-client` parses what both programs show, PyPI's `rotel`
//! receives the traces, over HTTP and gRPC. `make test-telemetry`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what failed by failing"
)]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use postroom_it::{Api, Exposition, PATIENCE, Process, Rig, RigOptions, probe_of, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::{MailState, MailStatus};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;

const SHOP: &str = "shop@example.com";

fn installed(path: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/telemetry").join(path);
    assert!(found.exists(), "{path} is not installed: `make test-telemetry` does that");
    found
}

/// The agent lies beside the package's Python files.
fn rotel() -> PathBuf {
    let library = installed("lib");
    let version = std::fs::read_dir(library).unwrap().next().unwrap().unwrap().path();
    version.join("site-packages/rotel/rotel-agent")
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A span as rotel prints it.
#[derive(Debug, Default, Clone)]
struct Printed {
    name: String,
    trace: String,
    id: String,
    links: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Printed {
    fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|it| it == line)
    }
}

fn printed(log: &str) -> Vec<Printed> {
    let mut spans: Vec<Printed> = Vec::new();
    for line in log.lines().map(str::trim) {
        if line.starts_with("Span #") {
            spans.push(Printed::default());
        }
        let Some(span) = spans.last_mut() else { continue };
        let after = |start: &str| line.strip_prefix(start).map(|rest| rest.trim_start_matches([' ', ':']).to_owned());
        if let Some(trace) = after("-> Trace ID") {
            span.links.push((trace, String::new()));
        } else if let (Some(id), Some(link)) = (after("-> ID"), span.links.last_mut()) {
            link.1 = id;
        } else if let Some(trace) = after("Trace ID") {
            span.trace = trace;
        } else if let Some(id) = after("ID") {
            span.id = id;
        } else if let Some(name) = after("Name") {
            span.name = name;
        }
        span.lines.push(line.to_owned());
    }
    spans
}

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
    let (grpc, http) = (format!("127.0.0.1:{}", free_port().await), format!("127.0.0.1:{}", free_port().await));
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("rotel.pid");
    let arguments = ["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"];
    let places =
        ["--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http, "--pid-file", pid_file.to_str().unwrap()];
    let collector = Process::start_program(&rotel(), &[&arguments[..], &places[..]].concat(), &[]).unwrap();
    until("rotel to start", PATIENCE, || async { Ok(collector.log().contains("Starting Rotel").then_some(())) })
        .await
        .unwrap();
    let endpoint = format!("http://{}", if protocol == "grpc" { &grpc } else { &http });
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
    let named = |name: &str| printed(&collector.log()).into_iter().filter(|it| it.name == name).collect::<Vec<_>>();
    until("rotel to have all traces", PATIENCE, || async {
        Ok((named("process postroom").len() == 4 && named("send postroom").len() == 2).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}\n{}", worker.log(), collector.log()));
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
