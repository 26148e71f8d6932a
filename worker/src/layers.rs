//! What stands around every attempt: it is settled whatever happens, traced, and neither a panic nor a stuck server
//! takes others with it.
//!
//! The outermost layer settles; an attempt that ends without a result is settled by how it ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{Attempt, Begun, Claimed, Event, Job, Outcome, Recipients, SessionId, Settlement, What};
use postroom_shared::reason::Reason;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use tracing::{Instrument, Span, error, info, info_span, warn};

use crate::attempt_trace::{AttemptTraces, Beginning, said};
use crate::attempted::Attempted;
use crate::by_shard::ByShard;
use crate::holder::Order;
use crate::next_step::{AccountStep, NextStep, Situation, next_step};
use crate::retry::RetryPolicy;
use crate::verdict::Verdict;

/// Settles every attempt.
#[derive(Clone)]
pub struct SettleLayer {
    /// Where settlements go.
    pub settlements: ByShard<Settlement>,
    /// Where accounts to be held go, with the settlements that wait for it.
    pub orders: ByShard<Order>,
    /// When a mail that failed is tried again.
    pub policy: RetryPolicy,
    /// Cancelled when there is no more time: what runs is handed back.
    pub hurry: CancellationToken,
    /// Whether Sent is asked about a mail in doubt.
    pub asks_sent: bool,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
    /// What is traced.
    pub traces: Arc<AttemptTraces>,
    /// A mail that was sent within this after its time came was on time.
    pub on_time: Duration,
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
    began: Instant,
    recipients: Option<Recipients>,
    count: usize,
    begun: Begun,
    job: Option<Arc<Job>>,
    deadline: Millis,
    overdue: Duration,
    trace: Option<Beginning>,
}

impl Claim {
    fn of(claimed: &mut Claimed, traces: &AttemptTraces) -> Self {
        let trace = traces.begin(claimed);
        let job = claimed.job.as_ref().ok().cloned();
        Self {
            id: claimed.id,
            account: claimed.account.clone(),
            session: claimed.session.clone(),
            fence: claimed.fence,
            attempt: claimed.attempts + 1,
            claimed: claimed.claimed,
            began: Instant::now(),
            recipients: claimed.recipients.clone(),
            count: job.as_ref().map_or(0, |job| job.recipients.len()),
            begun: claimed.begun.clone(),
            job,
            deadline: claimed.deadline,
            overdue: claimed.overdue,
            trace,
        }
    }

    fn open(&self) -> Vec<usize> {
        self.recipients.as_ref().map_or_else(|| (0..self.count).collect(), |recipients| recipients.open.clone())
    }

    fn failed(&self) -> &[usize] {
        self.recipients.as_ref().map_or(&[], |recipients| &recipients.failed)
    }

    fn span(&self) -> Span {
        // Said only of test mails.
        let test = self.account.is_test().then_some(true);
        // Within the macro, what costs something is made only if somebody wants the span.
        info_span!(
            "attempt",
            mail.id = %self.id,
            mail.attempt = self.attempt,
            mail.test = test,
            account.hash = %self.account.hashed(),
            trace.id = self.trace.as_ref().map(Beginning::trace_id)
        )
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

    fn call(&mut self, mut task: Task<Claimed>) -> Self::Future {
        let context = Arc::clone(&self.context);
        let mut claim = Claim::of(&mut task.args, &context.traces);
        context.metrics.queue_wait(task.args.waited);
        let span = claim.span();
        let attempt = self.inner.call(task);
        let settled = async move {
            let attempted = tokio::select! {
                biased;
                result = attempt => result.unwrap_or_else(|error| ended_without_a_result(&mut claim, error.into())),
                () = context.hurry.cancelled() => {
                    handed_back(&mut claim)
                }
            };
            context.settle(claim, attempted).await
        };
        Box::pin(settled.instrument(span))
    }
}

/// A panic or the time limit: it counts as an attempt, and if the bytes were leaving the server may have them.
fn ended_without_a_result(claim: &mut Claim, error: BoxDynError) -> Attempted {
    let reason = if error.is::<Panicked>() { Reason::Panic } else { Reason::Stuck };
    broken_off(claim, reason, Verdict::Failed(reason))
}

/// There is no time left for the mail in this worker.
fn handed_back(claim: &mut Claim) -> Attempted {
    broken_off(claim, Reason::HandedBack, Verdict::Untried(Reason::HandedBack))
}

/// The attempt is gone: what is known is what the queue was told. Those to whom the bytes were leaving may have them.
fn broken_off(claim: &mut Claim, reason: Reason, others: Verdict) -> Attempted {
    let noted = claim.begun.noted();
    let leaving = noted.as_ref().map(|noted| noted.in_doubt.clone()).filter(|places| !places.is_empty());
    claim.recipients = noted.or_else(|| claim.recipients.take());
    let may_have_it =
        |place: &usize| claim.begun.is_leaving() && leaving.as_ref().is_none_or(|places| places.contains(place));
    let open = claim.open();
    let verdict = |place: &usize| if may_have_it(place) { Verdict::BrokenOff(reason) } else { others };
    Attempted { findings: open.iter().map(|place| (*place, verdict(place))).collect(), ..Attempted::default() }
}

impl SettleLayer {
    async fn settle(&self, mut claim: Claim, mut attempted: Attempted) -> Result<(), BoxDynError> {
        if let Some(stored) = &attempted.after {
            tokio::select! {
                () = stored.cancelled() => {}
                () = self.hurry.cancelled() => {}
            }
        }
        let now = Millis::now();
        let step = self.decide(&claim, &attempted, now);
        let mut trace = None;
        if !attempted.is_quiet() {
            trace = claim.trace.take().and_then(|beginning| self.traces.end(beginning, &attempted, &step));
            self.count(&claim, &attempted, &step, trace.clone());
            tell(&claim, &attempted, &step, trace.as_deref());
        }
        let (account, account_step, began) = (claim.account.clone(), step.account, claim.began);
        let (note, refusal) = (std::mem::take(&mut attempted.note), attempted.refusal.take());
        let settlement = settlement(claim, attempted, step, now, trace);
        let gone = "the worker takes no more turns";
        match account_step {
            AccountStep::Nothing => self.settlements.send(settlement).map_err(|_| gone.into()),
            AccountStep::Hold { .. } | AccountStep::HoldClient => {
                let order = Order { account, step: account_step, note, began, settlement, refusal };
                self.orders.send(order).map_err(|_| gone.into())
            }
        }
    }

    fn count(&self, claim: &Claim, attempted: &Attempted, step: &NextStep, trace: Option<String>) {
        let (metrics, took) = (&self.metrics, claim.began.elapsed());
        metrics.attempt(step.outcome.as_str(), step.reason, took, trace);
        let replies = attempted.refused.iter().map(|(_, reply)| reply).chain(&attempted.reply);
        replies.for_each(|reply| metrics.reply(reply));
        // What was in doubt before was counted then.
        if !step.in_doubt.is_empty() && attempted.check.is_none() && attempted.dead.is_none() {
            metrics.uncertain();
        }
        // What becomes of test mails is made up.
        if claim.account.is_test() {
            return;
        }
        match step.outcome {
            Outcome::Sent => metrics.sent(claim.overdue + took, self.on_time),
            Outcome::Dead => metrics.died(1),
            // settle.lua finds the same.
            Outcome::Retry(at) if at >= claim.deadline => metrics.died(1),
            Outcome::Retry(_) | Outcome::Check(_) | Outcome::Back => {}
        }
    }

    fn decide(&self, claim: &Claim, attempted: &Attempted, now: Millis) -> NextStep {
        let as_before = |outcome, reason| NextStep {
            outcome,
            reason,
            counted: false,
            open: claim.open(),
            failed: claim.failed().to_vec(),
            in_doubt: claim.recipients.as_ref().map(|known| known.in_doubt.clone()).unwrap_or_default(),
            spent: 0,
            proves: false,
            account: AccountStep::Nothing,
        };
        match (attempted.dead, attempted.check) {
            (Some(reason), _) => return as_before(Outcome::Dead, reason),
            (None, Some(at)) => return as_before(Outcome::Check(at), Reason::Uncertain),
            (None, None) => {}
        }
        let situation = Situation {
            attempt: claim.attempt,
            failed: claim.failed(),
            answered: attempted.answered(),
            asks_sent: self.asks_sent && !claim.account.is_test(),
            now,
            policy: &self.policy,
            // Chance costs a call of the system; a mail that was delivered needs none.
            jitter: if attempted.is_delivered() { 0.0 } else { chance() },
        };
        let mut step = next_step(&attempted.findings, &situation);
        if let (Outcome::Back, Some(known)) = (step.outcome, &claim.recipients) {
            // Nothing was found out of those that were not tried: they are in doubt as before.
            let untried = |place: &usize| attempted.findings.contains(&(*place, Verdict::Untried(step.reason)));
            step.in_doubt.extend(known.in_doubt.iter().copied().filter(untried));
        }
        step
    }
}

/// Chance, from 0 to 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}

/// The one log line of an attempt: flat, so that a filter finds the mail in it.
fn tell(claim: &Claim, attempted: &Attempted, step: &NextStep, trace: Option<&str>) {
    macro_rules! line {
        ($level:ident, $text:literal, $($more:tt)*) => {
            $level!(
                parent: None,
                mail.id = %claim.id,
                mail.attempt = claim.attempt,
                mail.test = claim.account.is_test().then_some(true),
                account.hash = claim.account.hashed(),
                trace.id = trace,
                attempt.outcome = step.outcome.as_str(),
                attempt.reason = step.reason.as_str(),
                attempt.duration_ms = u64::try_from(claim.began.elapsed().as_millis()).unwrap_or(u64::MAX),
                $($more)*
                $text
            )
        };
    }
    if step.outcome == Outcome::Sent {
        line!(info, "attempt finished",);
        return;
    }
    let reply = said(attempted).map(tracing::field::display);
    let mut meanings = attempted.findings.iter().filter_map(|(_, verdict)| verdict.meaning());
    let row = meanings.clone().next_back().map(|meaning| meaning.row.name.as_str());
    if meanings.any(|meaning| meaning.alert) {
        line!(error, "attempt finished: a person has to know", reply.row = row, reply.text = reply,);
    } else {
        line!(warn, "attempt finished", reply.row = row, reply.text = reply,);
    }
}

fn settlement(claim: Claim, attempted: Attempted, step: NextStep, now: Millis, trace: Option<String>) -> Settlement {
    let retry_at = match step.outcome {
        Outcome::Retry(at) | Outcome::Check(at) => Some(at),
        Outcome::Sent | Outcome::Dead | Outcome::Back => None,
    };
    // What was stored before is written over, so that it cannot outlive what it says.
    let as_at_first = step.failed.is_empty() && step.open.len() == claim.count && step.in_doubt.is_empty();
    let taken = claim.recipients.as_ref().map_or(0, |known| known.taken) + attempted.taken;
    let keeps = as_at_first && claim.recipients.is_none() && taken == 0;
    let quiet = attempted.is_quiet();
    let recipients = Recipients { open: step.open, failed: step.failed, in_doubt: step.in_doubt, taken };
    let attempt = Attempt {
        number: claim.attempt,
        claimed: claim.claimed,
        worker: claim.session.to_string(),
        reason: step.reason,
        next: step.outcome.as_str().to_owned(),
        retry_at,
        reply: attempted.reply,
        refused: attempted.refused,
        trace,
    };
    Settlement {
        id: claim.id,
        session: claim.session,
        fence: claim.fence,
        outcome: step.outcome,
        reason: step.reason,
        counted: step.counted,
        spent: step.spent,
        proves: step.proves,
        recipients: if keeps { None } else { Some(recipients) },
        // A mail that only goes back because of another's refusal has nothing to tell.
        event: if quiet { None } else { Some(Event { at: now, what: What::Attempt(attempt) }) },
        job: claim.job,
    }
}
