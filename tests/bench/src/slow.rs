//! A server that takes 250 ms to reply, and 500 mails under way at once: what waiting costs.

use std::time::Duration;

use crate::corpus;
use crate::figures::{Aim, Figures};
use crate::measure::rate_between;
use crate::server::Server;
use crate::stand::{PATIENCE, Stand};

const PART: &str = "slow server";
/// Mails under way at once.
const SLOTS: u32 = 500;
/// Accounts: with three connections each, a few more than there are slots.
const ACCOUNTS: usize = 170;
const MAILS: usize = 10_000;
/// 500 slots, 250 ms each.
const IDEAL: f64 = 2_000.0;
/// Memory is looked at so often.
const LOOK: Duration = Duration::from_millis(100);

/// Measures.
pub(crate) async fn run(figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start(&["--latency", "250ms"]).await?;
    let stand = Stand::build(&server, ACCOUNTS).await?;
    let mails = (0..MAILS).map(|number| corpus::mail(number, ACCOUNTS)).collect::<Vec<_>>();
    for sent in stand.client.send_many(mails).await {
        sent?;
    }
    let mut worker = stand.worker(SLOTS).await?;
    let mut resident = Vec::new();
    let began = std::time::Instant::now();
    while server.stats().await?["mails_accepted"].as_u64().unwrap_or(0) < MAILS as u64 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the mails were not all received after {PATIENCE:?}");
        resident.push(worker.resident_kib()? as f64 / 1_024.0);
        tokio::time::sleep(LOOK).await;
    }
    stand.wait_for_settled(MAILS).await?;
    let (cpu, peak) = (worker.cpu_seconds()?, worker.peak_resident_kib()? as f64 / 1_024.0);
    let sessions = server.stats().await?["max_connections"].as_u64().unwrap_or(0);
    worker.stop().await?;
    let received = server.received_ms(MAILS).await?;
    let middle = rate_between(&received, 0.1, 0.9);
    let note = format!("from a tenth to nine tenths of {MAILS} mails; ideal {IDEAL}");
    figures.aim(PART, "mails/s", middle, Aim::Least(1_950.0), note);
    figures.tell(
        PART,
        "mails/s, first to last",
        rate_between(&received, 0.0, 1.0),
        "logins and the last round included",
    );
    figures.tell(PART, "of the ideal", middle / IDEAL, format!("{sessions} connections at most"));
    let usual = crate::measure::percentile(&crate::measure::sorted(resident), 0.5);
    figures.aim(
        PART,
        "peak RSS of the worker, MiB",
        peak,
        Aim::Most(30.0),
        format!("{usual:.1} in the middle of the run"),
    );
    figures.tell(PART, "worker CPU s per 10,000 mails", cpu * 10_000.0 / MAILS as f64, "");
    Ok(())
}
