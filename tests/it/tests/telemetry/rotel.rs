//! PyPI's rotel as a collector: its agent as a process on free ports, and what it prints of the spans that it gets.

use std::path::{Path, PathBuf};

use postroom_it::{PATIENCE, Process, until};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) fn installed(path: &str) -> PathBuf {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/telemetry").join(path);
    assert!(found.exists(), "{path} is not installed: `make test-telemetry` does that");
    found
}

/// The agent lies beside the package's Python files.
fn agent() -> PathBuf {
    let library = installed("lib");
    let version = std::fs::read_dir(library).unwrap().next().unwrap().unwrap().path();
    version.join("site-packages/rotel/rotel-agent")
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// A span as rotel prints it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Printed {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) links: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Printed {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|it| it == line)
    }
}

pub(crate) fn printed(log: &str) -> Vec<Printed> {
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

/// A collector that runs.
pub(crate) struct Rotel {
    pub(crate) process: Process,
    grpc: String,
    http: String,
    _folder: TempDir,
}

impl Rotel {
    /// Starts one; `prints`: every span that it gets.
    pub(crate) async fn start(prints: bool) -> Self {
        let (grpc, http) = (format!("127.0.0.1:{}", free_port().await), format!("127.0.0.1:{}", free_port().await));
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("rotel.pid");
        let mut arguments = vec!["start", "--exporter", "blackhole", "--pid-file", pid_file.to_str().unwrap()];
        arguments.extend(["--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http]);
        if prints {
            arguments.extend(["--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        }
        let process = Process::start_program(&agent(), &arguments, &[]).unwrap();
        until("rotel to start", PATIENCE, || async { Ok(process.log().contains("Starting Rotel").then_some(())) })
            .await
            .unwrap();
        Self { process, grpc, http, _folder: folder }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub(crate) fn endpoint(&self, protocol: &str) -> String {
        format!("http://{}", if protocol == "grpc" { &self.grpc } else { &self.http })
    }
}
