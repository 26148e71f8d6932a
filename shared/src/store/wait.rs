//! A Redis that is away when a program starts is waited for: whoever ended then would be started again and again.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use tracing::warn;

use super::connection::{Store, StoreError};
use crate::settings::RedisSettings;

/// Short pauses with jitter for asking Redis again, without an end: at most a second.
#[must_use]
pub fn pauses() -> ExponentialBackoff {
    ExponentialBackoff {
        current_interval: Duration::from_millis(50),
        initial_interval: Duration::from_millis(50),
        max_interval: Duration::from_secs(1),
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    }
}

impl Store {
    /// Connects to a Redis that keeps what it is given, and waits for it as long as it takes.
    ///
    /// # Errors
    /// If waiting would not help: the URL is wrong, it was first used with another number of shards, or it throws keys away.
    pub async fn wait(settings: &RedisSettings) -> Result<Self, StoreError> {
        let mut pauses = pauses();
        loop {
            match Self::connect_to_keep(settings).await {
                Err(error) if error.is_passing() => warn!(%error, "Redis is not reached: trying again"),
                ended => return ended,
            }
            tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
        }
    }

    async fn connect_to_keep(settings: &RedisSettings) -> Result<Self, StoreError> {
        let store = Self::connect(settings).await?;
        store.demand_no_eviction(settings).await?;
        Ok(store)
    }
}
