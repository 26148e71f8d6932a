//! What the API counts and traces of its requests, and the metrics that it shows: its own, and the gauges of the queue.
//!
//! Redis is read for the gauges once in five seconds at most, whoever asks and how often. Nobody who hands a mail over waits
//! for any of this.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use postroom_shared::id::MailId;
use postroom_shared::metrics::ServeMetrics;
use postroom_shared::queue::Queue;
use postroom_shared::telemetry::names::{self, attribute};
use postroom_shared::telemetry::probe::Show;
use postroom_shared::telemetry::span::{Clock, Kind, Over, pair};
use postroom_shared::telemetry::{TraceContext, Traces};
use tokio::sync::Mutex;
use utoipa::openapi::path::PathItem;

use super::app::App;
use super::error::{ErrorName, NAMES};

/// The gauges of the queue are as old as this at most.
const FRESH: Duration = Duration::from_secs(5);
/// Whoever asks for metrics waits no longer for Redis.
const REDIS_WITHIN: Duration = Duration::from_secs(3);
/// Where mail is handed over.
const HANDING_OVER: [&str; 2] = ["/emails", "/emails/batch"];

/// The span in which mails are handed over, in a request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door(pub(super) Option<TraceContext>);

/// What was handed over, in an answer's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandedOver {
    pub(super) mails: usize,
    /// If it was one.
    pub(super) id: Option<MailId>,
}

/// All metrics, at zero, for every route of the document.
pub(super) fn metrics() -> Arc<ServeMetrics> {
    let document = super::document();
    let of = |(path, item): (&String, &PathItem)| {
        let methods = [
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ];
        let path = path.clone();
        methods.into_iter().filter(|(_, is_there)| *is_there).map(move |(method, _)| (method.to_owned(), path.clone()))
    };
    let routes: Vec<(String, String)> = document.paths.paths.iter().flat_map(of).collect();
    Arc::new(ServeMetrics::new(env!("CARGO_PKG_VERSION"), &routes, &NAMES))
}

/// Counts a request, and traces it if mail is handed over.
pub(super) async fn watched<F>(app: &App, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let route = path.as_ref().map(MatchedPath::as_str);
    let hands_over = method == Method::POST && route.is_some_and(|route| HANDING_OVER.contains(&route));
    let before = if hands_over { traceparent(request.headers()) } else { None };
    let own = if hands_over { open(&app.traces, before) } else { None };
    request.extensions_mut().insert(Door(own.or(before)));
    let response = next(request).await;
    let status = response.status().as_u16();
    let error = response.extensions().get::<ErrorName>().map(|name| name.0);
    let recorded = own.filter(|own| own.sampled || status >= 500);
    let trace = recorded.map(|own| own.trace_id());
    app.metrics.request(method.as_str(), route, status, began.elapsed(), trace);
    if let Some(name) = error.filter(|_| hands_over) {
        app.metrics.refused(NAMES.into_iter().find(|known| *known == name).unwrap_or("other"));
    }
    if let Some(own) = recorded {
        let handed_over = response.extensions().get::<HandedOver>().copied();
        record(&app.traces, own, before, began, handed_over, error);
    }
    response
}

/// What the caller says of its own trace.
fn traceparent(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get("traceparent")?.to_str().ok()?)
}

fn open(traces: &Traces, before: Option<TraceContext>) -> Option<TraceContext> {
    match before {
        Some(parent) => traces.follow(parent),
        None => traces.begin(None),
    }
}

fn record(
    traces: &Traces,
    own: TraceContext,
    before: Option<TraceContext>,
    began: Instant,
    handed_over: Option<HandedOver>,
    error: Option<&'static str>,
) {
    let clock = Clock::read();
    let mut attributes = vec![
        pair(attribute::SYSTEM, "postroom"),
        pair(attribute::OPERATION, "send"),
        pair(attribute::OPERATION_TYPE, "send"),
        pair(attribute::DESTINATION, names::DESTINATION),
    ];
    if let Some(HandedOver { mails, id }) = handed_over {
        match id {
            Some(id) => attributes.push(pair(attribute::MESSAGE, id.to_string())),
            None => attributes.push(pair(attribute::BATCH, i64::try_from(mails).unwrap_or(i64::MAX))),
        }
    }
    let times = (clock.at(began), clock.at(Instant::now()));
    let span = Over {
        context: own,
        parent: before.map(|parent| parent.span),
        parent_is_remote: before.is_some(),
        kind: Kind::Producer,
        attributes,
        failed: error,
        ..Over::child(own, names::SEND, times)
    };
    traces.record(vec![span.into_data(&traces.scope())]);
}

/// The text of `/metrics`.
pub(super) fn show(metrics: &Arc<ServeMetrics>, queue: &Arc<OnceLock<Queue>>) -> Show {
    let (metrics, queue) = (Arc::clone(metrics), Arc::clone(queue));
    let last_read = Arc::new(Mutex::new(None));
    Arc::new(move || {
        let (metrics, queue, last_read) = (Arc::clone(&metrics), Arc::clone(&queue), Arc::clone(&last_read));
        Box::pin(async move {
            // Until Redis is reached its gauges stay as they were born: `postroom_redis_up` 0.
            if let Some(queue) = queue.get() {
                read_if_old(&metrics, queue, &last_read).await;
            }
            metrics.show()
        })
    })
}

/// One reads, whoever else asks meanwhile waits for it.
async fn read_if_old(metrics: &ServeMetrics, queue: &Queue, last_read: &Mutex<Option<Instant>>) {
    let mut last_read = last_read.lock().await;
    if last_read.is_some_and(|at| at.elapsed() < FRESH) {
        return;
    }
    let began = Instant::now();
    match tokio::time::timeout(REDIS_WITHIN, queue.figures()).await {
        Ok(Ok(figures)) => metrics.read(&figures, began.elapsed()),
        Ok(Err(error)) => {
            metrics.not_read();
            tracing::warn!(%error, "the queue cannot be read for its metrics");
        }
        Err(_) => {
            metrics.not_read();
            tracing::warn!(timeout_ms = REDIS_WITHIN.as_millis(), "Redis gives no answer for the metrics of the queue");
        }
    }
    *last_read = Some(Instant::now());
}
