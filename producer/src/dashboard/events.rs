//! Live pages: one stream of server-sent events a page. It tells new numbers, a part of the page anew, or that something changed.
//!
//! A stream reads nothing itself (`watch` does, for all of them), and ends with the session and with the server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderName;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Map, Value};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::bits::count;
use super::form::Form;
use super::visitor::Visitor;
use super::watch::{Snapshot, Watched};
use super::{Dashboard, accounts, overview, workers};

/// How often a page hears, at most.
const EVERY: Duration = Duration::from_secs(1);

/// What a page shows that changes by itself.
enum Kind {
    /// A part that is told anew.
    Part(fn(&Snapshot, &Visitor) -> maud::Markup),
    /// One mail: the page asks for itself again.
    Mail(Option<Watched>),
    /// A list: the page says that there is more.
    List,
}

struct Stream {
    dashboard: Arc<Dashboard>,
    visitor: Visitor,
    kind: Kind,
    ticks: Interval,
    numbers: String,
    /// What was told last: a part, or what marks a state.
    last: Option<String>,
    ready: VecDeque<Event>,
}

/// The stream of a page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::of_query(query);
    let kind = match form.get("page") {
        Some("overview") => Kind::Part(overview::part),
        Some("accounts") => Kind::Part(accounts::part),
        Some("workers") => Kind::Part(workers::part),
        Some("mail") => Kind::Mail(form.get("id").and_then(|id| dashboard.watch.watch(id.parse().ok()?))),
        Some(_) | None => Kind::List,
    };
    // What a mail was like when its page was made.
    let last = form.get("mark").filter(|_| matches!(kind, Kind::Mail(_))).map(str::to_owned);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Stream { dashboard, visitor, kind, ticks, numbers: String::new(), last, ready: VecDeque::new() };
    let events = stream::unfold(begun, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    // Proxies that gather answers before they hand them on shall not.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events).keep_alive(KeepAlive::default())).into_response()
}

impl Stream {
    /// The next event; `None`: the session or the server ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            self.ticks.tick().await;
            let app = &self.dashboard.app;
            if app.is_stopping() {
                return None;
            }
            app.keys.recall(&self.visitor.caller.key.id).await.ok()?;
            // While Redis is away there is nothing to tell.
            if let Ok(snapshot) = self.dashboard.watch.snapshot().await {
                self.tell(&snapshot);
            }
        }
    }

    fn tell(&mut self, snapshot: &Snapshot) {
        let numbers = numbers(snapshot);
        if numbers != self.numbers {
            self.ready.push_back(Event::default().event("numbers").data(&numbers));
        }
        let (mark, name) = match &self.kind {
            // A carriage return would end a line of the stream.
            Kind::Part(part) => (Some(part(snapshot, &self.visitor).into_string().replace('\r', " ")), "part"),
            Kind::Mail(watched) => (watched.as_ref().and_then(|watched| snapshot.mark(watched.id)), "again"),
            Kind::List => (Some(numbers.clone()), "changed"),
        };
        self.numbers = numbers;
        // Nothing is known of a mail in the first moment, or any more.
        if mark == self.last || mark.is_none() {
            return;
        }
        let is_first = self.last.is_none();
        let data = match &self.kind {
            Kind::Part(_) => mark.clone().unwrap_or_default(),
            Kind::Mail(_) | Kind::List => String::new(),
        };
        self.last = mark;
        // The page itself told what a mail or a list was like at first.
        if !is_first || name == "part" {
            self.ready.push_back(Event::default().event(name).data(data));
        }
    }
}

/// The numbers that pages show, ready to be shown, as JSON by their names.
fn numbers(snapshot: &Snapshot) -> String {
    let states = snapshot.totals.states.iter().map(|(state, number)| (state.as_str(), *number));
    let others =
        [("waiting", snapshot.waiting()), ("lately", snapshot.died.count), ("workers", snapshot.workers.len() as u64)];
    let all: Map<String, Value> =
        states.chain(others).map(|(name, number)| (name.to_owned(), Value::from(count(number)))).collect();
    Value::Object(all).to_string()
}
