//! The lane of one account, as this worker has it: permits, jobs in hand, idle connections.

use std::sync::Arc;
use std::time::Instant;

use postroom_shared::smtp::Connection;
use tokio::sync::Semaphore;

use super::refusal::Refused;

/// How many mails of an account are noted as begun before a connection is free for them: enough that none waits for the
/// queue to hear of it, few enough that little is in doubt when a worker dies.
pub const LINE: usize = 16;

/// One account.
pub(super) struct Lane {
    /// As many as there are permits that no job uses.
    pub(super) unused: Arc<Semaphore>,
    /// Room for those that are next in line for a permit.
    pub(super) line: Arc<Semaphore>,
    /// Permits held, those of connections that are being closed included.
    pub(super) permits: u32,
    /// Permits that the queue believes to be here: more than `permits` until it has been told. It may hand out jobs for
    /// them meanwhile; then they are taken up again, for nobody else was given them.
    pub(super) believed: u32,
    /// Jobs in hand.
    pub(super) load: usize,
    pub(super) idle: Vec<(Connection, Instant)>,
    /// Why and when the account was refused last.
    pub(super) refused: Option<Refused>,
}

impl Lane {
    pub(super) fn new() -> Self {
        let [unused, line] = [0, LINE].map(|room| Arc::new(Semaphore::new(room)));
        Self { unused, line, permits: 0, believed: 0, load: 0, idle: Vec::new(), refused: None }
    }

    /// A connection is closed: its permit goes back, unless a job that came meanwhile needs it.
    pub(super) fn closed(&mut self) {
        if self.load >= self.permits as usize {
            self.unused.add_permits(1);
        } else {
            self.permits -= 1;
        }
    }

    /// A job came. If it came for a permit of which the queue has not heard yet that it went, the permit is taken up again.
    pub(super) fn arrived(&mut self) {
        self.load += 1;
        if self.load > self.permits as usize && self.permits < self.believed {
            self.permits += 1;
            self.unused.add_permits(1);
        }
    }

    /// Takes permits that no job needs, at most so many, with an idle connection each where there is one.
    pub(super) fn take_unused(
        &mut self,
        most: usize,
        mut may_go: impl FnMut(&Connection, Instant) -> bool,
    ) -> Vec<Option<Connection>> {
        let spare = (self.permits as usize).saturating_sub(self.load).min(self.unused.available_permits());
        let mut taken = Vec::new();
        while taken.len() < most.min(spare) {
            let warm = spare - taken.len() <= self.idle.len();
            let connection = if warm {
                let Some(at) = self.idle.iter().position(|(connection, since)| may_go(connection, *since)) else {
                    break;
                };
                Some(self.idle.swap_remove(at).0)
            } else {
                None
            };
            match self.unused.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(_) => break,
            }
            taken.push(connection);
        }
        taken
    }
}
