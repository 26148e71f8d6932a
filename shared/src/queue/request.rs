//! Several mails under one idempotency key: a *request*.
//!
//! One record in one shard decides, before any of the mails is stored, which mails the key stands for. The mails lie in the
//! shards of their accounts, each with an idempotency key of its own that follows from the request's: so whoever hands the
//! request over again, after a crash between any two steps or from another producer, stores what is missing and is told the
//! same ids.

use super::Queue;
use super::push::{WINDOW, digest};
use crate::clock::millis;
use crate::store::StoreError;
use crate::store::keys::SERVICE_SHARD;

impl Queue {
    /// Claims a key for a request with this fingerprint, for 24 hours from the first time on. Answers whether the key stands
    /// for this very request; if not, it came before with another one.
    ///
    /// # Errors
    /// If Redis did not answer. No mail is stored in any case; claiming again is safe.
    pub async fn claim_request(&self, key: &str, fingerprint: &str) -> Result<bool, StoreError> {
        let key = self.store.keys(SERVICE_SHARD).request(&digest(&[key.as_bytes()]));
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(&key).arg(fingerprint).arg("NX").arg("PX").arg(millis(WINDOW)).ignore();
        pipe.cmd("GET").arg(&key);
        let (stored,): (String,) = pipe.query_async(&mut self.store.connection()).await?;
        Ok(stored == fingerprint)
    }
}
