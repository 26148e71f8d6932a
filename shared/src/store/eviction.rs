//! Whether Redis keeps what it is given. The programs that run ask once, when they start.

use tracing::warn;

use super::connection::{Store, StoreError};
use super::vitals::parse_info;
use crate::settings::RedisSettings;

/// The one policy under which a full Redis refuses new mail instead of throwing mail away.
const KEEPS: &str = "noeviction";

impl Store {
    /// Refuses a Redis that throws keys away when its memory is full, unless the settings allow it. One that does not tell its
    /// policy is believed.
    ///
    /// # Errors
    /// If its policy is another one, or it is not reached.
    pub async fn demand_no_eviction(&self, settings: &RedisSettings) -> Result<(), StoreError> {
        if settings.eviction_ok {
            return Ok(());
        }
        match self.info("memory").await.map_err(StoreError::from) {
            Ok(texts) => texts.iter().try_for_each(|text| judge(text)),
            Err(error) if error.is_passing() => Err(error),
            Err(error) => {
                warn!(%error, "Redis does not say what it does when its memory is full: see to maxmemory-policy noeviction");
                Ok(())
            }
        }
    }
}

fn judge(info: &str) -> Result<(), StoreError> {
    match parse_info(info).find(|(name, _)| name == "maxmemory_policy") {
        Some((_, policy)) if policy != KEEPS => Err(StoreError::Wrong(format!(
            "Redis has maxmemory-policy {policy}: when its memory is full it throws mail away, and nobody is told. Say `redis-cli \
             CONFIG SET maxmemory-policy {KEEPS}`, and the same in redis.conf; or set POSTROOM_REDIS_EVICTION_OK=yes if mail may be lost"
        ))),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redis_that_evicts_is_refused() {
        assert!(judge("# Memory\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\n").is_ok());
        assert!(judge("# Memory\r\nused_memory:1\r\n").is_ok(), "one that does not tell");
        for policy in ["allkeys-lru", "volatile-ttl"] {
            let error = judge(&format!("maxmemory_policy:{policy}\r\n")).unwrap_err();
            assert!(!error.is_passing());
            let text = error.to_string();
            assert!(text.contains(policy) && text.contains("POSTROOM_REDIS_EVICTION_OK=yes"), "{text}");
        }
    }
}
