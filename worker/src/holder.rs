//! Holds accounts, and only then hands their mails back: again and again until Redis has it, in the order of the refusals.
//!
//! A mail that went back sooner would be handed out again at once, to the server that has just refused its account.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::account::AccountId;
use postroom_shared::queue::{AccountError, Finding, Held, Queue, Settlement};
use postroom_shared::store::pauses;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};

use crate::by_shard::{ByShard, OfShard};
use crate::lanes::Refusal;
use crate::next_step::AccountStep;

/// An account to be held, and the end of the attempt that showed it.
pub struct Order {
    /// Which account.
    pub account: AccountId,
    /// What is to be done.
    pub step: AccountStep,
    /// What a person is told.
    pub note: String,
    /// When the attempt began: a person who resumes the account later knows better.
    pub began: Instant,
    /// Settled when that is done.
    pub settlement: Settlement,
    /// Keeps the account's other mails waiting until then.
    pub refusal: Option<Refusal>,
}

impl OfShard for Order {
    fn shard(&self) -> u16 {
        self.settlement.shard()
    }
}

/// Carries out what comes to one shard until the sending end is dropped.
pub async fn run(queue: Queue, mut coming: UnboundedReceiver<Order>, settlements: ByShard<Settlement>) {
    let queue = Arc::new(queue);
    while let Some(order) = coming.recv().await {
        carry_out(&queue, &order).await;
        drop(order.refusal);
        // The turns outlive this task; after it the lease brings the mail back.
        let _ = settlements.send(order.settlement);
    }
}

async fn carry_out(queue: &Queue, order: &Order) {
    let (account, note) = (&order.account, &order.note);
    match order.step {
        AccountStep::Nothing => {}
        AccountStep::Hold { reason, pause, used_up, fewer } => {
            if used_up {
                until_stored(account, || queue.correct_ledger(account)).await;
            }
            hold(queue, order, Finding { reason, pause, fewer }).await;
        }
        AccountStep::HoldClient => {
            let stored = until_stored(account, || queue.hold_client(account, note, order.began.elapsed())).await;
            if let Some(accounts) = stored {
                warn!(account.hash = %account.hashed(), accounts, "the OAuth2 client is refused: its accounts are held");
            }
        }
    }
}

async fn hold(queue: &Queue, order: &Order, finding: Finding) {
    let (account, note) = (&order.account, &order.note);
    let ask = || queue.hold_after_attempt(account, finding, note, order.began.elapsed());
    let Some(held) = until_stored(account, ask).await else { return };
    let (hash, reason) = (account.hashed(), finding.reason.as_str());
    match held {
        Held::Until(until) => warn!(account.hash = %hash, reason, %until, "the account is held; it goes on by itself"),
        Held::UntilAPerson => warn!(account.hash = %hash, reason, "the account is held until a person acts"),
        Held::Outdated => info!(account.hash = %hash, reason, "refused, but resumed since: the account is not held"),
    }
}

/// Asks again until Redis did it. `None`: it cannot be done, for the account is gone or Redis refuses for good.
async fn until_stored<T, F>(account: &AccountId, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, AccountError>>,
{
    let mut pauses: ExponentialBackoff = pauses();
    let not_yet = |error: &dyn Display, pause: Duration| {
        warn!(account.hash = %account.hashed(), %error, pause_ms = pause.as_millis(), "no hold is stored yet: trying again");
    };
    loop {
        match ask().await {
            Ok(done) => return Some(done),
            Err(AccountError::Store(error)) if error.is_passing() => {
                let pause = pauses.next_backoff().unwrap_or(pauses.max_interval);
                not_yet(&error, pause);
                tokio::time::sleep(pause).await;
            }
            Err(error @ (AccountError::Store(_) | AccountError::Unknown)) => {
                info!(account.hash = %account.hashed(), %error, "the account cannot be held");
                return None;
            }
        }
    }
}
