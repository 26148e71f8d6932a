//! The program `postroom-worker`: settings, signals, run.

use std::process::ExitCode;

use clap::Parser;
use postroom_shared::telemetry::start_logging;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::run::Orders;
use crate::settings::Settings;

/// Sends the mail that waits in Redis through Gmail.
///
/// All settings come from the environment or from the TOML file that POSTROOM_CONFIG names; the README lists them.
/// SIGTERM or SIGINT: finish what runs, hand the rest back, exit 0. A second signal hurries.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

/// Runs until it is told to end, and tells how that ended.
pub fn main() -> ExitCode {
    Arguments::parse();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot start")]
fn complain(error: &anyhow::Error) {
    eprintln!("postroom-worker: {error:#}");
}

#[tokio::main]
async fn start() -> anyhow::Result<()> {
    let settings = Settings::from_process()?;
    start_logging(&settings.log).map_err(anyhow::Error::msg)?;
    let orders = Orders { stop: CancellationToken::new(), hurry: CancellationToken::new() };
    let (stop, hurry) = (orders.stop.clone(), orders.hurry.clone());
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        for order in [stop, hurry] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            order.cancel();
        }
    });
    // A task of its own: what `main` awaits itself runs outside of the runtime's threads.
    tokio::spawn(crate::run(settings, orders)).await?
}
