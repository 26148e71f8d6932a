//! The demonstration: 200 mails of many kinds through two workers to the sandbox, and a table that compares our record
//! with what the server received. Exits 0 only if the two agree. Nothing leaves this machine.

mod check;
mod deliver;
mod kinds;
mod mails;
mod out;
mod stage;
mod table;
mod trouble;

use std::process::ExitCode;

use clap::Parser;
use postroom_it::binary;
use tokio::signal::unix::{SignalKind, signal};

use crate::stage::Stage;

/// Sends 200 mails through Postroom to a stand-in for Gmail and checks that every one of them arrived once.
#[derive(Parser)]
#[command(name = "postroom-demo", version)]
struct Arguments {
    /// Stay up afterwards, to look around by hand, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.keep).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out::complain(&format!("the demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(keep: bool) -> anyhow::Result<bool> {
    for name in ["postroom-worker", "postroom"] {
        binary(name)?;
    }
    out::say("Postroom's demo: a private Redis, a stand-in for Gmail, three accounts, two workers, 200 mails.");
    out::say("Retries are shortened for the demo: POSTROOM_RETRY_BASE=200ms, POSTROOM_RETRY_CAP=2s.");
    let mut stage = Stage::build().await?;
    let handed = deliver::all(&mut stage).await?;
    let findings = check::compare(&stage, &handed).await?;
    table::print(&stage, &findings);
    if keep {
        // Ctrl-C in a terminal reaches Redis and the workers too: what is left of them is dropped, not stopped in order.
        stay(&stage).await?;
    } else {
        stage.close().await?;
    }
    Ok(findings.differences.is_empty())
}

async fn stay(stage: &Stage) -> anyhow::Result<()> {
    // Before anything is announced: a signal right after must already be heard.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let file = stage.write_exports()?;
    let postroom = binary("postroom")?;
    out::say("");
    out::say(&format!("Still up. The mail that the server took: {}", stage.rig.sandbox.page_url()));
    out::say("In another terminal:");
    out::say(&format!("  . {}", file.display()));
    out::say(&format!("  {} mail list --state dead", postroom.display()));
    out::say(&format!("  {} queue stats", postroom.display()));
    out::say("Ctrl-C ends it and leaves nothing behind.");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
