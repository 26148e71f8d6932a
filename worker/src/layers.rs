//! What stands around every attempt: it is settled whatever happens, traced, and neither a panic nor a stuck server
//! takes others with it.
//!
//! The outermost layer settles; an attempt that ends without a result is settled by how it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use postroom_shared::account::{AccountId, Pause};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{Attempt, Claimed, Event, Job, Outcome, Queue, Recipients, SessionId, Settlement, What};
use postroom_shared::reason::Reason;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use tracing::{Instrument, Span, info, info_span, warn};

use crate::handler::Attempted;
use crate::next_step::{NextStep, Situation, next_step};
use crate::retry::RetryPolicy;
use crate::verdict::Verdict;

/// Settles every attempt.
#[derive(Clone)]
pub struct SettleLayer {
    /// Where settlements go.
    pub settlements: mpsc::UnboundedSender<Settlement>,
    /// For holding accounts.
    pub queue: Queue,
    /// When a mail that failed is tried again.
    pub policy: RetryPolicy,
    /// Cancelled when there is no more time: what runs is handed back.
    pub hurry: CancellationToken,
}

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Settle { inner, context: Arc::new(self.clone()) }
    }
}

/// See [`SettleLayer`].
#[derive(Clone)]
pub struct Settle<S> {
    inner: S,
    context: Arc<SettleLayer>,
}

/// The error of an attempt that panicked.
#[derive(Debug, thiserror::Error)]
#[error("the code that handled the mail panicked")]
pub struct Panicked;

/// What is known of a job when the attempt itself is gone.
struct Claim {
    id: MailId,
    account: AccountId,
    session: SessionId,
    fence: u64,
    attempt: u32,
    claimed: Millis,
    recipients: Option<Recipients>,
    count: usize,
    job: Option<Arc<Job>>,
}

impl Claim {
    fn of(claimed: &Claimed) -> Self {
        let job = claimed.job.as_ref().ok().cloned();
        Self {
            id: claimed.id,
            account: claimed.account.clone(),
            session: claimed.session.clone(),
            fence: claimed.fence,
            attempt: claimed.attempts + 1,
            claimed: claimed.claimed,
            recipients: claimed.recipients.clone(),
            count: job.as_ref().map_or(0, |job| job.recipients.len()),
            job,
        }
    }

    fn open(&self) -> Vec<usize> {
        self.recipients.as_ref().map_or_else(|| (0..self.count).collect(), |recipients| recipients.open.clone())
    }

    fn failed(&self) -> &[usize] {
        self.recipients.as_ref().map_or(&[], |recipients| &recipients.failed)
    }

    fn span(&self) -> Span {
        info_span!("attempt", mail.id = %self.id, mail.attempt = self.attempt, account.hash = %self.account.hashed())
    }
}

impl<S> Service<Task<Claimed>> for Settle<S>
where
    S: Service<Task<Claimed>, Response = Attempted>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Claimed>) -> Self::Future {
        let claim = Claim::of(&task.args);
        let span = claim.span();
        let context = Arc::clone(&self.context);
        let attempt = self.inner.call(task);
        let settled = async move {
            let attempted = tokio::select! {
                biased;
                result = attempt => result.unwrap_or_else(|error| ended_without_a_result(&claim, error.into())),
                () = context.hurry.cancelled() => {
                    Attempted { back: Some(Reason::HandedBack), ..Attempted::default() }
                }
            };
            context.settle(claim, attempted).await
        };
        Box::pin(settled.instrument(span))
    }
}

/// A panic or the time limit: it may have happened after the final dot, and counts as an attempt.
fn ended_without_a_result(claim: &Claim, error: BoxDynError) -> Attempted {
    let reason = if error.is::<Panicked>() { Reason::Panic } else { Reason::Stuck };
    let verdict = Verdict::Transient { reason, floor: std::time::Duration::ZERO };
    Attempted { findings: claim.open().into_iter().map(|place| (place, verdict)).collect(), ..Attempted::default() }
}

impl SettleLayer {
    async fn settle(&self, claim: Claim, attempted: Attempted) -> Result<(), BoxDynError> {
        let now = Millis::now();
        let step = self.decide(&claim, &attempted, now);
        if let Some((reason, note)) = &attempted.hold {
            self.hold(&claim.account, *reason, note).await;
        }
        tell(&claim, &attempted, &step, now);
        self.settlements.send(settlement(claim, attempted, step, now)).map_err(|_| "the settler has ended".into())
    }

    fn decide(&self, claim: &Claim, attempted: &Attempted, now: Millis) -> NextStep {
        let as_before = |outcome, reason, counted| NextStep {
            outcome,
            reason,
            counted,
            open: claim.open(),
            failed: claim.failed().to_vec(),
            hold: false,
        };
        match (attempted.dead, attempted.back) {
            (Some(reason), _) => as_before(Outcome::Dead, reason, false),
            (None, Some(reason)) => as_before(Outcome::Back, reason, false),
            (None, None) => {
                let situation = Situation {
                    attempt: claim.attempt,
                    failed: claim.failed(),
                    now,
                    policy: &self.policy,
                    // Chance costs a call of the system; a mail that was delivered needs none.
                    jitter: if attempted.is_delivered() { 0.0 } else { chance() },
                };
                let step = next_step(&attempted.findings, &situation);
                let reason = attempted.hold.as_ref().map_or(step.reason, |(reason, _)| *reason);
                NextStep { reason, ..step }
            }
        }
    }

    async fn hold(&self, account: &AccountId, reason: Reason, note: &str) {
        let hash = account.hashed();
        match self.queue.hold(account, reason, note, Pause::UntilAPerson).await {
            Ok(_) => warn!(account.hash = %hash, reason = reason.as_str(), "the account is held until a person acts"),
            Err(error) => warn!(account.hash = %hash, %error, "the account could not be held yet"),
        }
    }
}

/// Chance, from 0 to 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// The one log line of an attempt.
fn tell(claim: &Claim, attempted: &Attempted, step: &NextStep, now: Millis) {
    // A refused recipient says more about what follows than the 250 to the others.
    let said = attempted.refused.last().map(|(_, reply)| reply).or(attempted.reply.as_ref());
    let (outcome, reason) = (step.outcome.as_str(), step.reason.as_str());
    let took_ms = now.since(claim.claimed).as_millis();
    match (said, step.outcome) {
        (_, Outcome::Sent) => info!(outcome, reason, took_ms, "attempt finished"),
        (Some(reply), Outcome::Retry(_) | Outcome::Check(_) | Outcome::Dead | Outcome::Back) => {
            warn!(outcome, reason, took_ms, %reply, "attempt finished");
        }
        (None, Outcome::Retry(_) | Outcome::Check(_) | Outcome::Dead | Outcome::Back) => {
            warn!(outcome, reason, took_ms, "attempt finished");
        }
    }
}

fn settlement(claim: Claim, attempted: Attempted, step: NextStep, now: Millis) -> Settlement {
    let retry_at = match step.outcome {
        Outcome::Retry(at) | Outcome::Check(at) => Some(at),
        Outcome::Sent | Outcome::Dead | Outcome::Back => None,
    };
    let all_open = step.failed.is_empty() && step.open.len() == claim.count;
    let recipients = Recipients { open: step.open, failed: step.failed };
    let attempt = Attempt {
        number: claim.attempt,
        claimed: claim.claimed,
        worker: claim.session.to_string(),
        reason: step.reason,
        next: step.outcome.as_str().to_owned(),
        retry_at,
        reply: attempted.reply,
        refused: attempted.refused,
    };
    Settlement {
        id: claim.id,
        session: claim.session,
        fence: claim.fence,
        outcome: step.outcome,
        reason: step.reason,
        counted: step.counted,
        spent: if step.outcome == Outcome::Sent { claim.count } else { 0 },
        proves: step.outcome == Outcome::Sent,
        recipients: if all_open { None } else { Some(recipients) },
        event: Some(Event { at: now, what: What::Attempt(attempt) }),
        job: claim.job,
    }
}
