//! Asks the queue for work: never more than there are free slots, and only when something hints that there may be some.
//!
//! One task, one question at a time: what it gives back and what it is given can never cross each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::queue::{Claim, ClaimAnswer, Claimed, Queue, SessionId};
use postroom_shared::store::StoreError;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::flight::Flight;
use crate::keeper::{Sessions, pauses};
use crate::lanes::Lanes;
use crate::pace::Pace;

/// What the fetcher needs.
pub struct Fetcher {
    /// The queue.
    pub queue: Queue,
    /// The worker's sessions.
    pub sessions: Arc<Sessions>,
    /// The worker's slots.
    pub flight: Arc<Flight>,
    /// The worker's permits and connections.
    pub lanes: Arc<Lanes>,
    /// How quickly mails go, which decides how many may wait for one connection.
    pub pace: Arc<Pace>,
    /// Where jobs go.
    pub claimed: mpsc::UnboundedSender<Claimed>,
}

impl Fetcher {
    /// Fetches until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks: Vec<Option<Instant>> = vec![None; usize::from(self.queue.store().shards())];
        let mut pauses: ExponentialBackoff = pauses();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.flight.hinted_at_all() => {}
                () = sleep_until(self.next_look(&looks)) => {}
            }
            self.lanes.expire();
            for (shard, look) in (0..).zip(&mut looks) {
                if look.take_if(|at| *at <= Instant::now()).is_some() {
                    self.flight.hint(shard);
                }
            }
            for shard in self.flight.hinted() {
                let Some(look) = looks.get_mut(usize::from(shard)) else { continue };
                match self.fetch(shard, look).await {
                    Ok(()) => pauses.reset(),
                    Err(error) => {
                        self.flight.want_mending(shard);
                        warn!(%error, "no work could be fetched: trying again");
                        tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
                    }
                }
            }
        }
    }

    fn next_look(&self, looks: &[Option<Instant>]) -> Option<Instant> {
        let idle = self.lanes.next_expiry().map(|pause| Instant::now() + pause);
        looks.iter().copied().flatten().chain(idle).min()
    }

    /// One question to one shard. Its hint is taken first, so that a hint that comes meanwhile is not lost.
    async fn fetch(&self, shard: u16, look: &mut Option<Instant>) -> Result<(), StoreError> {
        let free = self.flight.free();
        if free == 0 && self.lanes.fewer(shard).is_empty() && !self.flight.wants_mending(shard) {
            // The hint stays; a settlement frees a slot and looks again.
            return Ok(());
        }
        let _ = self.flight.take_hint(shard);
        // Without a session there is nothing to ask for; the keeper hints when there is one.
        let Some(session) = self.sessions.open(shard) else { return Ok(()) };
        if self.flight.wants_mending(shard) {
            self.mend(shard, &session).await?;
            self.flight.mended(shard);
        }
        let fewer = self.lanes.fewer(shard);
        let claim =
            Claim { session: &session, free, depth: self.pace.depth(), lease: self.sessions.lease(), releases: &fewer };
        let answer = self.queue.claim(shard, &claim).await?;
        if answer.gone {
            self.lanes.lost(shard);
            self.sessions.lost(shard);
            return Ok(());
        }
        self.lanes.told(&fewer);
        *look = answer.next_in.map(|pause| Instant::now() + pause.max(Duration::from_millis(1)));
        self.take(shard, free, answer);
        Ok(())
    }

    fn take(&self, shard: u16, free: usize, answer: ClaimAnswer) {
        if answer.dead_dropped > 0 {
            warn!(
                shard,
                dead.dropped = answer.dead_dropped,
                "the dead letters passed POSTROOM_DEAD_BYTES: the oldest were thrown away; retry or discard some, or raise it"
            );
        }
        if answer.dead_expired > 0 {
            info!(
                shard,
                dead.expired = answer.dead_expired,
                "dead letters older than POSTROOM_DEAD_RETENTION were thrown away"
            );
        }
        for (account, permits) in &answer.grants {
            self.lanes.granted(account, *permits);
        }
        if answer.more || answer.jobs.len() == free {
            self.flight.hint(shard);
        }
        for job in answer.jobs {
            self.lanes.started(&job.account);
            self.flight.take_off((job.id, job.fence), job.account.clone());
            // The receiver lives as long as the worker; after that the lease brings the job back.
            let _ = self.claimed.send(job);
        }
        for account in &answer.give_up {
            self.lanes.give_up(Some(account));
        }
    }

    async fn mend(&self, shard: u16, session: &SessionId) -> Result<(), StoreError> {
        let (jobs, permits) = (self.flight.ids(shard), self.lanes.permits(shard));
        self.queue.mend_session(shard, session, self.sessions.lease(), &jobs, &permits).await?;
        self.lanes.told_all(shard, &permits);
        Ok(())
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
