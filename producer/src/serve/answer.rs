//! One request and its answer: whose turn it is, and the memory that an answer takes until its caller has read it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::body::Memory;
use super::crowd::Place;

/// Answers a request of the connection that has this place.
pub(super) async fn answer(
    router: Router,
    request: hyper::Request<Incoming>,
    place: Arc<Place>,
    memory: Memory,
) -> Result<Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    if request.body().is_end_stream() {
        place.busy();
    }
    request.extensions_mut().insert(Arc::clone(&place));
    let mut answered = pin!(router.oneshot(request));
    let mut waited = false;
    let response = poll_fn(|cx| {
        let answered = answered.as_mut().poll(cx);
        waited |= answered.is_pending();
        answered
    });
    let response = response.await?;
    if !waited {
        // Requests that wait for nothing, one behind the other on one connection, must leave others their turn.
        tokio::task::yield_now().await;
    }
    place.quiet();
    Ok(counted(response, &memory))
}

/// The answer, with its part of the memory; if there is none left, that is the answer.
fn counted(response: Response, memory: &Memory) -> Response {
    let bytes = HttpBody::size_hint(response.body()).lower();
    match memory.of_answer(usize::try_from(bytes).unwrap_or(usize::MAX)) {
        Ok(None) => response,
        Ok(Some(permit)) => response.map(|body| Body::new(Counted { body, _permit: permit })),
        Err(error) => error.into_response(),
    }
}

/// A body that keeps its part of the memory until it is written or given up.
struct Counted {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}
