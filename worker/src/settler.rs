//! Stores settlements: many in one script, again and again until Redis has them.
//!
//! No settlement is ever given up while the worker lives: what a server said must not be lost because Redis was away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::id::MailId;
use postroom_shared::queue::{self, Queue, Settled, Settlement};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::begins::Begin;
use crate::flight::Flight;
use crate::keeper::pauses;
use crate::lanes::Lanes;

/// Settlements gathered for one call.
const BATCH: usize = 100;
/// With so many more mails in hand, others are about to end: it pays to wait for them.
const MORE_TO_COME: usize = 48;
/// How long at most.
const GATHER: Duration = Duration::from_millis(2);

/// Stores what comes until the sending end of the settlements is dropped.
pub async fn run(
    queue: Queue,
    flight: Arc<Flight>,
    lanes: Arc<Lanes>,
    mut coming: mpsc::UnboundedReceiver<Settlement>,
    mut beginning: mpsc::UnboundedReceiver<Begin>,
) {
    let (mut ends, mut begins) = (Vec::with_capacity(BATCH), Vec::new());
    loop {
        tokio::select! {
            count = coming.recv_many(&mut ends, BATCH) => if count == 0 { return },
            Some(begin) = beginning.recv() => begins.push(begin),
        }
        if flight.in_hand() > ends.len() + MORE_TO_COME {
            tokio::time::sleep(GATHER).await;
        }
        fill(&mut coming, &mut ends);
        fill(&mut beginning, &mut begins);
        let shards: BTreeSet<u16> = ends
            .iter()
            .map(|end: &Settlement| end.id.shard())
            .chain(begins.iter().map(|begin| begin.id.shard()))
            .collect();
        for shard in shards {
            let ends: Vec<Settlement> = ends.extract_if(.., |end| end.id.shard() == shard).collect();
            let begins = begins.extract_if(.., |begin| begin.id.shard() == shard).collect();
            let answers = store(&queue, shard, &ends, begins).await;
            for (settlement, answer) in ends.iter().zip(answers) {
                tell(settlement, answer);
            }
            lanes.finished(flight.land(ends.iter().map(|settlement| (settlement.id, settlement.fence))));
        }
    }
}

fn fill<T>(coming: &mut mpsc::UnboundedReceiver<T>, batch: &mut Vec<T>) {
    while batch.len() < BATCH
        && let Ok(next) = coming.try_recv()
    {
        batch.push(next);
    }
}

/// Stores the ends of one shard, and tells who begins. A worker has one session a shard; who comes with an older one has
/// lost its lease.
async fn store(queue: &Queue, shard: u16, ends: &[Settlement], begins: Vec<Begin>) -> Vec<Settled> {
    let mut pauses: ExponentialBackoff = pauses();
    let session = begins.last().map(|begin| begin.session.clone());
    let (begins, lost): (Vec<_>, Vec<_>) =
        begins.into_iter().partition(|begin| session.as_ref() == Some(&begin.session));
    let mails: Vec<MailId> = begins.iter().map(|begin| begin.id).collect();
    drop(lost);
    loop {
        let begin = session.as_ref().map(|session| queue::Begin { session, mails: &mails });
        match queue.settle_and_begin(shard, ends, begin).await {
            Ok((answers, may_begin)) => {
                for begin in begins {
                    // Whoever asked may have been told to hurry meanwhile.
                    let _ = begin.heard.send(may_begin);
                }
                return answers;
            }
            Err(error) => {
                warn!(mails = ends.len(), %error, "settlements are not stored yet: trying again");
                tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
            }
        }
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
