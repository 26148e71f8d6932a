//! What a program tells of itself while it runs: log lines, traces, probes. Its metrics stand in `metrics`.
//!
//! Nothing in here ever holds up a mail, and nothing in here holds an address. Read `context` and `steps` first: they are what
//! the queue and the SMTP dialogue know of traces; `traces` and what follows belong to programs that run for long.

pub mod context;
mod logging;
pub mod names;
mod steps;

#[cfg(feature = "telemetry")]
mod exporter;
#[cfg(feature = "telemetry")]
pub mod probe;
#[cfg(feature = "telemetry")]
mod settings;
#[cfg(feature = "telemetry")]
pub mod span;
#[cfg(feature = "telemetry")]
mod traces;

pub use context::TraceContext;
pub use logging::start_logging;
pub use steps::{Step, Steps};

#[cfg(feature = "telemetry")]
pub use self::{
    settings::{Protocol, Sampler, TraceSettings},
    traces::Traces,
};
