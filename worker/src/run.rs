//! Puts the worker together, runs it, and ends it in order.
//!
//! Told to stop, it claims nothing more, lets what runs finish until the drain is over, hands the rest back, stores every
//! settlement, and ends its session.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use apalis::layers::TimeoutLayer;
use apalis::layers::catch_panic::CatchPanicLayer;
use apalis::layers::tracing::TraceLayer;
use apalis_core::monitor::Monitor;
use apalis_core::task::Task;
use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use futures::FutureExt;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{Claimed, Queue, Settlement};
use postroom_shared::store::{Store, StoreError};
use postroom_shared::telemetry::Traces;
use postroom_shared::telemetry::probe::{self, Health};
use postroom_shared::tokens::{Sealer, Tokens};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::attempt_trace::AttemptTraces;
use crate::attempted::Attempted;
use crate::backend::QueueBackend;
use crate::begins::{Begin, Begins};
use crate::by_shard::ByShard;
use crate::doubt::Doubts;
use crate::flight::Flight;
use crate::handler::Handler;
use crate::holder;
use crate::keeper::{self, Sessions};
use crate::lanes::Lanes;
use crate::layers::{Panicked, SettleLayer};
use crate::pace::Pace;
use crate::probes::{self, Sources};
use crate::sent::Sent;
use crate::settings::Settings;
use crate::turns::{self, HandedOut, Turns};
use postroom_shared::smtp::Dialer;

/// How long settlements may take at the very end; after that the lease brings the mails back.
const LAST_SETTLEMENTS: Duration = Duration::from_secs(10);

/// How long the last traces may take.
const LAST_SPANS: Duration = Duration::from_secs(3);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The signals a worker obeys.
pub struct Orders {
    /// Stop claiming and drain.
    pub stop: CancellationToken,
    /// Hand back at once what still runs.
    pub hurry: CancellationToken,
}

struct Parts {
    queue: Queue,
    flight: Arc<Flight>,
    lanes: Arc<Lanes>,
    sessions: Arc<Sessions>,
    pace: Arc<Pace>,
    metrics: Arc<WorkerMetrics>,
    traces: Arc<AttemptTraces>,
}

/// Runs a worker until it is told to stop and has drained.
///
/// # Errors
/// If it cannot start: Redis holds another number of shards, the keys or the settings are unusable. Redis being away is
/// no error: it is waited for.
pub async fn run(settings: Settings, orders: Orders) -> anyhow::Result<()> {
    let sealer = Arc::new(Sealer::from_settings(&settings.tokens)?);
    let dialer = Dialer::new(settings.smtp.clone()).map_err(anyhow::Error::msg)?;
    let metrics = Arc::new(WorkerMetrics::new(VERSION));
    let (health, sources) = (Health::default(), Sources::default());
    let show = probes::show(&metrics, &sources, settings.concurrency);
    probe::start(settings.probe, health.clone(), show).await.map_err(anyhow::Error::msg)?;
    let dropped = metrics.spans_dropped.clone();
    let traces = Traces::start(&settings.traces, &settings.tls, "postroom-worker", VERSION, dropped);
    let traces = Arc::new(AttemptTraces::new(traces.map_err(anyhow::Error::msg)?));
    let Some(queue) = connect(&settings, &orders.stop).await? else { return Ok(()) };
    health.connected(queue.store());
    tokio::spawn(drain_after(orders.stop.clone(), health));
    let tokens =
        Tokens::new(queue.store().clone(), sealer, &settings.tokens, &settings.tls).map_err(anyhow::Error::msg)?;
    let flight = Arc::new(Flight::new(settings.concurrency, queue.store().clone()));
    let parts = Parts {
        lanes: Lanes::new(Arc::clone(&flight)),
        sessions: Arc::new(Sessions::new(settings.name.clone(), settings.lease, queue.store().shards())),
        pace: Arc::new(Pace::default()),
        metrics: Arc::clone(&metrics),
        traces: Arc::clone(&traces),
        flight,
        queue,
    };
    sources.found(&parts.flight, &tokens);
    info!(worker.name = %settings.name, concurrency = settings.concurrency, "the worker starts");
    let (begins, beginning) = Begins::new(parts.queue.store().shards());
    let sent = Sent::new(settings.sent.clone(), &settings.smtp.roots).map_err(anyhow::Error::msg)?;
    let (allowance, uncertain) = (settings.sent.allowance, settings.sent.uncertain);
    let doubts = Doubts { sent, allowance, uncertain, metrics: Arc::clone(&metrics) };
    let handler = Handler {
        queue: parts.queue.clone(),
        replies: settings.replies,
        lanes: Arc::clone(&parts.lanes),
        sessions: Arc::clone(&parts.sessions),
        tokens,
        dialer,
        pace: Arc::clone(&parts.pace),
        begins,
        doubts: Arc::new(doubts),
        metrics,
    };
    work(&settings, &parts, handler, beginning, orders).await;
    traces.stop(LAST_SPANS).await;
    info!("the worker has stopped");
    Ok(())
}

/// Waits for Redis as long as it takes; `None` if told to stop meanwhile.
async fn connect(settings: &Settings, stop: &CancellationToken) -> Result<Option<Queue>, StoreError> {
    tokio::select! {
        () = stop.cancelled() => Ok(None),
        store = Store::wait(&settings.redis) => Ok(Some(Queue::new(store?, settings.limits.clone()))),
    }
}

async fn work(
    settings: &Settings,
    parts: &Parts,
    handler: Handler,
    beginning: Vec<UnboundedReceiver<Begin>>,
    orders: Orders,
) {
    let shards = parts.queue.store().shards();
    let (settlements, coming) = ByShard::new(shards);
    let (feed, backends) = QueueBackend::several(cores().min(settings.concurrency));
    let (handed_out, coming_jobs) = mpsc::unbounded_channel();
    let Parts { queue, flight, lanes, sessions, metrics, traces, .. } = parts;
    let (ended, doubts) = (CancellationToken::new(), Arc::clone(&handler.doubts));
    let (holds, held) = ByShard::new(shards);
    let turning = take_turns(parts, coming, beginning, handed_out, &orders.stop);
    // Ends when the turns ask for no more, and ends the backends with it.
    tokio::spawn(turns::read(coming_jobs, feed));
    // Ends before the turns do: what it still has is settled by them.
    for orders in held {
        tokio::spawn(holder::run(queue.clone(), orders, settlements.clone()));
    }
    let keeping = [spawn(keeper::beat, parts, &ended), spawn(keeper::listen, parts, &ended)];
    let hurrying = tokio::spawn(hurry_after_the_drain(orders.stop.clone(), orders.hurry.clone(), settings.drain));
    // Ends when the last job was handed on and the last attempt is over.
    let settle = SettleLayer {
        settlements,
        orders: holds,
        policy: settings.retry,
        hurry: orders.hurry,
        asks_sent: doubts.sent.is_some(),
        metrics: Arc::clone(metrics),
        traces: Arc::clone(traces),
        on_time: settings.on_time,
    };
    let handler = Arc::new(handler);
    let attends =
        backends.into_iter().map(|backend| attend(settings.clone(), backend, Arc::clone(&handler), settle.clone()));
    // If one of them panics, so does the whole: others would go on, and its accounts' mails never end.
    attends.collect::<JoinSet<()>>().join_all().await;
    drop((settle, handler));
    if tokio::time::timeout(LAST_SETTLEMENTS, turning.join_all()).await.is_err() {
        warn!(
            mails = flight.in_hand(),
            "Redis did not take the last settlements: these mails come back with the lease"
        );
    }
    lanes.close_all().await;
    if let Some(sent) = &doubts.sent {
        sent.close().await;
    }
    sessions.leave(queue).await;
    ended.cancel();
    hurrying.abort();
    for task in keeping {
        let _ = task.await;
    }
}

/// Begins the turns of every shard.
fn take_turns(
    parts: &Parts,
    ends: Vec<UnboundedReceiver<Settlement>>,
    begins: Vec<UnboundedReceiver<Begin>>,
    handed_out: mpsc::UnboundedSender<HandedOut>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let all = (0..parts.queue.store().shards()).zip(ends).zip(begins).map(|((shard, ends), begins)| {
        let turns = Turns {
            shard,
            queue: parts.queue.clone(),
            sessions: Arc::clone(&parts.sessions),
            flight: Arc::clone(&parts.flight),
            lanes: Arc::clone(&parts.lanes),
            pace: Arc::clone(&parts.pace),
            handed_out: Some(handed_out.clone()),
            ends,
            begins,
            metrics: Arc::clone(&parts.metrics),
            traces: Arc::clone(&parts.traces),
        };
        turns.run(stop.clone())
    });
    all.collect()
}

fn spawn<F>(
    task: impl FnOnce(Queue, Arc<Sessions>, Arc<Flight>, Arc<Lanes>, CancellationToken) -> F,
    parts: &Parts,
    ended: &CancellationToken,
) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(task(
        parts.queue.clone(),
        Arc::clone(&parts.sessions),
        Arc::clone(&parts.flight),
        Arc::clone(&parts.lanes),
        ended.clone(),
    ))
}

/// Told to stop, it is not ready for more.
async fn drain_after(stop: CancellationToken, health: Health) {
    stop.cancelled().await;
    health.drain();
}

async fn hurry_after_the_drain(stop: CancellationToken, hurry: CancellationToken, drain: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(drain).await;
    hurry.cancel();
}

/// How many tasks attend to mails: one could not use more than one core.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An apalis worker, from the outermost layer inwards: each attempt settled, limited in time, traced, guarded against panics.
/// All its attempts are one task: a task for each (`parallelize`) cost more than it gained, for the work is waiting.
async fn attend(settings: Settings, backend: QueueBackend, handler: Arc<Handler>, settle: SettleLayer) {
    let (name, limit) = (settings.name, settings.attempt_limit);
    let exhausted = backend.exhausted();
    let span = |_: &Task<Claimed>| tracing::debug_span!("handle");
    let trace = TraceLayer::new().make_span_with(span).on_response(());
    let worker = move |_restarts: usize| {
        WorkerBuilder::new(name.clone())
            .backend(backend.clone())
            .layer(settle.clone())
            .layer(TimeoutLayer::new(limit))
            .layer(trace.clone())
            .layer(CatchPanicLayer::with_panic_handler(|_: &Box<dyn Any + Send>| Panicked))
            .data(Arc::clone(&handler))
            .build(attempt)
    };
    if let Err(error) = Monitor::new().register(worker).run_with_signal(exhausted.cancelled().map(Ok)).await {
        warn!(%error, "the worker ended with an error");
    }
}

async fn attempt(claimed: Claimed, handler: Data<Arc<Handler>>) -> Result<Attempted, std::convert::Infallible> {
    // Boxed: each layer around it moves the whole future on its way.
    Ok(Box::pin(handler.attempt(&claimed)).await)
}
