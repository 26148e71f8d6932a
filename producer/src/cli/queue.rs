//! `postroom queue`: what waits where.

use clap::Subcommand;
use postroom_shared::queue::{LaneStats, QueueStats};

use super::account::when;
use super::output::Out;
use super::table::Table;
use super::{Context, Failure};

/// The queue at a glance.
#[derive(Subcommand)]
pub(crate) enum Queue {
    /// Mails by state, workers, and each account's lane
    #[command(after_help = "Examples:\n  postroom queue stats\n  postroom queue stats --json | jq .states.ready")]
    Stats {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(command: Queue, context: &mut Context) -> Result<(), Failure> {
    match command {
        Queue::Stats { json } => {
            let stats = context.queue().stats().await?;
            if json { context.out.json(&stats) } else { print(&stats, &mut context.out) }
        }
    }
}

fn print(stats: &QueueStats, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::plain();
    for state in postroom::MailState::ALL {
        table.pair(state.as_str(), stats.states.get(state.as_str()).copied().unwrap_or(0));
    }
    table.pair("workers", stats.workers);
    table.pair("doubled", stats.doubled);
    table.pair("leases lost", stats.leases_lost);
    table.pair("dead bytes", stats.dead_bytes);
    table.pair("dead dropped", stats.dead_dropped);
    table.pair("dead expired", stats.dead_expired);
    table.print(out, "")?;
    if stats.lanes.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut lanes = Table::new(&["ACCOUNT", "URGENT", "NORMAL", "BULK", "PERMITS", "HELD"]);
    for lane in &stats.lanes {
        let [urgent, normal, bulk] = waiting(lane);
        let held = lane.account.hold().map(|hold| format!("{}, {}", hold.reason.as_str(), when(hold)));
        lanes.row([
            format!("{}{}", lane.account.id.reveal(), if lane.account.id.is_test() { " (test mode)" } else { "" }),
            urgent.to_string(),
            normal.to_string(),
            bulk.to_string(),
            lane.permits.to_string(),
            held.unwrap_or_default(),
        ]);
    }
    lanes.print(out, "")
}

/// Entries waiting in a lane: urgent, normal, bulk.
pub(super) fn waiting(lane: &LaneStats) -> [u64; 3] {
    postroom::Priority::ALL.map(|priority| lane.waiting.get(priority.as_str()).copied().unwrap_or(0))
}
