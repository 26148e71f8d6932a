//! A collector of traces for tests: OTLP over HTTP with protobuf, on a free port. It keeps every span that it was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A span as it came.
#[derive(Debug, Clone)]
pub struct Span {
    /// The program that sent it.
    pub service: String,
    /// Its trace, as hex digits.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span above it; empty: none.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// What sort, by OTLP's number: 4 is a producer's, 5 a consumer's.
    pub kind: i32,
    /// Nanoseconds since 1970, from and to.
    pub times: (u64, u64),
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    /// Whether its status is an error.
    pub failed: bool,
}

impl Span {
    fn new(service: &str, sent: &Sent) -> Self {
        let text = |value: Option<&Value>| match value {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(flag)) => flag.to_string(),
            other => format!("{other:?}"),
        };
        let value = |value: &Option<opentelemetry_proto::tonic::common::v1::AnyValue>| {
            text(value.as_ref().and_then(|value| value.value.as_ref()))
        };
        Self {
            service: service.to_owned(),
            trace: hex(&sent.trace_id),
            id: hex(&sent.span_id),
            parent: hex(&sent.parent_span_id),
            name: sent.name.clone(),
            kind: sent.kind,
            times: (sent.start_time_unix_nano, sent.end_time_unix_nano),
            attributes: sent.attributes.iter().map(|pair| (pair.key.clone(), value(&pair.value))).collect(),
            links: sent.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
            failed: sent.status.as_ref().is_some_and(|status| status.code == 2),
        }
    }

    /// An attribute; empty if there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    raw: Vec<u8>,
}

/// A collector that listens. Dropping it closes all of its connections, as its death would.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    listening: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Collector {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, kept) = (listener.local_addr()?, Arc::<Mutex<Kept>>::default());
        let keeping = Arc::clone(&kept);
        let listening = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&keeping);
                connections.spawn(async move {
                    let _ = serve(stream, &kept).await;
                });
            }
        });
        Ok(Self { address, kept, listening })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// Those of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// All bytes that came, for whoever looks for what must not be there.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).raw.clone()
    }
}

async fn serve(mut stream: TcpStream, kept: &Mutex<Kept>) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let Some((head, length)) = head(&bytes)? else {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "closed");
            continue;
        };
        while bytes.len() < head + length {
            anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "closed");
        }
        let body: Vec<u8> = bytes.drain(..head + length).skip(head).collect();
        keep(&body, kept)?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
            .await?;
    }
}

/// Where the head ends, and how long the body is, once the head is whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    anyhow::ensure!(head.starts_with("post /v1/traces "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no length")?;
    Ok(Some((end + 4, length.trim().parse()?)))
}

fn keep(body: &[u8], kept: &Mutex<Kept>) -> anyhow::Result<()> {
    let request = ExportTraceServiceRequest::decode(body)?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.raw.extend_from_slice(body);
    for of_resource in &request.resource_spans {
        let attributes = of_resource.resource.iter().flat_map(|resource| &resource.attributes);
        let service = attributes.filter(|pair| pair.key == "service.name").find_map(|pair| match &pair.value {
            Some(value) => match &value.value {
                Some(Value::StringValue(name)) => Some(name.clone()),
                _ => None,
            },
            None => None,
        });
        let service = service.unwrap_or_default();
        let spans = of_resource.scope_spans.iter().flat_map(|scope| &scope.spans);
        kept.spans.extend(spans.map(|span| Span::new(&service, span)));
    }
    Ok(())
}
