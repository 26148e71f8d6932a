//! What all handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postroom_shared::api_keys::ApiKeys;
use postroom_shared::audit::Audit;
use postroom_shared::metrics::ServeMetrics;
use postroom_shared::settings::TlsSettings;
use postroom_shared::telemetry::Traces;
use postroom_shared::telemetry::probe::Health;

use super::body::Memory;
use super::estimate::Estimates;
use super::intake::Intake;
use super::key_ring::{KeyRing, RingSettings};
use super::opening::Opening;
use super::settings::ServeSettings;
use crate::direct::DirectClient;

/// The state of one `postroom serve`.
pub struct App {
    /// Hands mail over, and has the queue beneath.
    pub client: DirectClient,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) audit: Audit,
    pub(super) intake: Intake,
    pub(super) estimates: Estimates,
    pub(crate) memory: Memory,
    /// Within this a request that has come whole is answered.
    pub(super) timeout: Duration,
    /// What is counted.
    pub(super) metrics: Arc<ServeMetrics>,
    /// What is traced.
    pub(super) traces: Traces,
    /// What the probes know.
    pub(super) health: Health,
    stopping: AtomicBool,
}

impl App {
    /// The state over a client that is connected, with traces if the settings ask for them.
    ///
    /// # Errors
    /// If their exporter cannot be made; the text says why.
    pub fn start(
        opening: Opening,
        client: DirectClient,
        settings: &ServeSettings,
        tls: &TlsSettings,
    ) -> Result<Arc<Self>, String> {
        let Opening { metrics, health, .. } = opening;
        let dropped = metrics.spans_dropped.clone();
        let traces = Traces::start(&settings.traces, tls, "postroom", env!("CARGO_PKG_VERSION"), dropped)?;
        let ring = RingSettings { rate: settings.rate, ..RingSettings::default() };
        Ok(Arc::new(Self {
            audit: Audit::new(client.queue().store()),
            keys: KeyRing::start(ApiKeys::new(client.queue().store()), ring),
            intake: Intake::start(&client),
            estimates: Estimates::default(),
            timeout: settings.timeout,
            memory: Memory::new(settings.memory, settings.body_limit, settings.timeout),
            metrics,
            traces,
            health,
            stopping: AtomicBool::new(false),
            client,
        }))
    }

    /// It was told to stop: no more requests shall come.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.health.drain();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
