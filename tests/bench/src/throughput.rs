//! Mails a second through the queue, beside a loop without one, and what a mail costs on the way.

use std::sync::Arc;
use std::time::Instant;

use crate::arguments::Arguments;
use crate::clock::unix_ms;
use crate::commands::Commands;
use crate::enqueue::{self, Enqueued};
use crate::figures::{Aim, Figures};
use crate::floor::{self, Floor};
use crate::measure::{Machine, own_cpu_seconds, rate_between};
use crate::server::Server;
use crate::stand::{CONNECTIONS, Stand};

const PART: &str = "throughput";

/// What one drain came to.
struct Drained {
    /// Mails a second, from the first to the last that the server received.
    rate: f64,
    /// From the worker's start to the last settlement, in seconds.
    whole: f64,
    /// From the last mail received to the last settlement, in seconds.
    tail: f64,
    /// Processor time of worker, Redis and server, in seconds.
    cpu: f64,
    redis_cpu: f64,
    server_cpu: f64,
    /// Processor time of everything else on this machine, as a part of all there was.
    others: f64,
    logins: u64,
    peak_kib: u64,
    commands: Commands,
}

/// Mails after which the worker takes a new connection (`shared/src/smtp/connection.rs`): the loop does so too, once, to
/// tell what that costs.
const RENEW: usize = 50;

struct Round {
    enqueued: Enqueued,
    drained: Drained,
    floor: Floor,
    renewing: Floor,
}

/// Measures.
pub(crate) async fn run(arguments: &Arguments, figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let round = measure(&server, arguments).await?;
        crate::out::say(&format!(
            "  round {number}: queue {:.0} mails/s, loop {:.0} mails/s, enqueue {:.0}/s in bulk, {:.0}/s one by one",
            round.drained.rate, round.floor.rate, round.enqueued.bulk_rate, round.enqueued.single_rate
        ));
        rounds.push(round);
    }
    report(arguments, &rounds, figures);
    Ok(())
}

async fn measure(server: &Server, arguments: &Arguments) -> anyhow::Result<Round> {
    let (mails, accounts) = (arguments.mails as usize, arguments.accounts as usize);
    server.reset().await?;
    let stand = Stand::build(server, accounts).await?;
    let (enqueued, ids) = enqueue::run(&stand, mails, accounts).await?;
    let frozen = Arc::new(enqueue::frozen(&stand, &ids, accounts).await?);
    let drained = drain(server, &stand, mails, arguments.slots).await?;
    drop(stand);
    let floor = floor::run(server, &frozen, None).await?;
    let renewing = floor::run(server, &frozen, Some(RENEW)).await?;
    Ok(Round { enqueued, drained, floor, renewing })
}

async fn drain(server: &Server, stand: &Stand, mails: usize, slots: u32) -> anyhow::Result<Drained> {
    let before = stand.commands().await?;
    let own = own_cpu_seconds()?;
    let (redis_cpu, server_cpu) = (stand.redis_cpu().await?, server.process.cpu_seconds()?);
    let (began, machine) = (Instant::now(), Machine::look()?);
    let mut worker = stand.worker(slots).await?;
    server.wait_for(mails).await?;
    stand.wait_for_settled(mails).await?;
    let (whole, settled_ms) = (began.elapsed().as_secs_f64(), unix_ms());
    let (cpu, peak_kib) = (worker.cpu_seconds()?, worker.peak_resident_kib()?);
    let redis_cpu = stand.redis_cpu().await? - redis_cpu;
    let server_cpu = server.process.cpu_seconds()? - server_cpu;
    let others = machine.others(cpu + redis_cpu + server_cpu + own_cpu_seconds()? - own)?;
    let commands = stand.commands().await?.since(&before);
    let status = worker.stop().await?;
    anyhow::ensure!(status.success(), "the worker ended with {status}; it wrote:\n{}", worker.log());
    let logins = server.stats().await?["logins_ok"].as_u64().unwrap_or(0);
    let received = server.received_ms(mails).await?;
    let last = received.last().copied().unwrap_or(settled_ms);
    let (rate, tail) = (rate_between(&received, 0.0, 1.0), (settled_ms - last).max(0.0) / 1_000.0);
    Ok(Drained { rate, whole, tail, cpu, redis_cpu, server_cpu, others, logins, peak_kib, commands })
}

fn report(arguments: &Arguments, rounds: &[Round], figures: &mut Figures) {
    let best_queue = rounds.iter().max_by(|a, b| a.drained.rate.total_cmp(&b.drained.rate));
    let best_floor = rounds.iter().max_by(|a, b| a.floor.rate.total_cmp(&b.floor.rate));
    let (Some(queue), Some(loops)) = (best_queue, best_floor) else { return };
    let best = |of: fn(&Round) -> f64| rounds.iter().map(of).fold(0.0, f64::max);
    let (drained, floor) = (&queue.drained, &loops.floor);
    let per_10_000 = 10_000.0 / f64::from(arguments.mails);
    let (mails, slots) = (arguments.mails, arguments.slots);
    let note = format!(
        "{mails} mails, one worker, {slots} slots; whole {:.1} s, settled {:.2} s after the last",
        drained.whole, drained.tail
    );
    figures.aim(PART, "mails/s drained", drained.rate, Aim::Least(25_000.0), note);
    let connections = arguments.accounts * CONNECTIONS;
    let note = format!("the same bytes over {connections} kept connections; {:.2} s", floor.seconds);
    figures.tell(PART, "mails/s of a loop without a queue", floor.rate, note);
    let note = format!("the same loop, with a new login every {RENEW} mails, as the worker has");
    figures.tell(PART, "mails/s of a loop that logs in as often", best(|round| round.renewing.rate), note);
    figures.must(PART, "ratio", drained.rate / floor.rate.max(1.0), Aim::Least(arguments.least_ratio));
    figures.aim(PART, "worker CPU s per 10,000 mails", drained.cpu * per_10_000, Aim::Most(0.5), "");
    figures.tell(PART, "Redis CPU s per 10,000 mails", drained.redis_cpu * per_10_000, "while draining");
    let note = format!("with the loop {:.2}", floor.server_cpu * per_10_000);
    figures.tell(PART, "server CPU s per 10,000 mails", drained.server_cpu * per_10_000, note);
    figures.tell(PART, "loop CPU s per 10,000 mails", floor.cpu * per_10_000, "");
    figures.aim(PART, "peak RSS of the worker, MiB", drained.peak_kib as f64 / 1_024.0, Aim::Most(15.0), "");
    let note = format!("for {connections} connections");
    figures.tell(PART, "logins while draining", drained.logins as f64, note);
    figures.tell(
        PART,
        "processor time that others took",
        drained.others,
        "of all there was while draining; should be near 0",
    );
    costs(f64::from(mails), queue, figures);
    let note = "client's send_many; parsing and freezing included";
    figures.aim(PART, "enqueue/s in bulk", best(|round| round.enqueued.bulk_rate), Aim::Least(50_000.0), note);
    let note = "client's send, each awaited";
    figures.aim(PART, "enqueue/s one awaited", best(|round| round.enqueued.single_rate), Aim::Least(8_000.0), note);
}

fn costs(mails: f64, round: &Round, figures: &mut Figures) {
    let (enqueued, drained) = (&round.enqueued, &round.drained);
    let asked = (enqueued.bulk_commands.asked, drained.commands.asked);
    let inside = (enqueued.bulk_commands.inside, drained.commands.inside);
    let bulk = enqueued.bulk_mails as f64;
    let note = format!("{:.3} to enqueue in bulk, {:.3} to drain", asked.0 as f64 / bulk, asked.1 as f64 / mails);
    let total = asked.0 as f64 / bulk + asked.1 as f64 / mails;
    figures.aim(PART, "Redis commands a mail, asked by clients", total, Aim::Most(4.0), note);
    let note = format!("{:.1} to enqueue, {:.1} to drain", inside.0 as f64 / bulk, inside.1 as f64 / mails);
    let total = inside.0 as f64 / bulk + inside.1 as f64 / mails;
    figures.tell(PART, "Redis commands a mail, inside scripts", total, note);
    let note = format!("{:.0} bytes raw, {:.0} as stored", enqueued.raw, enqueued.stored);
    figures.aim(PART, "Redis bytes a waiting mail", enqueued.waiting, Aim::Most(1_300.0), note);
    figures.say(
        "Bytes a waiting mail depend on how well mails compress: these are English words from a small dictionary, \
         different in every mail.",
    );
    figures.say(
        "Commands: INFO commandstats counts those inside scripts too. EVALSHA, SUBSCRIBE, PING and those that begin a \
         connection are never called by a script and count as asked; all others as inside, among them some 10 an \
         account for its token. The bench's own are left out.",
    );
}
