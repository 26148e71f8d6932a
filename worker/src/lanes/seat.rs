//! A job's right to one connection, and the connection it takes, leaves warm or closes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::smtp::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Lanes;

/// A job's right to one connection of its account.
pub struct Seat {
    pub(super) account: AccountId,
    pub(super) lanes: Arc<Lanes>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// A warm connection of the account, if there is one that is good for another mail. Those that are not are closed
    /// before the caller opens another, so that the cap holds; so is one where the caller wants none that is warm.
    pub async fn take_warm(&self, may_be_warm: bool) -> Option<Connection> {
        loop {
            let (connection, _) = self.lanes.lanes().get_mut(&self.account)?.idle.pop()?;
            if may_be_warm && is_good(&connection) {
                return Some(connection);
            }
            Box::pin(connection.quit()).await;
            if !may_be_warm {
                return None;
            }
        }
    }

    /// Closes a connection; the permit is free when that is done.
    pub fn close(self, connection: Connection) {
        let closing = self.lanes.closing.clone();
        closing.spawn(async move {
            connection.quit().await;
            drop(self);
        });
    }

    /// Leaves a connection warm after its mail, or closes it; the permit is free when that is done. Whether the server has
    /// closed it meanwhile is asked when the next mail takes it.
    pub fn put_back(self, connection: Connection) {
        if !connection.is_in_step() || connection.is_spent(Millis::now()) {
            self.close(connection);
            return;
        }
        let mut lanes = self.lanes.lanes();
        if let Some(lane) = lanes.get_mut(&self.account)
            && Arc::ptr_eq(&lane.unused, &self.permits)
        {
            lane.idle.push((connection, Instant::now()));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lanes.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_good(connection: &Connection) -> bool {
    connection.reusable() && !connection.is_spent(Millis::now())
}
