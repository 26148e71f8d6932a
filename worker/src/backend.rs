//! The queue as an apalis `Backend`: it hands on what the worker's turns brought, and ends when they ask for no more.
//!
//! It is always ready and never fails, so that no trouble with Redis ever ends the apalis worker.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::task::task_id::RandomId;
use apalis_core::worker::context::WorkerContext;
use postroom_shared::queue::Claimed;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::layer::util::Identity;

/// The receiving end of what was handed out. It holds at most as many jobs as the worker has slots. Clones share one
/// channel: a worker that apalis starts anew goes on where the last one was.
#[derive(Debug, Clone)]
pub struct QueueBackend {
    claimed: Arc<Mutex<mpsc::UnboundedReceiver<Claimed>>>,
    exhausted: CancellationToken,
}

/// The ends into which jobs are put. Dropping them ends the backends.
#[derive(Debug)]
pub struct Feed(Vec<mpsc::UnboundedSender<Claimed>>);

impl Feed {
    /// Puts in a job: those of an account all go to the same backend, for they wait for each other's connections.
    pub fn put(&self, job: Claimed) {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&job.account);
        if let Some(to) = self.0.get(hash as usize % self.0.len().max(1)) {
            // The receiver lives as long as the worker.
            let _ = to.send(job);
        }
    }
}

impl QueueBackend {
    /// So many backends, and what feeds them.
    #[must_use]
    pub fn several(count: usize) -> (Feed, Vec<Self>) {
        let one = |_| {
            let (sender, claimed) = mpsc::unbounded_channel();
            (sender, Self { claimed: Arc::new(Mutex::new(claimed)), exhausted: CancellationToken::new() })
        };
        let (senders, backends) = (0..count).map(one).unzip();
        (Feed(senders), backends)
    }

    /// Cancelled when every job was handed on and no more will come. Only then may apalis be told to stop: it would leave
    /// what is still in the channel.
    #[must_use]
    pub fn exhausted(&self) -> CancellationToken {
        self.exhausted.clone()
    }
}

impl Backend for QueueBackend {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let next = claimed.poll_recv(cx);
        if matches!(next, Poll::Ready(None)) {
            self.exhausted.cancel();
        }
        next.map(|claimed| claimed.map(|claimed| Ok(Task::new(claimed))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Claimed;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &Self::Config {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        Identity::new()
    }
}
