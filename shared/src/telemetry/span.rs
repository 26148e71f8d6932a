//! A span that is over, in the SDK's form: built from times that were put down, when it is known that it is wanted.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::context::TraceContext;
use super::names::attribute;
use super::steps::Step;
pub use super::traces::new_span;
use crate::clock::Millis;

/// Turns moments of this process's steady clock into times of day: all of one trace by the same reading of both.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    moment: Instant,
    time: SystemTime,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { moment: Instant::now(), time: UNIX_EPOCH + Duration::from_millis(Millis::now().0) }
    }

    /// When that was.
    #[must_use]
    pub fn at(&self, moment: Instant) -> SystemTime {
        match self.moment.checked_duration_since(moment) {
            Some(ago) => self.time.checked_sub(ago).unwrap_or(UNIX_EPOCH),
            None => self.time + moment.duration_since(self.moment),
        }
    }
}

/// A span that is over.
#[derive(Debug)]
pub struct Over {
    /// Its place.
    pub context: TraceContext,
    /// The span above it in this trace.
    pub parent: Option<[u8; 8]>,
    /// Whether that is another program's.
    pub parent_is_remote: bool,
    /// What sort it is.
    pub kind: SpanKind,
    /// What was done.
    pub name: &'static str,
    /// From and to.
    pub times: (SystemTime, SystemTime),
    /// More of it.
    pub attributes: Vec<KeyValue>,
    /// Spans of other traces that led to it.
    pub links: Vec<TraceContext>,
    /// The reason's word, of what failed.
    pub failed: Option<&'static str>,
}

impl Over {
    /// One within another, of this program.
    #[must_use]
    pub fn child(of: TraceContext, name: &'static str, times: (SystemTime, SystemTime)) -> Self {
        Self {
            context: TraceContext { span: new_span(), ..of },
            parent: Some(of.span),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            name,
            times,
            attributes: Vec::new(),
            links: Vec::new(),
            failed: None,
        }
    }

    /// A step that was put down, with what the server said.
    #[must_use]
    pub fn step(of: TraceContext, step: &Step, clock: &Clock) -> Self {
        let mut span = Self::child(of, step.what, (clock.at(step.began), clock.at(step.ended)));
        if let Some(code) = step.code {
            span.kind = SpanKind::Client;
            span.attributes.push(KeyValue::new(attribute::CODE, i64::from(code)));
        }
        if let Some(enhanced) = step.enhanced {
            span.attributes.push(KeyValue::new(attribute::ENHANCED, enhanced.to_string()));
        }
        span.failed = step.failed.then_some("refused");
        span
    }

    /// In the SDK's form.
    #[must_use]
    pub fn into_data(self, scope: &InstrumentationScope) -> SpanData {
        let mut links = SpanLinks::default();
        links.links = self.links.into_iter().map(|link| Link::new(context(link, true), Vec::new(), 0)).collect();
        let mut attributes = self.attributes;
        if let Some(reason) = self.failed {
            attributes.push(KeyValue::new(attribute::ERROR, reason));
        }
        SpanData {
            // What is exported is recorded, whatever was drawn before it failed.
            span_context: context(TraceContext { sampled: true, ..self.context }, false),
            parent_span_id: self.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: self.parent_is_remote,
            span_kind: self.kind,
            name: Cow::Borrowed(self.name),
            start_time: self.times.0,
            end_time: self.times.1.max(self.times.0),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.failed.map_or(Status::Unset, Status::error),
            instrumentation_scope: scope.clone(),
        }
    }
}

fn context(it: TraceContext, is_remote: bool) -> SpanContext {
    let flags = if it.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(
        TraceId::from_bytes(it.trace),
        SpanId::from_bytes(it.span),
        flags,
        is_remote,
        TraceState::default(),
    )
}

/// An attribute.
#[must_use]
pub fn pair(name: &'static str, value: impl Into<Value>) -> KeyValue {
    KeyValue::new(name, value)
}

// So that no other crate needs the SDK's own.
pub use opentelemetry::KeyValue as Pair;
pub use opentelemetry::trace::SpanKind as Kind;
