//! What a worker answers on its probe's port: its metrics, with the gauges as they stand when somebody asks.

use std::sync::{Arc, OnceLock};

use postroom_shared::metrics::{Gauged, WorkerMetrics};
use postroom_shared::telemetry::probe::Show;
use postroom_shared::tokens::{RefreshFailure, Tokens};

use crate::flight::Flight;

/// The parts whose gauges are read; they are there once Redis was reached.
#[derive(Clone, Default)]
pub struct Sources(Arc<OnceLock<(Arc<Flight>, Tokens)>>);

impl Sources {
    /// They are there.
    pub fn found(&self, flight: &Arc<Flight>, tokens: &Tokens) {
        let _ = self.0.set((Arc::clone(flight), tokens.clone()));
    }

    fn read(&self, slots: usize) -> Gauged {
        let Some((flight, tokens)) = self.0.get() else { return Gauged { slots, ..Gauged::default() } };
        let mut gauged = Gauged { slots: flight.slots(), busy: flight.in_hand(), ..Gauged::default() };
        for (_, figures) in tokens.figures() {
            let unavailable = figures.failures.get(&RefreshFailure::Unavailable).copied().unwrap_or(0);
            gauged.refreshed += figures.all_refreshes();
            gauged.unavailable += unavailable;
            gauged.refused += figures.all_failures() - unavailable;
        }
        gauged
    }
}

/// The text of `/metrics`; `slots` is told before the worker has any.
#[must_use]
pub fn show(metrics: &Arc<WorkerMetrics>, sources: &Sources, slots: usize) -> Show {
    let (metrics, sources) = (Arc::clone(metrics), sources.clone());
    Arc::new(move || {
        let text = metrics.show(sources.read(slots));
        Box::pin(async move { text })
    })
}
