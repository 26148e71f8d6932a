//! The worker's turns at the queue: what ended is stored, what begins is told, and as many jobs are asked for as there are
//! free slots; all in one question, and in each shard one question at a time, so that no two of them can cross each other. The
//! shards take their turns each by itself: a part of Redis that does not answer keeps nobody else's mail.
//!
//! No settlement is ever given up while the worker lives: what a server said must not be lost because Redis was away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::account::AccountId;
use postroom_shared::clock;
use postroom_shared::id::MailId;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{
    Claim, ClaimAnswer, Claimed, MOST_ENDS, Queue, Records, SessionId, Settled, Settlement, Turn, TurnAnswer,
};
use postroom_shared::store::{StoreError, pauses};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::attempt_trace::AttemptTraces;
use crate::backend::Feed;
use crate::begins::Begin;
use crate::by_shard::OfShard;
use crate::flight::{Asked, Flight};
use crate::keeper::Sessions;
use crate::lanes::{LINE, Lanes};
use crate::pace::Pace;

/// With so many mails in hand of which few have ended, others are about to: it pays to wait for them, unless one waits to begin.
const MORE_TO_COME: usize = 48;
/// How long at most.
const GATHER: Duration = Duration::from_millis(2);

/// What the turns of a shard need.
pub struct Turns {
    /// The shard.
    pub shard: u16,
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
    /// Where jobs go that were handed out; nowhere when the worker stops.
    pub handed_out: Option<mpsc::UnboundedSender<HandedOut>>,
    /// Ends of attempts; closed when there will be no more.
    pub ends: mpsc::UnboundedReceiver<Settlement>,
    /// Mails that want to begin.
    pub begins: mpsc::UnboundedReceiver<Begin>,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
    /// What is traced: an attempt's trace ends when Redis has heard of it.
    pub traces: Arc<AttemptTraces>,
}

/// Jobs whose records are still to be read.
pub struct HandedOut {
    /// The jobs.
    pub jobs: Vec<Claimed>,
    /// Their records.
    pub records: Records,
}

impl OfShard for Settlement {
    fn shard(&self) -> u16 {
        self.id.shard()
    }
}

/// What is told and asked in one turn.
struct Asking {
    session: Option<SessionId>,
    begins: Vec<Begin>,
    /// Slots to ask for, and accounts of which there are fewer permits now.
    wants: Option<(Asked, Vec<(AccountId, u32)>)>,
}

impl Turns {
    /// Takes turns until the worker was told to stop and every attempt has ended and is stored.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut ends, mut begins) = (Vec::with_capacity(MOST_ENDS), Vec::new());
        let (mut look, mut pauses) = (None, pauses());
        loop {
            let (asks, wake) = (self.handed_out.is_some(), self.next_look(look));
            let in_hand = self.flight.in_hand_of(self.shard);
            // While Redis works at a third of what is in hand, the worker sends the others.
            let most = (in_hand / 3).clamp(MORE_TO_COME, MOST_ENDS);
            tokio::select! {
                count = self.ends.recv_many(&mut ends, most) => if count == 0 { return },
                Some(begin) = self.begins.recv() => begins.push(begin),
                () = stop.cancelled(), if asks => self.handed_out = None,
                () = self.flight.hinted(self.shard), if asks => {}
                () = sleep_until(wake), if asks => {}
            }
            if begins.is_empty() && in_hand > MORE_TO_COME.max(ends.len() * 8) {
                tokio::time::sleep(GATHER).await;
            }
            fill(&mut self.ends, &mut ends, most);
            fill(&mut self.begins, &mut begins, MOST_ENDS);
            self.lanes.expire();
            if look.take_if(|at| *at <= Instant::now()).is_some() {
                self.flight.hint(self.shard);
            }
            let asks = self.handed_out.is_some() && self.flight.is_hinted(self.shard);
            if asks || !ends.is_empty() || !begins.is_empty() {
                self.take(&ends, std::mem::take(&mut begins), &mut look, &mut pauses).await;
                ends.clear();
            }
        }
    }

    fn next_look(&self, look: Option<Instant>) -> Option<Instant> {
        let idle = self.lanes.next_expiry().map(|pause| Instant::now() + pause);
        look.into_iter().chain(idle).min()
    }

    /// One turn, again and again until Redis has what ended.
    async fn take(
        &self,
        ends: &[Settlement],
        begins: Vec<Begin>,
        look: &mut Option<Instant>,
        pauses: &mut ExponentialBackoff,
    ) {
        let mut asking = self.ask(ends.len(), begins, pauses).await;
        if ends.is_empty() && asking.begins.is_empty() && asking.wants.is_none() {
            return;
        }
        let mails: Vec<MailId> = asking.begins.iter().map(|begin| begin.id).collect();
        loop {
            let claim = asking.wants.as_ref().map(|(asked, fewer)| Claim {
                free: asked.jobs,
                depth: self.pace.depth(),
                ahead: LINE,
                lease: self.sessions.lease(),
                releases: fewer,
            });
            let turn = Turn { session: asking.session.as_ref(), ends, begins: &mails, claim: claim.as_ref() };
            let asked = Instant::now();
            match self.queue.turn(self.shard, &turn).await {
                Ok(answer) => {
                    clock::follow(answer.now, asked);
                    pauses.reset();
                    self.metrics.turn("ok");
                    let (next_look, jobs) = self.heed(ends, asking, answer);
                    *look = next_look.or(*look);
                    self.hand_out(jobs).await;
                    return;
                }
                Err(error) => {
                    self.metrics.turn("failed");
                    warn!(mails = ends.len(), %error, "the queue does not answer: trying again");
                    if asking.wants.take().is_some() {
                        self.flight.want_mending(self.shard);
                    }
                    rest(pauses).await;
                    if ends.is_empty() && mails.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// What to tell and ask besides the ends. The hint is taken before the question, so that one that comes meanwhile is not
    /// lost; it stays if nothing can be asked for: slots that get free call who has one.
    async fn ask(&self, ends: usize, mut begins: Vec<Begin>, pauses: &mut ExponentialBackoff) -> Asking {
        // Without a session there is nothing to ask for; the keeper hints when there is one.
        let session = self.sessions.open(self.shard);
        // Who comes with an older session has lost its lease.
        begins.retain(|begin| session.as_ref() == Some(&begin.session));
        let mut asking = Asking { session, begins, wants: None };
        let Some(session) = asking.session.as_ref().filter(|_| self.handed_out.is_some()) else { return asking };
        if self.flight.wants_mending(self.shard)
            && let Err(error) = self.mend(session).await
        {
            warn!(%error, "the queue cannot be told what this worker has: trying again");
            self.flight.want_mending(self.shard);
            rest(pauses).await;
            return asking;
        }
        let (asked, fewer) = (self.flight.ask(self.shard, ends), self.lanes.fewer(self.shard));
        if asked.jobs > 0 || !fewer.is_empty() {
            let _ = self.flight.take_hint(self.shard);
            asking.wants = Some((asked, fewer));
        }
        asking
    }

    async fn mend(&self, session: &SessionId) -> Result<(), StoreError> {
        let (jobs, permits) = (self.flight.ids(self.shard), self.lanes.permits(self.shard));
        self.queue.mend_session(self.shard, session, self.sessions.lease(), &jobs, &permits).await?;
        self.lanes.told_all(self.shard, &permits);
        self.flight.mended(self.shard);
        Ok(())
    }

    /// What follows from an answer. Answers when to look again, and what was handed out.
    fn heed(&self, ends: &[Settlement], mut asking: Asking, answer: TurnAnswer) -> (Option<Instant>, Vec<Claimed>) {
        for (settlement, settled) in ends.iter().zip(answer.settled) {
            tell(settlement, settled);
        }
        self.traces.settled(ends.iter().map(|end| (end.id, end.fence)));
        let asked = asking.wants.as_mut().map(|(asked, _)| asked);
        self.lanes.finished(self.flight.land(ends.iter().map(|end| (end.id, end.fence)), asked));
        for begin in asking.begins {
            // Whoever asked may have been told to hurry meanwhile.
            let _ = begin.heard.send(answer.lives);
        }
        if !answer.lives {
            if asking.session.is_some() && asking.session == self.sessions.open(self.shard) {
                self.lanes.lost(self.shard);
                self.sessions.lost(self.shard);
            }
            return (None, Vec::new());
        }
        let Some((asked, fewer)) = asking.wants else {
            if !ends.is_empty() {
                self.flight.hint(self.shard);
            }
            return (None, Vec::new());
        };
        self.lanes.told(&fewer);
        let next_in = answer.claimed.next_in;
        let jobs = self.take_off(asked.jobs, answer.claimed);
        (next_in.map(|pause| Instant::now() + pause.max(Duration::from_millis(1))), jobs)
    }

    /// Takes up what the queue gave: permits and jobs.
    fn take_off(&self, asked: usize, answer: ClaimAnswer) -> Vec<Claimed> {
        if answer.dead_dropped > 0 {
            warn!(
                shard = self.shard,
                dead.dropped = answer.dead_dropped,
                "the dead letters passed POSTROOM_DEAD_BYTES: the oldest were thrown away; retry or discard some, or raise it"
            );
        }
        if answer.dead_expired > 0 {
            info!(
                shard = self.shard,
                dead.expired = answer.dead_expired,
                "dead letters older than POSTROOM_DEAD_RETENTION were thrown away"
            );
        }
        self.metrics.leases_lost(answer.leases_lost);
        if answer.expired > 0 {
            self.metrics.died(answer.expired);
        }
        for (account, permits) in &answer.grants {
            self.lanes.granted(account, *permits);
        }
        if answer.more || answer.jobs.len() == asked {
            self.flight.hint(self.shard);
        }
        for job in &answer.jobs {
            self.lanes.started(&job.account);
            self.flight.take_off((job.id, job.fence), job.account.clone());
        }
        for account in &answer.give_up {
            self.lanes.give_up(account);
        }
        answer.jobs
    }

    /// Has the records of jobs fetched, before the next turn: Redis answers one after the other, and a turn keeps it for long.
    async fn hand_out(&self, jobs: Vec<Claimed>) {
        let Some(to) = self.handed_out.as_ref().filter(|_| !jobs.is_empty()) else { return };
        match self.queue.fetch_records(self.shard, &jobs).await {
            // The receiver lives as long as this end; after that the lease brings the jobs back.
            Ok(records) => drop(to.send(HandedOut { jobs, records })),
            Err(error) => {
                warn!(mails = jobs.len(), %error, "their records cannot be fetched: they go back to their place");
                self.lanes.finished(self.flight.land(jobs.iter().map(|job| (job.id, job.fence)), None));
                self.flight.want_mending(self.shard);
            }
        }
    }
}

/// Reads the records of jobs that were handed out, and hands them on.
pub async fn read(mut handed_out: mpsc::UnboundedReceiver<HandedOut>, feed: Feed) {
    while let Some(HandedOut { jobs, records }) = handed_out.recv().await {
        records.read_for(jobs).for_each(|job| feed.put(job));
    }
}

fn fill<T>(coming: &mut mpsc::UnboundedReceiver<T>, batch: &mut Vec<T>, most: usize) {
    while batch.len() < most
        && let Ok(next) = coming.try_recv()
    {
        batch.push(next);
    }
}

async fn rest(pauses: &mut ExponentialBackoff) {
    tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn tell(settlement: &Settlement, answer: Settled) {
    let (mail, outcome) = (settlement.id, settlement.outcome.as_str());
    match answer {
        Settled::Done => {}
        Settled::Late => info!(mail.id = %mail, "delivered after the lease was lost: counted all the same"),
        Settled::Doubled => warn!(mail.id = %mail, "delivered twice: another worker had delivered it already"),
        Settled::Lost => warn!(mail.id = %mail, outcome, "the lease was lost: another worker has the mail now"),
        Settled::Gone => warn!(mail.id = %mail, outcome, "nothing is known of this mail any more"),
    }
}
