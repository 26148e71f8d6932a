//! Reading a request's body: within its size, within the memory for all of them together, and no slower than it may be.
//!
//! No handler reads a body in another way, so that nothing that a caller sends can fill the memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::app::App;
use super::crowd::Place;
use super::error::ApiError;
use crate::http::Stored;

/// A body takes memory from the common store in pieces of this size. What is smaller is bounded by the number of connections.
const PIECE: usize = 16 << 10;
/// A body and what it becomes on its way to Redis take about so many times its size (measured with attachments of 24 MB).
const WEIGHT: usize = 6;
/// Whole mails that are read back from Redis at once.
const READ_BACK: usize = 1;
/// A body as a whole may take so many times the limit for a piece of it, and a second more for each so many bytes.
const PATIENCE: u32 = 2;
const SLOWEST: u64 = 100 << 10;

/// The memory that all bodies share.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pieces: Arc<Semaphore>,
    read_back: Arc<Semaphore>,
    body_limit: usize,
    timeout: Duration,
}

impl Memory {
    pub(super) fn new(memory: u64, body_limit: u64, timeout: Duration) -> Self {
        let pieces = usize::try_from(memory).unwrap_or(usize::MAX) / PIECE;
        let body_limit = usize::try_from(body_limit).unwrap_or(usize::MAX);
        // The largest body that is allowed must fit, or it never would.
        let pieces = pieces.max((body_limit / PIECE + 1) * WEIGHT).min(Semaphore::MAX_PERMITS);
        let [pieces, read_back] = [pieces, READ_BACK].map(|count| Arc::new(Semaphore::new(count)));
        Self { pieces, read_back, body_limit, timeout }
    }

    fn take(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        let Ok(count) = u32::try_from((bytes / PIECE) * WEIGHT) else { return Err(self.too_large()) };
        if count == 0 {
            return Ok(None); // Small ones are bounded by the number of connections.
        }
        let taken = Arc::clone(&self.pieces).try_acquire_many_owned(count);
        taken.map(Some).map_err(|_| {
            ApiError::unavailable("too many large requests at once: send it again a little later, or smaller ones")
        })
    }

    /// Waits for the turn to read a whole mail back from Redis, whose size is not known before.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.read_back.acquire().await.ok()
    }

    /// The part of an answer of so many bytes.
    ///
    /// # Errors
    /// If there is none left.
    pub(super) fn of_answer(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        // The buffer in which it was written may be twice as large.
        let count = u32::try_from(bytes / PIECE * 2).unwrap_or(u32::MAX);
        if count == 0 {
            return Ok(None);
        }
        let taken = Arc::clone(&self.pieces).try_acquire_many_owned(count);
        taken.map(Some).map_err(|_| {
            ApiError::unavailable("too much is under way to answer with something so large: ask again a little later")
        })
    }

    fn too_large(&self) -> ApiError {
        let message = format!(
            "the request's body is larger than {} bytes (POSTROOM_API_BODY_LIMIT): send fewer mails at once, or smaller \
             attachments",
            self.body_limit
        );
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "validation_error", message)
    }

    async fn read(&self, body: Body, announced: Option<usize>) -> Result<Payload, ApiError> {
        if announced.is_some_and(|bytes| bytes > self.body_limit) {
            return Err(self.too_large());
        }
        let mut held = Held { bytes: 0, permit: None };
        // All of it at once: of large bodies that come together, the first is read, where each would else take what the others
        // lack.
        held.grow_to(announced.unwrap_or(0), self)?;
        let mut read = Vec::with_capacity(announced.unwrap_or(0));
        let mut stream = body.into_data_stream();
        let begun = Instant::now();
        loop {
            let whole = self.timeout * PATIENCE + Duration::from_secs(read.len() as u64 / SLOWEST);
            let until = (Instant::now() + self.timeout).min(begun + whole);
            let piece = match tokio::time::timeout_at(until, stream.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => return Ok(held.payload(read, Instant::now() + self.timeout)),
                Ok(Some(Err(_))) => {
                    return Err(ApiError::new(
                        StatusCode::BAD_REQUEST,
                        "validation_error",
                        "the body ended early, or is not as its headers say",
                    ));
                }
                Err(_) => {
                    let message = "the body came too slowly (POSTROOM_API_TIMEOUT)";
                    return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "validation_error", message));
                }
            };
            if read.len() + piece.len() > self.body_limit {
                return Err(self.too_large());
            }
            held.grow_to(read.len() + piece.len(), self)?;
            read.extend_from_slice(&piece);
        }
    }
}

struct Held {
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn grow_to(&mut self, bytes: usize, memory: &Memory) -> Result<(), ApiError> {
        let whole = bytes - bytes % PIECE;
        if whole > self.bytes {
            let more = memory.take(whole - self.bytes)?;
            match (&mut self.permit, more) {
                (Some(permit), Some(more)) => permit.merge(more),
                (none @ None, more) => *none = more,
                (Some(_), None) => {}
            }
            self.bytes = whole;
        }
        Ok(())
    }

    fn payload(self, read: Vec<u8>, until: Instant) -> Payload {
        Payload { bytes: Bytes::from_owner(Owned { read, _permit: self.permit }), until }
    }
}

/// A body with its part of the memory. Whoever still has the bytes, such as a thread that reads them for a caller that has gone
/// away meanwhile, keeps that part taken.
struct Owned {
    read: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.read
    }
}

/// A request's body, and its part of the memory as long as it is held.
pub(crate) struct Payload {
    pub(crate) bytes: Bytes,
    /// When the request must be answered.
    pub(super) until: Instant,
}

impl Payload {
    /// The document in it, of a fixed shape.
    ///
    /// # Errors
    /// What is not as it must be, and where.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // Serde would take its entries for the fields, in their order.
        if self.bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::invalid("the request's body: this is a list, give an object"));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| ApiError::invalid(format!("the request's body: {error}")))
    }

    /// What `asked` comes to, as long as there is time for it; it must store nothing.
    ///
    /// # Errors
    /// If the time ran out.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::time::timeout_at(self.until, asked).await.map_err(|_| {
            ApiError::late()
                .stored(Stored::No)
                .said("it was not stored, hand it over again: Redis gave no answer in time (POSTROOM_API_TIMEOUT)")
        })
    }
}

impl FromRequest<Arc<App>> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let place = request.extensions().get::<Arc<Place>>().cloned();
        let length = request.headers().get(header::CONTENT_LENGTH);
        let announced = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let payload = app.memory.read(request.into_body(), announced).await?;
        if let Some(place) = place {
            place.busy();
        }
        Ok(payload)
    }
}
