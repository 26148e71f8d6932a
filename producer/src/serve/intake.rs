//! Storing mails for many requests at once: what comes while Redis is busy with the mails before goes in one script.
//!
//! A request's answer comes when Redis has its mail, and not before.

use std::sync::Arc;

use postroom_shared::queue::NewJob;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::body::Payload;
use super::error::ApiError;
use crate::client::{SendError, Sent};
use crate::direct::DirectClient;

/// Mails that go in one script.
const TOGETHER: usize = 100;
/// Scripts under way at once: while Redis works at one, the next is written and the one before is read.
const LINES: usize = 2;
/// Mails that wait for a line; beyond it a request is told to come again.
const ROOM: usize = 4_096;

struct Order {
    job: NewJob,
    answer: oneshot::Sender<Result<Sent, SendError>>,
    /// Keeps the request's part of the memory taken, also when the caller has gone away.
    payload: Payload,
}

/// The way into Redis for single mails. Dropping it lets what is under way come to its end.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    orders: mpsc::Sender<Order>,
}

impl Intake {
    pub(super) fn start(client: &DirectClient) -> Self {
        let (orders, waiting) = mpsc::channel(ROOM);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LINES {
            tokio::spawn(line(client.clone(), Arc::clone(&waiting)));
        }
        Self { orders }
    }

    /// Stores a mail, which came with this request.
    ///
    /// # Errors
    /// If Redis did not store it, or not surely.
    pub(super) async fn store(&self, job: NewJob, payload: Payload) -> Result<Sent, ApiError> {
        let (id, keyed, until) = (job.id, job.idempotency.is_some(), payload.until);
        let (answer, stored) = oneshot::channel();
        if self.orders.try_send(Order { job, answer, payload }).is_err() {
            let message = "it was not stored: too many mails wait to be stored, hand it over again a little later";
            return Err(ApiError::unavailable(message));
        }
        let unknown = |why: &str| ApiError::from(SendError::Unknown { id: Some(id), keyed, why: why.to_owned() });
        match tokio::time::timeout_at(until, stored).await {
            Ok(Ok(stored)) => Ok(stored?),
            Ok(Err(_)) => Err(unknown("Postroom is stopping")),
            Err(_) => Err(unknown("Redis gave no answer in time")),
        }
    }
}

async fn line(client: DirectClient, waiting: Arc<Mutex<mpsc::Receiver<Order>>>) {
    let mut orders = Vec::with_capacity(TOGETHER);
    loop {
        if waiting.lock().await.recv_many(&mut orders, TOGETHER).await == 0 {
            return;
        }
        let kept = orders.drain(..).map(|order| (order.job, (order.answer, order.payload)));
        let (jobs, askers): (Vec<_>, Vec<_>) = kept.unzip();
        let stored = client.store(&jobs).await;
        for ((answer, _), stored) in askers.into_iter().zip(stored) {
            let _ = answer.send(stored); // Nobody waits any more: the mail is stored all the same.
        }
    }
}
