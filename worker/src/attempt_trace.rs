//! The trace of an attempt: built when the attempt is over, from what was put down meanwhile, so that one that is not recorded
//! costs nothing but that.
//!
//! Each attempt is a trace of its own, linked to the span at the door. What failed is recorded whatever the sampler says. An
//! attempt's last span is its settling: the trace waits for Redis' answer, and no mail waits for the trace.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{Claimed, Outcome, SessionId};
use postroom_shared::reply::{Reply, Said};
use postroom_shared::telemetry::span::{Clock, Kind, Over, pair};
use postroom_shared::telemetry::{Step, Steps, TraceContext, Traces, names};

use crate::attempted::Attempted;
use crate::flight::Lease;
use crate::next_step::NextStep;
use names::attribute;

/// What a trace has to know of its attempt from the beginning.
#[derive(Debug)]
pub struct Beginning {
    context: TraceContext,
    /// The span in which the mail was handed over.
    door: Option<TraceContext>,
    steps: Steps,
    id: MailId,
    fence: u64,
    account: AccountId,
    session: SessionId,
    attempt: u32,
    waited: Duration,
    began: Instant,
}

impl Beginning {
    /// The trace's id.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.context.trace_id()
    }
}

/// An attempt that is over and not settled yet.
struct Unsettled {
    root: Over,
    within: Vec<Over>,
    ended: Instant,
    clock: Clock,
}

/// The traces of all attempts of a worker.
pub struct AttemptTraces {
    traces: Traces,
    unsettled: Mutex<HashMap<Lease, Unsettled>>,
}

impl AttemptTraces {
    /// None yet.
    #[must_use]
    pub fn new(traces: Traces) -> Self {
        Self { traces, unsettled: Mutex::default() }
    }

    /// An attempt begins. `None`: nobody wants traces.
    #[must_use]
    pub fn begin(&self, claimed: &mut Claimed) -> Option<Beginning> {
        if !self.traces.is_on() {
            return None;
        }
        let door = claimed.job.as_ref().ok().and_then(|job| job.trace);
        let context = self.traces.begin(door.map(|door| door.sampled))?;
        claimed.steps = Steps::on();
        Some(Beginning {
            context,
            door,
            steps: claimed.steps.clone(),
            id: claimed.id,
            fence: claimed.fence,
            account: claimed.account.clone(),
            session: claimed.session.clone(),
            attempt: claimed.attempts + 1,
            waited: claimed.waited,
            began: Instant::now(),
        })
    }

    /// An attempt is over. Answers the trace's id if it is recorded.
    #[must_use]
    pub fn end(&self, beginning: Beginning, attempted: &Attempted, step: &NextStep) -> Option<String> {
        let failed = has_failed(attempted, step);
        if !failed && !beginning.context.sampled {
            return None;
        }
        let (clock, ended) = (Clock::read(), Instant::now());
        let (context, began) = (beginning.context, clock.at(beginning.began));
        let since = began.checked_sub(beginning.waited).unwrap_or(began);
        let root = Over {
            kind: Kind::Consumer,
            context,
            parent: None,
            times: (since, clock.at(ended)),
            attributes: attributes(&beginning, attempted, step),
            links: beginning.door.into_iter().collect(),
            failed: failed.then(|| step.reason.as_str()),
            ..Over::child(context, names::PROCESS, (since, since))
        };
        let mut within = vec![Over::child(context, names::QUEUE_WAIT, (since, began))];
        within.extend(spans(context, &beginning.steps.take(), &clock));
        let unsettled = Unsettled { root, within, ended, clock };
        self.lock().insert((beginning.id, beginning.fence), unsettled);
        Some(context.trace_id())
    }

    /// Redis has heard of these ends.
    pub fn settled(&self, leases: impl Iterator<Item = Lease>) {
        if !self.traces.is_on() {
            return;
        }
        for lease in leases {
            let unsettled = self.lock().remove(&lease);
            if let Some(unsettled) = unsettled {
                self.record(unsettled);
            }
        }
    }

    /// Records what Redis never heard of, and sends what waits, for no longer than this.
    pub async fn stop(&self, within: Duration) {
        let left: Vec<Unsettled> = self.lock().drain().map(|(_, unsettled)| unsettled).collect();
        left.into_iter().for_each(|unsettled| self.record(unsettled));
        self.traces.stop(within).await;
    }

    fn record(&self, unsettled: Unsettled) {
        let Unsettled { mut root, mut within, ended, clock } = unsettled;
        let now = clock.at(Instant::now());
        within.push(Over::child(root.context, names::SETTLE, (clock.at(ended), now)));
        root.times.1 = now;
        let scope = self.traces.scope();
        self.traces.record(std::iter::once(root).chain(within).map(|span| span.into_data(&scope)).collect());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, Unsettled>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody may want to know: a mail that only goes back to its place, without a word of the server, has not failed.
fn has_failed(attempted: &Attempted, step: &NextStep) -> bool {
    match step.outcome {
        Outcome::Sent => false,
        Outcome::Retry(_) | Outcome::Check(_) | Outcome::Dead => true,
        Outcome::Back => said(attempted).is_some() || !attempted.note.is_empty(),
    }
}

/// What the server said: a refused recipient says more about what follows than the 250 to the others.
pub(crate) fn said(attempted: &Attempted) -> Option<&Reply> {
    attempted.refused.last().map(|(_, reply)| reply).or(attempted.reply.as_ref())
}

/// The steps as spans; what opening a connection consists of lies within it.
fn spans(root: TraceContext, steps: &[Step], clock: &Clock) -> Vec<Over> {
    let opened: Vec<(&Step, Over)> = steps
        .iter()
        .filter(|step| step.what == names::CONNECT)
        .map(|step| (step, Over::step(root, step, clock)))
        .collect();
    let is_part = |step: &Step| [names::DIAL, names::EHLO, names::AUTH].contains(&step.what);
    let within = |step: &Step| {
        let holds = |whole: &&(&Step, Over)| whole.0.began <= step.began && step.ended <= whole.0.ended;
        opened.iter().find(holds).filter(|_| is_part(step)).map_or(root, |whole| whole.1.context)
    };
    let others = steps.iter().filter(|step| step.what != names::CONNECT);
    let mut spans: Vec<Over> = others.map(|step| Over::step(within(step), step, clock)).collect();
    spans.extend(opened.into_iter().map(|(_, span)| span));
    spans
}

fn attributes(
    beginning: &Beginning,
    attempted: &Attempted,
    step: &NextStep,
) -> Vec<postroom_shared::telemetry::span::Pair> {
    let mut pairs = vec![
        pair(attribute::SYSTEM, "postroom"),
        pair(attribute::OPERATION, "process"),
        pair(attribute::OPERATION_TYPE, "process"),
        pair(attribute::DESTINATION, names::DESTINATION),
        pair(attribute::MESSAGE, beginning.id.to_string()),
        pair(attribute::ATTEMPT, i64::from(beginning.attempt)),
        pair(attribute::ACCOUNT, beginning.account.hashed()),
        pair(attribute::OUTCOME, step.outcome.as_str()),
        pair(attribute::REASON, step.reason.as_str()),
        pair(attribute::WORKER, beginning.session.to_string()),
    ];
    if beginning.account.is_test() {
        pairs.push(pair(attribute::TEST, true));
    }
    if let Some(reply) = said(attempted) {
        pairs.push(pair(attribute::STAGE, reply.stage.as_str()));
        if let Said::Reply { code, enhanced, .. } = &reply.said {
            pairs.push(pair(attribute::CODE, i64::from(*code)));
            pairs.extend(enhanced.map(|enhanced| pair(attribute::ENHANCED, enhanced.to_string())));
        }
    }
    pairs
}
