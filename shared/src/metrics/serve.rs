//! What `postroom serve` counts of its API, beside the gauges of the queue.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::queue::QueueGauges;
use super::{Bounds, Counters, Exemplar, TIMES, build_info, counter, names, shown};
use crate::queue::QueueFigures;

/// A route that is not in the document, whatever was asked for: a caller cannot make labels.
const OTHER: &str = "other";
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", OTHER];
const CLASSES: [&str; 3] = ["2xx", "4xx", "5xx"];

type RequestLabels = [(&'static str, String); 3];
type RouteLabel = [(&'static str, String); 1];
type Requests = Family<RequestLabels, Counter>;
type RequestSeconds = Family<RouteLabel, HistogramWithExemplars<Exemplar>, Bounds>;

/// One route, all of its labels made.
#[derive(Debug)]
struct Route {
    methods: Vec<(&'static str, [Counter; 3])>,
    seconds: HistogramWithExemplars<Exemplar>,
}

/// The metrics of `postroom serve`.
#[derive(Debug)]
pub struct ServeMetrics {
    registry: Registry,
    queue: Mutex<QueueGauges>,
    routes: HashMap<String, Route>,
    refusals: Counters<1>,
    /// Spans that were given up.
    pub spans_dropped: Counter,
}

impl ServeMetrics {
    /// All of them, at zero: for these methods and routes, and these names of refusals.
    #[must_use]
    pub fn new(version: &'static str, routes: &[(String, String)], refusals: &[&'static str]) -> Self {
        let mut registry = Registry::default();
        let all = &mut registry;
        build_info(all, "postroom", version);
        let (requests, seconds) = (Requests::default(), RequestSeconds::new_with_constructor(Bounds(TIMES)));
        all.register(names::API_REQUESTS.name, names::API_REQUESTS.help(), Family::clone(&requests));
        all.register(names::API_SECONDS.name, names::API_SECONDS.help(), Family::clone(&seconds));
        let mut made: HashMap<String, Route> = HashMap::new();
        let others = METHODS.map(|method| (method.to_owned(), OTHER.to_owned()));
        for (method, route) in routes.iter().chain(&others) {
            let Some(method) = METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(method)) else { continue };
            let entry = made.entry(route.clone()).or_insert_with(|| Route {
                methods: Vec::new(),
                seconds: seconds.get_or_create_owned(&[("route", route.clone())]),
            });
            entry.methods.push((method, CLASSES.map(|class| request(&requests, method, route, class))));
        }
        Self {
            queue: Mutex::new(QueueGauges::new(all)),
            routes: made,
            refusals: Counters::new(all, &names::API_REFUSALS, ["reason"], refusals.iter().map(|name| [*name])),
            spans_dropped: counter(all, &names::SPANS_DROPPED),
            registry,
        }
    }

    /// A request was answered. A route that is not known, or not with this method, counts as another. Redirections count
    /// among what was done.
    pub fn request(&self, method: &str, route: Option<&str>, status: u16, took: Duration, trace: Option<String>) {
        let class = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        let of = |route: &Route, method: &str| {
            route.methods.iter().find(|(known, _)| *known == method).map(|it| it.1[class].clone())
        };
        let known = route.and_then(|route| self.routes.get(route)).and_then(|route| Some((route, of(route, method)?)));
        let known = known.or_else(|| {
            let other = self.routes.get(OTHER)?;
            Some((other, of(other, method).or_else(|| of(other, OTHER))?))
        });
        let Some((route, counter)) = known else { return };
        counter.inc();
        route.seconds.observe(took.as_secs_f64(), trace.map(|trace| [("trace_id", trace)]), None);
    }

    /// A mail was refused at the door, with an error of this name.
    pub fn refused(&self, name: &'static str) {
        self.refusals.inc([name]);
    }

    /// The queue was read, which took so long.
    pub fn read(&self, figures: &QueueFigures, took: Duration) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).read(figures, took);
    }

    /// The queue could not be read.
    pub fn not_read(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).not_read();
    }

    /// All of them as OpenMetrics text.
    #[must_use]
    pub fn show(&self) -> String {
        // Held meanwhile, so that nobody sees the gauges half written.
        let _queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        shown(&self.registry)
    }
}

fn request(requests: &Requests, method: &str, route: &str, class: &str) -> Counter {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", class.to_owned())];
    requests.get_or_create_owned(&labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MOST_ACCOUNTS;
    use crate::queue::AccountFigures;
    use crate::reason::Reason;

    #[test]
    fn a_caller_makes_no_label() {
        let routes = [("post".to_owned(), "/emails".to_owned()), ("get".to_owned(), "/emails/{id}".to_owned())];
        let metrics = ServeMetrics::new("1.2.3", &routes, &["validation_error"]);
        let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        let before = metrics.show();
        let took = Duration::from_millis(3);
        metrics.request("POST", Some("/emails"), 200, took, None);
        metrics.request("BREW", Some("/emails"), 405, took, None);
        metrics.request("GET", Some("/strange/bob@example.org"), 404, took, None);
        metrics.request("GET", None, 503, took, Some("cd".repeat(16)));
        metrics.refused("validation_error");
        let after = metrics.show();
        assert_eq!(series(&before), series(&after));
        for expected in [
            "postroom_api_requests_total{method=\"POST\",route=\"/emails\",status=\"2xx\"} 1",
            "postroom_api_requests_total{method=\"other\",route=\"other\",status=\"4xx\"} 1",
            "postroom_api_requests_total{method=\"GET\",route=\"other\",status=\"4xx\"} 1",
            "postroom_api_requests_total{method=\"GET\",route=\"other\",status=\"5xx\"} 1",
            "postroom_api_refusals_total{reason=\"validation_error\"} 1",
            "postroom_redis_up 0",
        ] {
            assert!(after.contains(expected), "{expected}\n{after}");
        }
        assert!(!after.contains('@'), "{after}");
        // What is told of accounts is there with the first account.
        let of_accounts = [names::BUDGET.name, names::BUDGET_USED.name];
        for metric in names::SERVE.iter().chain(names::BOTH) {
            let told = after.contains(&format!("# HELP {} {}", metric.name, metric.what));
            assert_eq!(told, !of_accounts.contains(&metric.name), "{}", metric.name);
        }
    }

    #[test]
    fn accounts_are_told_by_hash_and_not_without_end() {
        let metrics = ServeMetrics::new("1.2.3", &[], &[]);
        let account = |n: u64| AccountFigures {
            account: format!("{n}@example.com").parse().unwrap(),
            waiting: [0, n, 0],
            slots_wanted: 1,
            held: (n == 1).then_some(Reason::Quota),
            limit: Some(500),
            used: n,
            oldest: [Duration::ZERO; 3],
        };
        let accounts: Vec<_> = (0..300).map(account).collect();
        let most = accounts[299].account.hashed();
        let figures = QueueFigures { accounts, ..QueueFigures::default() };
        metrics.read(&figures, Duration::from_millis(2));
        let shown = metrics.show();
        assert_eq!(shown.matches("postroom_budget_messages{").count(), MOST_ACCOUNTS);
        for expected in [
            format!("postroom_budget_messages_used{{account=\"{most}\"}} 299"),
            "postroom_slots_wanted 300".to_owned(),
            "postroom_jobs_held{reason=\"quota\"} 1".to_owned(),
            "postroom_accounts{held=\"no\"} 299".to_owned(),
            "postroom_redis_up 1".to_owned(),
        ] {
            assert!(shown.contains(&expected), "{expected}");
        }
        assert!(!shown.contains('@'));
        // An account that is gone is not told any more.
        metrics.read(&QueueFigures::default(), Duration::from_millis(2));
        metrics.not_read();
        let shown = metrics.show();
        assert!(!shown.contains(&most) && shown.contains("postroom_redis_up 0"), "{shown}");
    }
}
