//! Tells the queue which mails' bytes are about to leave, so that a worker's death leaves no doubt about the others.
//!
//! It costs no round trip of its own: the queue marks the mails that it hands out for connections that stand, those next in
//! line for them included; others are told while the mail before them is under way, with the worker's next turn.

use postroom_shared::id::MailId;
use postroom_shared::queue::{Claimed, SessionId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use crate::by_shard::{ByShard, OfShard};

/// A mail that wants to begin.
#[derive(Debug)]
pub struct Begin {
    /// Which mail.
    pub id: MailId,
    /// Who sends it.
    pub session: SessionId,
    /// Hears whether it may: not if the session was lost.
    pub heard: oneshot::Sender<bool>,
}

impl OfShard for Begin {
    fn shard(&self) -> u16 {
        self.id.shard()
    }
}

/// Where mails that want to begin are told.
#[derive(Debug, Clone)]
pub struct Begins {
    told: ByShard<Begin>,
}

impl Begins {
    /// With the ends that the worker's turns read, in the order of the shards.
    #[must_use]
    pub fn new(shards: u16) -> (Self, Vec<UnboundedReceiver<Begin>>) {
        let (told, coming) = ByShard::new(shards);
        (Self { told }, coming)
    }

    /// Tells that a mail's bytes are about to leave, and waits until the queue knows. `false`: its lease was lost.
    pub async fn tell(&self, claimed: &Claimed) -> bool {
        if claimed.begun.is_told() {
            return true;
        }
        let (heard, answer) = oneshot::channel();
        let begin = Begin { id: claimed.id, session: claimed.session.clone(), heard };
        let may_begin = self.told.send(begin).is_ok() && answer.await.unwrap_or(false);
        if may_begin {
            claimed.begun.set_told();
        }
        may_begin
    }
}
