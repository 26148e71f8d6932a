//! The way of spans to the collector: a bounded queue, and one task that sends. Whoever records a span never waits.
//!
//! What the collector refuses, or does not take in time, is dropped and counted: it is not kept for later.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithHttpConfig, WithTonicConfig, tonic_types};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::settings::{Protocol, TraceSettings};
use crate::http;
use crate::settings::TlsSettings;

/// The entrance to the queue.
pub(super) struct Exporter {
    spans: mpsc::UnboundedSender<Vec<SpanData>>,
    waiting: Arc<AtomicUsize>,
    most: usize,
    dropped: Counter,
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exporter({} spans wait)", self.waiting.load(Ordering::Relaxed))
    }
}

struct Sending {
    exporter: OtlpExporter,
    spans: mpsc::UnboundedReceiver<Vec<SpanData>>,
    waiting: Arc<AtomicUsize>,
    batch: usize,
    delay: Duration,
    timeout: Duration,
    dropped: Counter,
    trouble: bool,
}

/// Starts the task; it ends when the entrance is dropped and what waits was sent.
pub(super) fn start(
    settings: &TraceSettings,
    tls: &TlsSettings,
    resource: &Resource,
    dropped: Counter,
) -> Result<(Exporter, JoinHandle<()>), String> {
    let mut exporter = build(settings, tls)?;
    exporter.set_resource(resource);
    let (spans, coming) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let sending = Sending {
        exporter,
        spans: coming,
        waiting: Arc::clone(&waiting),
        batch: settings.batch,
        delay: settings.delay,
        timeout: settings.timeout,
        dropped: dropped.clone(),
        trouble: false,
    };
    let task = tokio::spawn(sending.run());
    Ok((Exporter { spans, waiting, most: settings.most_waiting, dropped }, task))
}

fn build(settings: &TraceSettings, tls: &TlsSettings) -> Result<OtlpExporter, String> {
    let builder = OtlpExporter::builder();
    let built = match settings.protocol {
        Protocol::Http => {
            let client = http::client(tls)?.build().map_err(|error| http::chain(&error))?;
            builder.with_http().with_http_client(client).build()
        }
        Protocol::Grpc if settings.tls => {
            let config = tonic_types::transport::ClientTlsConfig::new().with_enabled_roots();
            builder.with_tonic().with_tls_config(config).build()
        }
        Protocol::Grpc => builder.with_tonic().build(),
    };
    built.map_err(|error| format!("traces cannot be exported: {error}; see the OTEL_EXPORTER_OTLP_ variables"))
}

impl Exporter {
    /// Puts the spans of one trace into the queue, all or none.
    pub(super) fn send(&self, spans: Vec<SpanData>) {
        let count = spans.len();
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        if before + count > self.most || self.spans.send(spans).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            self.dropped.inc_by(count as u64);
        }
    }

    /// Spans that have not been sent.
    pub(super) fn waiting_handle(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
    }
}

impl Sending {
    async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            let count = batch.len();
            self.export(batch).await;
            self.waiting.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Waits for spans, and then for more, until there are enough or the time is over.
    async fn gather(&mut self) -> Option<Vec<SpanData>> {
        let mut batch = self.spans.recv().await?;
        let until = tokio::time::Instant::now() + self.delay;
        while batch.len() < self.batch {
            match tokio::time::timeout_at(until, self.spans.recv()).await {
                Ok(Some(more)) => batch.extend(more),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let (count, began) = (batch.len() as u64, Instant::now());
        let failed = match tokio::time::timeout(self.timeout, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer in {:?}", self.timeout)),
        };
        match failed {
            None if self.trouble => {
                self.trouble = false;
                info!("the collector takes spans again");
            }
            None => {}
            Some(error) => {
                self.dropped.inc_by(count);
                if !std::mem::replace(&mut self.trouble, true) {
                    let took_ms = began.elapsed().as_millis();
                    warn!(spans.dropped = count, export.duration_ms = took_ms, %error, "the collector does not take spans: they are dropped, and counted, until it does; no mail waits for it");
                }
            }
        }
    }
}
