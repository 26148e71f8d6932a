//! The program `postroom`: the command line. Each command is one file (or folder) of `cli`.
//!
//! Secrets never come from an argument's value, and no error shows an address in the clear.

use std::process::ExitCode;

use clap::Parser;

use crate::cli;
use crate::cli::{Cli, Command, Context, Failure, output};

/// Reads the arguments, does what they say, and tells how that ended.
#[tokio::main]
pub async fn main() -> ExitCode {
    let command = Cli::parse().command;
    match run(command).await {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Failed(why)) => {
            output::complain(format!("postroom: {why}"));
            ExitCode::FAILURE
        }
        Err(Failure::Misused(why)) => {
            output::complain(format!("postroom: {why}"));
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    if let Command::Explain(command) = &command {
        return cli::explain::run(command);
    }
    if let Command::Doctor(command) = &command {
        return cli::doctor::run(command).await;
    }
    if let Command::Serve(command) = &command {
        return cli::serve::run(command, cli::read_settings()?).await;
    }
    let mut context = Context::open().await?;
    match command {
        Command::Send(command) => cli::send::run(&command, &mut context).await?,
        Command::Mail(command) => cli::mail::run(command, &mut context).await?,
        Command::Account(command) => cli::account::run(command, &mut context).await?,
        Command::Dead(command) => cli::dead::run(command, &mut context).await?,
        Command::Pool(command) => cli::pool::run(command, &mut context).await?,
        Command::Template(command) => cli::template::run(command, &mut context).await?,
        Command::Key(command) => cli::key::run(command, &mut context).await?,
        Command::Queue(command) => cli::queue::run(command, &mut context).await?,
        Command::Audit(command) => cli::audit::run(command, &mut context).await?,
        // Answered above: these need no connection to Redis to begin with.
        Command::Explain(_) | Command::Doctor(_) | Command::Serve(_) => {}
    }
    context.out.flush()
}
