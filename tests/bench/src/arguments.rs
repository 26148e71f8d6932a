//! The flags, and what they mean.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures Postroom against a loop without a queue; aims are those of docs: see the last column.
#[derive(Debug, Parser)]
#[command(name = "postroom-bench", version)]
pub(crate) struct Arguments {
    /// What to measure; default all
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Mails of the throughput
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    pub(crate) mails: u32,
    /// Accounts that send them, each over three connections
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) accounts: u32,
    /// Slots of the one worker (POSTROOM_CONCURRENCY)
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) slots: u32,
    /// How often queue and loop are measured, in turns; the best of each counts
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) rounds: u32,
    /// The least ratio of the throughput for which the bench exits with 0
    #[arg(long, value_name = "RATIO", default_value_t = 0.3)]
    pub(crate) least_ratio: f64,
    /// The least ratio of the API for which the bench exits with 0
    #[arg(long, value_name = "RATIO", default_value_t = 0.5)]
    pub(crate) least_api_ratio: f64,
    /// Serve as the floor of the API, over this Redis
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) floor_of: Option<String>,
    /// Where to write the raw figures
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What can be measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Mails a second, beside a loop without a queue, and what they cost
    Throughput,
    /// From the call to the server, one mail at a time
    Latency,
    /// A server that takes 250 ms to reply
    Slow,
    /// Mails a second over HTTP, beside a handler that does one SET
    Api,
}

impl Part {
    /// Its heading.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::Slow => "slow server",
            Self::Api => "API",
        }
        .to_owned()
    }
}

impl Arguments {
    /// The parts that were asked for, each once, in their order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let all = [Part::Throughput, Part::Latency, Part::Slow, Part::Api];
        all.into_iter().filter(|part| self.parts.is_empty() || self.parts.contains(part)).collect()
    }
}
