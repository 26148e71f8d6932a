//! Before Redis is reached: the probes are answered already, so that nobody ends a server that only waits for it.

use std::sync::{Arc, OnceLock};

use postroom_shared::metrics::ServeMetrics;
use postroom_shared::queue::Queue;
use postroom_shared::settings::{LimitSettings, RedisSettings};
use postroom_shared::store::{Store, StoreError};
use postroom_shared::telemetry::probe::{self, Health};

use super::settings::ServeSettings;
use super::watch;

/// A `postroom serve` that answers its probes and nothing else yet.
pub struct Opening {
    pub(super) metrics: Arc<ServeMetrics>,
    pub(super) health: Health,
    /// Once there is one.
    queue: Arc<OnceLock<Queue>>,
}

impl Opening {
    /// Listens for those who ask the probes.
    ///
    /// # Errors
    /// If their address was asked for and cannot be had; the text says why.
    pub async fn start(settings: &ServeSettings) -> Result<Self, String> {
        let opening = Self { metrics: watch::metrics(), health: Health::default(), queue: Arc::default() };
        let show = watch::show(&opening.metrics, &opening.queue);
        probe::start(settings.probe, opening.health.clone(), show).await?;
        Ok(opening)
    }

    /// Waits for Redis as long as it takes.
    ///
    /// # Errors
    /// If waiting would not help, see [`Store::wait`].
    pub async fn reach(&self, redis: &RedisSettings, limits: LimitSettings) -> Result<Queue, StoreError> {
        let store = Store::wait(redis).await?;
        self.health.connected(&store);
        Ok(self.queue.get_or_init(|| Queue::new(store, limits)).clone())
    }
}
