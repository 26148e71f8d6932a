//! The demonstration: 200 mails of many kinds through two workers to the sandbox, and a table that compares our record
//! with what the server received. Exits 0 only if the two agree. Nothing leaves this machine.

mod by_hand;
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

use crate::stage::Stage;

/// Sends 200 mails through Postroom to a stand-in for Gmail and checks that every one of them arrived once.
#[derive(Parser)]
#[command(name = "postroom-demo", version)]
struct Arguments {
    /// Stay up afterwards, to look around by hand, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// No mails: only start everything, and stay up until Ctrl-C
    #[arg(long, conflicts_with = "keep")]
    by_hand: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out::complain(&format!("the demo failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    for name in ["postroom-worker", "postroom"] {
        binary(name)?;
    }
    if arguments.by_hand {
        let stage = Stage::build().await?;
        return by_hand::stay(&stage).await.map(|()| true);
    }
    out::say("Postroom's demo: a private Redis, a stand-in for Gmail, three accounts, two workers, 200 mails.");
    out::say("Retries are shortened for the demo: POSTROOM_RETRY_BASE=200ms, POSTROOM_RETRY_CAP=2s.");
    let mut stage = Stage::build().await?;
    trouble::prepare(&stage.rig.sandbox)?;
    let handed = deliver::all(&mut stage).await?;
    let findings = check::compare(&stage, &handed).await?;
    table::print(&stage, &findings);
    if arguments.keep {
        // Ctrl-C in a terminal reaches Redis and the workers too: what is left of them is dropped, not stopped in order.
        by_hand::stay(&stage).await?;
    } else {
        stage.close().await?;
    }
    Ok(findings.differences.is_empty())
}
