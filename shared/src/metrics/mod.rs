//! Metrics: what a program counts of itself, and how that is shown as OpenMetrics text.
//!
//! Names and helps stand in `names`. Labels are words of closed lists, so that every set of them is there from the beginning,
//! at zero, and none ever holds an address. No other file makes a metric: clippy.toml says so.

#![expect(clippy::disallowed_methods, reason = "this is the one place that makes metrics")]

pub mod names;
mod queue;
mod serve;
mod worker;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use names::Metric;
pub use queue::{MOST_ACCOUNTS, QueueGauges};
pub use serve::ServeMetrics;
pub use worker::{Gauged, WorkerMetrics};

/// How OpenMetrics text is called in HTTP.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a millisecond to a quarter of an hour, for what a mail waits for.
const WAITS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
/// For what takes from a tenth of a millisecond to minutes.
const TIMES: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Exemplar = [(&'static str, String); 1];

/// A counter for each set of words.
#[derive(Debug, Clone)]
struct Counters<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Counter>,
}

fn labels<const N: usize>(names: [&'static str; N], words: [&'static str; N]) -> Labels<N> {
    std::array::from_fn(|at| (names[at], words[at]))
}

impl<const N: usize> Counters<N> {
    fn new(
        registry: &mut Registry,
        metric: &Metric,
        names: [&'static str; N],
        born: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Self {
        let family = Family::<Labels<N>, Counter>::default();
        registry.register(metric.name, metric.help(), family.clone());
        for words in born {
            drop(family.get_or_create(&labels(names, words)));
        }
        Self { names, family }
    }

    fn add(&self, words: [&'static str; N], by: u64) {
        self.family.get_or_create(&labels(self.names, words)).inc_by(by);
    }

    fn inc(&self, words: [&'static str; N]) {
        self.add(words, 1);
    }

    /// Brings a counter up to a sum that is counted elsewhere.
    fn raise_to(&self, words: [&'static str; N], sum: u64) {
        let counter = self.family.get_or_create(&labels(self.names, words));
        counter.inc_by(sum.saturating_sub(counter.get()));
    }
}

/// A gauge for each set of words.
#[derive(Debug, Clone)]
struct Gauges<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

impl<const N: usize> Gauges<N> {
    fn new(
        registry: &mut Registry,
        metric: &Metric,
        names: [&'static str; N],
        born: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Self {
        let family = Family::default();
        registry.register(metric.name, metric.help(), Family::clone(&family));
        let gauges = Self { names, family };
        born.into_iter().for_each(|words| gauges.set(words, 0.0));
        gauges
    }

    fn set(&self, words: [&'static str; N], value: f64) {
        self.family.get_or_create(&labels(self.names, words)).set(value);
    }
}

/// A single gauge.
#[derive(Debug, Clone, Default)]
struct Level(Gauge<f64, std::sync::atomic::AtomicU64>);

impl Level {
    fn new(registry: &mut Registry, metric: &Metric) -> Self {
        let level = Self::default();
        registry.register(metric.name, metric.help(), level.0.clone());
        level
    }

    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

/// The bounds of a histogram.
#[derive(Debug, Clone, Copy)]
struct Bounds(&'static [f64]);

impl MetricConstructor<HistogramWithExemplars<Exemplar>> for Bounds {
    fn new_metric(&self) -> HistogramWithExemplars<Exemplar> {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

/// A histogram for each set of words, in seconds.
#[derive(Debug, Clone)]
struct Histograms<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, HistogramWithExemplars<Exemplar>, Bounds>,
}

impl<const N: usize> Histograms<N> {
    fn new(
        registry: &mut Registry,
        metric: &Metric,
        names: [&'static str; N],
        bounds: &'static [f64],
        born: impl IntoIterator<Item = [&'static str; N]>,
    ) -> Self {
        let family = Family::new_with_constructor(Bounds(bounds));
        registry.register(metric.name, metric.help(), Family::clone(&family));
        for words in born {
            drop(family.get_or_create(&labels(names, words)));
        }
        Self { names, family }
    }

    fn observe(&self, words: [&'static str; N], seconds: f64, trace: Option<String>) {
        let exemplar = trace.map(|trace| [("trace_id", trace)]);
        self.family.get_or_create(&labels(self.names, words)).observe(seconds, exemplar, None);
    }
}

fn counter(registry: &mut Registry, metric: &Metric) -> Counter {
    let counter = Counter::default();
    registry.register(metric.name, metric.help(), Counter::clone(&counter));
    counter
}

fn histogram(registry: &mut Registry, metric: &Metric, bounds: &'static [f64]) -> HistogramWithExemplars<Exemplar> {
    let histogram = Bounds(bounds).new_metric();
    registry.register(metric.name, metric.help(), HistogramWithExemplars::clone(&histogram));
    histogram
}

fn build_info(registry: &mut Registry, program: &'static str, version: &'static str) {
    Gauges::new(registry, &names::BUILD_INFO, ["program", "version"], []).set([program, version], 1.0);
}

/// The registry as OpenMetrics text.
fn shown(registry: &Registry) -> String {
    let mut text = String::with_capacity(64 << 10);
    match prometheus_client::encoding::text::encode(&mut text, registry) {
        Ok(()) => text,
        // Writing into a text does not fail; a scrape that is empty tells of itself.
        Err(std::fmt::Error) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list as docs/telemetry.md shows it.
    fn table(list: &[&Metric], shown: &str) -> String {
        let row = |metric: &&Metric| {
            let counts = shown.contains(&format!("# TYPE {} counter", metric.name));
            let suffix = if counts { "_total" } else { "" };
            format!("| `{}{suffix}` | {} | {} | {} |", metric.name, metric.what, metric.spike, metric.rise)
        };
        list.iter().map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_docs_tell_what_the_help_tells() {
        let docs = include_str!("../../../docs/telemetry.md");
        let worker = WorkerMetrics::new("0").show(Gauged::default());
        let serve = ServeMetrics::new("0", &[], &["validation_error"]).show();
        for (list, shown) in [(names::BOTH, &worker), (names::WORKER, &worker), (names::SERVE, &serve)] {
            let table = table(list, shown);
            assert!(docs.contains(&table), "docs/telemetry.md has to show:\n{table}");
        }
    }
}
