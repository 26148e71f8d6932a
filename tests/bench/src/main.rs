//! What Postroom costs and how quick it is, as ratios against a loop without a queue: everything in one run, on one
//! machine, against the same server. Exits 1 if the ratio of the throughput is below its aim.

mod api;
mod arguments;
mod clock;
mod commands;
mod corpus;
mod enqueue;
mod figures;
mod floor;
mod http;
mod latency;
mod measure;
mod out;
mod server;
mod session;
mod slow;
mod stand;
mod throughput;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::arguments::{Arguments, Part};
use crate::figures::Figures;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A task of its own, as in an app: what `main` awaits itself runs beside the runtime's threads, not on them.
    match tokio::spawn(run(arguments)).await.map_err(anyhow::Error::from).flatten() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out::complain(&format!("the bench failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    if let Some(redis) = &arguments.floor_of {
        return api::floor::serve(redis).await.map(|()| true);
    }
    if cfg!(debug_assertions) {
        out::say("This is a debug build: its figures mean nothing. `make bench` builds for release.");
    }
    let mut figures = Figures::default();
    for part in arguments.parts() {
        out::say(&format!("{} …", part.title()));
        match part {
            Part::Throughput => throughput::run(&arguments, &mut figures).await,
            Part::Latency => latency::run(&mut figures).await,
            Part::Slow => slow::run(&mut figures).await,
            Part::Api => api::run(&arguments, &mut figures).await,
        }
        .with_context(|| part.title())?;
    }
    figures.print();
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&figures.to_json())?;
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(figures.must_hold())
}
