//! Accounts that were refused as a whole: until the hold is stored, this worker's other mails of them do not try.

use std::sync::Arc;
use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reason::Reason;
use tokio_util::sync::CancellationToken;

use super::Lanes;
use super::lane::Lane;

/// A mail that was claimed before the hold was stored may be heard of so long after it.
const HEARD_LATE: Duration = Duration::from_millis(50);

/// An account that was refused: it is held in Redis as soon as that is stored.
pub(super) struct Refused {
    reason: Reason,
    /// Refusals whose holds are not stored yet.
    pending: usize,
    /// When the last of them was.
    stored: Millis,
    done: CancellationToken,
}

/// Keeps this worker's other mails of an account from the server until it is dropped: when the hold is stored.
pub struct Refusal {
    account: AccountId,
    lanes: Arc<Lanes>,
    done: CancellationToken,
}

impl Lanes {
    /// The account was refused as a whole: its other mails need not try. Call it before the seat is free again.
    #[must_use]
    pub fn refused(self: &Arc<Self>, account: &AccountId, reason: Reason) -> Refusal {
        let mut lanes = self.lanes();
        let lane = lanes.entry(account.clone()).or_insert_with(Lane::new);
        let before = lane.refused.take().filter(|refused| refused.pending > 0);
        let (pending, done) = before.map_or_else(|| (0, CancellationToken::new()), |it| (it.pending, it.done));
        lane.refused = Some(Refused { reason, pending: pending + 1, stored: Millis::now(), done: done.clone() });
        Refusal { account: account.clone(), lanes: Arc::clone(self), done }
    }

    /// Whether the account was refused after a mail was claimed: why, and what to wait for before the mail goes back.
    #[must_use]
    pub fn is_refused_since(&self, account: &AccountId, claimed: Millis) -> Option<(Reason, CancellationToken)> {
        let lanes = self.lanes();
        let refused = lanes.get(account)?.refused.as_ref()?;
        let concerns = refused.pending > 0 || claimed <= refused.stored.after(HEARD_LATE);
        concerns.then(|| (refused.reason, refused.done.clone()))
    }

    fn hold_is_stored(&self, account: &AccountId, done: &CancellationToken) {
        let mut lanes = self.lanes();
        let refused = lanes.get_mut(account).and_then(|lane| lane.refused.as_mut());
        let Some(refused) = refused else {
            done.cancel();
            return;
        };
        refused.pending = refused.pending.saturating_sub(1);
        refused.stored = Millis::now();
        if refused.pending == 0 {
            done.cancel();
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.lanes.hold_is_stored(&self.account, &self.done);
    }
}
