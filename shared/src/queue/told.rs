//! How often a reply came to an account, for rows of the table of replies that mean something else after some.

use super::Queue;
use crate::account::AccountId;
use crate::store::StoreError;

/// A count ends so long after its first reply, whatever happened meanwhile.
const COUNTED_FOR_S: u64 = 86_400;

impl Queue {
    /// Counts one more reply of a row to an account, and answers how many the fleet heard within 24 hours, this one counted.
    ///
    /// # Errors
    /// If Redis did not do it; counted or not, asking again does little harm.
    pub async fn count_reply(&self, account: &AccountId, row: &str) -> Result<u32, StoreError> {
        let key = self.store.keys_of(account).told(account, row);
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("SET").arg(&key).arg(0).arg("EX").arg(COUNTED_FOR_S).arg("NX").ignore();
        let (count,): (u32,) = pipe.cmd("INCR").arg(&key).query_async(&mut self.store.connection()).await?;
        Ok(count)
    }
}
