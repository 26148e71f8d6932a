//! What the HTTP API takes, beside the least that an API could do: an axum handler that does one Redis SET of the same bytes.
//!
//! Both are processes of their own, asked by the same caller over the same number of kept connections, in turns.

pub(crate) mod floor;
mod load;

use anyhow::Context;
use postroom_it::{Persistence, Process, RedisServer, until};

use self::load::{Calls, paced, unpaced};
use crate::arguments::Arguments;
use crate::corpus;
use crate::figures::{Aim, Figures};
use crate::measure::{percentile, sorted};
use crate::server::Server;
use crate::stand::{PATIENCE, Stand};

const PART: &str = "API";
/// Requests of one measurement, and how often both are measured, in turns; the best of each counts.
const REQUESTS: usize = 20_000;
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 64;
const ACCOUNTS: usize = 16;
/// The part of the highest throughput at which the time of an answer is measured.
const LOAD: f64 = 0.7;

/// Measures.
pub(crate) async fn run(arguments: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let stand = Stand::build(&server, ACCOUNTS).await?;
    let (mut process, base, key) = stand.serve().await?;
    let empty = RedisServer::start(Persistence::None).await?;
    let (mut floor_process, floor_base) = start_floor(&empty).await?;
    let bodies: Vec<Vec<u8>> = (0..REQUESTS)
        .map(|number| serde_json::to_vec(&corpus::mail(number, ACCOUNTS).to_json()))
        .collect::<Result<_, _>>()?;
    let ours = Calls::new(&base, "/emails", &key, &bodies)?;
    let floor = Calls::new(&floor_base, "/emails", &key, &bodies)?;
    let (mut best, mut best_floor, mut cpu) = (0.0_f64, 0.0_f64, (0.0, 0.0));
    for _ in 0..ROUNDS {
        let (began, redis) = (process.cpu_seconds()?, stand.redis_cpu().await?);
        let rate = unpaced(&ours, CONNECTIONS).await.with_context(|| process.log())?;
        if rate > best {
            best = rate;
            let a_mail = |seconds: f64| seconds * 1e6 / REQUESTS as f64;
            cpu = (a_mail(process.cpu_seconds()? - began), a_mail(stand.redis_cpu().await? - redis));
        }
        best_floor = best_floor.max(unpaced(&floor, CONNECTIONS).await.with_context(|| floor_process.log())?);
    }
    let took = sorted(paced(&ours, CONNECTIONS, best * LOAD).await?);
    let stored = stand.queue().stats().await?.states.get("ready").copied().unwrap_or(0);
    let expected = (REQUESTS * (ROUNDS + 1)) as u64;
    anyhow::ensure!(stored == expected, "{stored} mails lie in Redis, and {expected} were answered");
    process.stop().await?;
    floor_process.stop().await?;
    let note = format!("{REQUESTS} mails of {} bytes, {CONNECTIONS} connections, best of {ROUNDS}", bodies[0].len());
    figures.tell(PART, "POST /emails a second", best, note);
    figures.tell(PART, "one SET a request, a second", best_floor, "the least that an API could do");
    figures.must(PART, "ratio", best / best_floor, Aim::Least(arguments.least_api_ratio));
    figures.tell(PART, "processor time a mail, serve, µs", cpu.0, "");
    figures.tell(PART, "processor time a mail, Redis, µs", cpu.1, "");
    let note = format!("at {:.0} % of that throughput, from when it was due", LOAD * 100.0);
    figures.tell(PART, "p50, ms", percentile(&took, 0.5), note);
    figures.tell(PART, "p99, ms", percentile(&took, 0.99), "");
    Ok(())
}

async fn start_floor(redis: &RedisServer) -> anyhow::Result<(Process, String)> {
    let process = Process::start("postroom-bench", &["--floor-of", &redis.url()], &[])?;
    let base = until("the floor to listen", PATIENCE, || async {
        Ok(process
            .log()
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .map(str::to_owned))
    })
    .await;
    let base = base.with_context(|| process.log())?;
    Ok((process, base))
}
