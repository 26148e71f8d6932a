//! Stores settlements: many in one script, again and again until Redis has them.
//!
//! No settlement is ever given up while the worker lives: what a server said must not be lost because Redis was away.

use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::queue::{Queue, Settled, Settlement};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::flight::Flight;
use crate::keeper::pauses;
use crate::lanes::Lanes;

/// Settlements gathered for one call.
const BATCH: usize = 100;
/// With so many more mails in hand, others are about to end: it pays to wait for them.
const MORE_TO_COME: usize = 16;
/// How long at most.
const GATHER: Duration = Duration::from_millis(1);

/// Stores what comes until the sending end is dropped.
pub async fn run(
    queue: Queue,
    flight: Arc<Flight>,
    lanes: Arc<Lanes>,
    mut coming: mpsc::UnboundedReceiver<Settlement>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while coming.recv_many(&mut batch, BATCH).await > 0 {
        if flight.in_hand() > batch.len() + MORE_TO_COME {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(settlement) = coming.try_recv()
            {
                batch.push(settlement);
            }
        }
        batch.sort_by_key(|settlement: &Settlement| settlement.id.shard());
        for group in batch.chunk_by(|a, b| a.id.shard() == b.id.shard()) {
            let answers = store(&queue, group).await;
            for (settlement, answer) in group.iter().zip(answers) {
                tell(settlement, answer);
            }
            lanes.finished(flight.land(group.iter().map(|settlement| (settlement.id, settlement.fence))));
        }
        batch.clear();
    }
}

async fn store(queue: &Queue, group: &[Settlement]) -> Vec<Settled> {
    let mut pauses: ExponentialBackoff = pauses();
    let Some(shard) = group.first().map(|settlement| settlement.id.shard()) else { return Vec::new() };
    loop {
        match queue.settle(shard, group).await {
            Ok(answers) => return answers,
            Err(error) => {
                warn!(mails = group.len(), %error, "settlements are not stored yet: trying again");
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
