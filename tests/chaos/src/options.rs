//! The command line.

use clap::Parser;

/// The seed of the short form that never changes; beside it a fresh one is tried.
pub(crate) const FIXED_SEED: u64 = 1;

/// Mixes faults by seed while mail is handed over, then checks that every mail was sent once or is dead with a true reason.
#[derive(Debug, Clone, Parser)]
#[command(name = "postroom-chaos", version)]
pub(crate) struct Options {
    /// The seed of the one run; without it there are two runs, one of seed 1 and one of a fresh seed that is printed
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Seconds for which faults are injected; draining and checking come on top
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Goes on until so many workers were killed, however long that takes, instead of --seconds
    #[arg(long)]
    pub(crate) kills: Option<u64>,
    /// Workers that run at once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub(crate) workers: u64,
    /// Accounts that send, besides the one with a small limit
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) accounts: u64,
    /// Mails that are handed over at most
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) mails: u64,
}

impl Options {
    /// The seeds to run.
    pub(crate) fn seeds(&self) -> anyhow::Result<Vec<u64>> {
        match self.seed {
            Some(seed) => Ok(vec![seed]),
            None => {
                Ok(vec![FIXED_SEED, u64::from(getrandom::u32().map_err(|error| anyhow::anyhow!("no seed: {error}"))?)])
            }
        }
    }

    /// The command that repeats a run.
    pub(crate) fn command(&self, seed: u64) -> String {
        let mut command =
            format!("make chaos ARGS=\"--seed {seed} --workers {} --accounts {}", self.workers, self.accounts);
        match self.kills {
            Some(kills) => command.push_str(&format!(" --kills {kills}")),
            None => command.push_str(&format!(" --seconds {}", self.seconds)),
        }
        if self.mails < u64::MAX {
            command.push_str(&format!(" --mails {}", self.mails));
        }
        command + "\""
    }
}
