//! Seeded runs that mix faults against real workers, a real Redis and the sandbox while mail is handed over. Afterwards
//! everything is healed, and what must hold is checked. Exits 0 only if all of it holds. Nothing leaves this machine.

mod check;
mod clocks;
mod dice;
mod drain;
mod inject;
mod leaks;
mod mails;
mod options;
mod out;
mod producer;
mod schedule;
mod sums;
mod table;
mod watch;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use postroom_it::binary;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::options::Options;
use crate::schedule::Schedule;
use crate::table::Outcome;
use crate::world::World;

#[tokio::main]
async fn main() -> ExitCode {
    match run_all(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out::complain(&format!("the run could not be made: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run_all(options: &Options) -> anyhow::Result<bool> {
    binary("postroom-worker")?;
    let mut holds = true;
    for seed in options.seeds()? {
        out::say(&format!("Chaos with seed {seed}: {}", options.command(seed)));
        let ran = run(options, seed).await;
        let held = ran.as_ref().is_ok_and(|held| *held);
        if !held {
            out::say(&format!("Seed {seed} FAILED. The same schedule again: {}", options.command(seed)));
        }
        ran?;
        holds &= held;
        out::say("");
    }
    Ok(holds)
}

async fn run(options: &Options, seed: u64) -> anyhow::Result<bool> {
    let began = Instant::now();
    let world = Arc::new(World::build(options, seed).await?);
    let ended = play(options, seed, &world, began).await;
    let holds = matches!(&ended, Ok(true));
    if !holds {
        let path = std::env::temp_dir().join(format!("postroom-chaos-{seed}.log"));
        let mut logs = world.logs();
        for worker in &world.workers {
            logs.push_str(&worker.lock().await.log());
        }
        std::fs::write(&path, logs).with_context(|| format!("write {}", path.display()))?;
        out::say(&format!("What the workers wrote: {}", path.display()));
    }
    ended
}

async fn play(options: &Options, seed: u64, world: &Arc<World>, began: Instant) -> anyhow::Result<bool> {
    let ends = Arc::new(AtomicBool::new(false));
    let watch_ends = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn(producer::produce(Arc::clone(world), seed, options.mails, Arc::clone(&ends)));
    let watching = tokio::spawn(watch::watch(Arc::clone(world), Arc::clone(&watch_ends)));
    let begins = Instant::now();
    let faults = go_wrong(options, seed, world).await;
    let injected = begins.elapsed();
    ends.store(true, Ordering::Relaxed);
    let faults = faults?;
    let mut accepted = producing.await??;
    let small = drain::drain(world).await?;
    drain::finish(world).await?;
    watch_ends.store(true, Ordering::Relaxed);
    let seen = watching.await?;
    let mut violations = drain::stop_workers(world).await?;
    for late in world.in_vain() {
        if world.client.status(late.id).await?.is_some() {
            accepted.push(late);
        }
    }
    let mut mails = check::mails(world, &accepted).await?;
    violations.append(&mut mails.violations);
    violations.extend(sums::check(world, &mails, &small, &seen).await?);
    let mut searched = leaks::check(world, &accepted).await?;
    violations.append(&mut searched.found);
    let outcome = Outcome { mails, small, seen, searched, violations, faults, injected, whole: began.elapsed() };
    table::print(world, &outcome, accepted.len());
    Ok(outcome.violations.is_empty())
}

/// Carries the schedule out until its time is over, and waits until the last fault is.
async fn go_wrong(options: &Options, seed: u64, world: &Arc<World>) -> anyhow::Result<u64> {
    let schedule = Schedule::new(seed, options.workers, options.accounts);
    let (began, mut under_way, mut last) = (Instant::now(), JoinSet::new(), 0);
    for planned in schedule {
        sleep(planned.after).await;
        let over = match options.kills {
            Some(kills) => world.counted("kills") >= kills,
            None => began.elapsed() >= Duration::from_secs(options.seconds),
        };
        if over {
            break;
        }
        last = planned.number;
        let world = Arc::clone(world);
        under_way.spawn(async move {
            let done = inject::inject(world, planned).await;
            done.with_context(|| format!("fault {} of the schedule, {:?}", planned.number, planned.kind))
        });
        while let Some(done) = under_way.try_join_next() {
            done??;
        }
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    Ok(last)
}
