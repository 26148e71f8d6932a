//! Traces of one program: ids for new ones, whether they are recorded, and the way to the exporter.
//!
//! Off unless an endpoint is set; then nothing is ever made, and whoever asks pays for a look at an `Option`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData};
use prometheus_client::metrics::counter::Counter;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::context::TraceContext;
use super::exporter::{self, Exporter};
use super::names::SCHEMA_URL;
use super::settings::{Sampler, TraceSettings};
use crate::settings::TlsSettings;

/// Traces of one program. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    scope: InstrumentationScope,
    /// Taken when the program stops.
    exporter: Mutex<Option<(Exporter, JoinHandle<()>)>>,
    dropped: Counter,
}

impl Traces {
    /// None are made.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts them if the settings say so. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more of the program.
    ///
    /// # Errors
    /// If the exporter cannot be made; the text says why.
    pub fn start(
        settings: &TraceSettings,
        tls: &TlsSettings,
        program: &'static str,
        version: &'static str,
        dropped: Counter,
    ) -> Result<Self, String> {
        if !settings.on {
            return Ok(Self::off());
        }
        // What the environment says wins over the program's own name.
        let named = Resource::builder()
            .build()
            .get(&"service.name".into())
            .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
        let builder = Resource::builder();
        let resource = if named { builder } else { builder.with_service_name(program) }.build();
        let exporter = exporter::start(settings, tls, &resource, dropped.clone())?;
        let scope = InstrumentationScope::builder(program).with_version(version).with_schema_url(SCHEMA_URL).build();
        info!(protocol = ?settings.protocol, sampler.ratio = settings.sampler.ratio, "traces are exported");
        Ok(Self(Some(Arc::new(Inner {
            sampler: settings.sampler,
            scope,
            exporter: Mutex::new(Some(exporter)),
            dropped,
        }))))
    }

    /// Whether any are made.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A new trace with its first span; sampled if the settings say so. `before`: whether whoever came before recorded it.
    #[must_use]
    pub fn begin(&self, before: Option<bool>) -> Option<TraceContext> {
        let inner = self.0.as_ref()?;
        let trace = RandomIdGenerator::default().new_trace_id().to_bytes();
        Some(TraceContext { trace, span: new_span(), sampled: inner.sampler.takes(trace, before) })
    }

    /// A new span beneath one of another program, in its trace.
    #[must_use]
    pub fn follow(&self, parent: TraceContext) -> Option<TraceContext> {
        let inner = self.0.as_ref()?;
        let sampled = inner.sampler.takes(parent.trace, Some(parent.sampled));
        Some(TraceContext { span: new_span(), sampled, ..parent })
    }

    /// What made the spans.
    #[must_use]
    pub fn scope(&self) -> InstrumentationScope {
        self.0.as_ref().map(|inner| inner.scope.clone()).unwrap_or_default()
    }

    /// Records spans of one trace. Never waits: if there is no room they are dropped, and counted.
    pub fn record(&self, spans: Vec<SpanData>) {
        let Some(inner) = &self.0 else { return };
        match &*inner.exporter.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((exporter, _)) => exporter.send(spans),
            None => drop(inner.dropped.inc_by(spans.len() as u64)),
        }
    }

    /// Sends what waits, for no longer than this; what is left then is dropped.
    pub async fn stop(&self, within: Duration) {
        let Some(inner) = &self.0 else { return };
        let taken = inner.exporter.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((exporter, mut sending)) = taken else { return };
        let waiting = exporter.waiting_handle();
        drop(exporter);
        if tokio::time::timeout(within, &mut sending).await.is_err() {
            sending.abort();
            let left = waiting.load(std::sync::atomic::Ordering::Relaxed);
            inner.dropped.inc_by(left as u64);
            warn!(spans.dropped = left, "the collector did not take the last spans");
        }
    }
}

/// A new span's id.
#[must_use]
pub fn new_span() -> [u8; 8] {
    RandomIdGenerator::default().new_span_id().to_bytes()
}
