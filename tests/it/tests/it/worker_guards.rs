//! What stands around every attempt: a panic, a stuck server and the end of the drain each end in a settlement.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use apalis::layers::TimeoutLayer;
use apalis::layers::catch_panic::CatchPanicLayer;
use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{Claimed, Outcome, Settlement};
use postroom_shared::reason::Reason;
use postroom_shared::telemetry::Traces;
use postroom_worker::attempt_trace::AttemptTraces;
use postroom_worker::attempted::Attempted;
use postroom_worker::by_shard::ByShard;
use postroom_worker::layers::{Panicked, SettleLayer};
use postroom_worker::retry::RetryPolicy;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Session, account, job, queue};

/// Puts one claimed mail through the worker's layers around a handler, and answers its settlement.
async fn settled_after<F, R>(handler: F, limit: Duration, hurry: CancellationToken) -> Settlement
where
    F: Fn(Task<Claimed>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Attempted, BoxDynError>> + Send + 'static,
{
    let (_redis, queue) = queue().await;
    let alice = account(&queue, "alice@example.com").await;
    queue.push(&job(&queue, &alice)).await.unwrap();
    let claimed = Session::open(&queue).await.claim(1).await.jobs.remove(0);
    let shards = queue.store().shards();
    let ((settlements, mut settled), (orders, _orders)) = (ByShard::new(shards), ByShard::new(shards));
    let mut service = ServiceBuilder::new()
        .layer(SettleLayer {
            settlements,
            orders,
            policy: RetryPolicy::default(),
            hurry,
            asks_sent: true,
            metrics: Arc::new(WorkerMetrics::new("0")),
            traces: Arc::new(AttemptTraces::new(Traces::off())),
            on_time: LONG,
        })
        .layer(CatchPanicLayer::with_panic_handler(|_: &Box<dyn Any + Send>| Panicked))
        .layer(TimeoutLayer::new(limit))
        .service(service_fn(handler));
    service.ready().await.unwrap().call(Task::new(claimed)).await.unwrap();
    settled.remove(0).recv().await.unwrap()
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_panic_is_a_failed_attempt_of_that_mail() {
    let panics = |_| async { panic!("as a test") };
    let settlement = settled_after(panics, LONG, CancellationToken::new()).await;
    assert_eq!((settlement.reason, settlement.counted), (Reason::Panic, true));
    // No byte had left (`doubt` has the other case).
    assert!(matches!(settlement.outcome, Outcome::Retry(_)) && settlement.spent == 0);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_a_failed_attempt() {
    let hangs = |_| std::future::pending();
    let settlement = settled_after(hangs, Duration::from_millis(10), CancellationToken::new()).await;
    assert_eq!((settlement.reason, settlement.counted), (Reason::Stuck, true));
    // No byte had left (`doubt` has the other case).
    assert!(matches!(settlement.outcome, Outcome::Retry(_)) && settlement.spent == 0);
}

#[tokio::test]
async fn when_there_is_no_more_time_a_mail_goes_back_uncounted() {
    let hurry = CancellationToken::new();
    hurry.cancel();
    let settlement = settled_after(|_| std::future::pending(), LONG, hurry).await;
    assert_eq!((settlement.outcome, settlement.reason), (Outcome::Back, Reason::HandedBack));
    assert!(!settlement.counted);
}
