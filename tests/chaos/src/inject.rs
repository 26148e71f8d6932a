//! Carries the faults of the schedule out.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use postroom_it::until;
use postroom_sandbox::{Action, Fault, Stage};
use tokio::time::sleep;

use crate::schedule::{Kind, Planned};
use crate::world::World;

/// How long the server waits at the stage at which a worker is to be killed: less than what is left of any lease.
const SLOW_MS: u64 = 1_200;
/// How long a rule of the server stays in force at most.
const WINDOW: Duration = Duration::from_millis(1_500);

/// Carries one fault out, to its end.
pub(crate) async fn inject(world: Arc<World>, planned: Planned) -> anyhow::Result<()> {
    let address = || world.accounts[planned.account].reveal();
    match planned.kind {
        Kind::Kill => kill(&world, planned.worker, "kills at any moment").await,
        Kind::KillAtStage => kill_at_stage(&world, &planned).await,
        Kind::Stop => stop(&world, &planned).await,
        Kind::Term => term(&world, &planned).await,
        Kind::RedisRestart => redis_restart(&world, &planned).await,
        Kind::RedisStall => redis_stall(&world, &planned).await,
        Kind::FailOver => fail_over(&world, &planned).await,
        Kind::ClockStep => clock_step(&world, &planned).await,
        Kind::Cut => {
            let stage = planned.stage;
            rule(&world, &named("cut", stage), Fault::new(stage, Action::Cut).times(planned.times)).await
        }
        Kind::TakenThenCut => {
            rule(&world, "taken, then cut", Fault::new(Stage::Final, Action::AcceptThenCut).times(planned.times)).await
        }
        Kind::Slow => {
            let pause = u64::try_from(planned.span(100, SLOW_MS).as_millis())?;
            rule(&world, "slow", Fault::new(planned.stage, Action::DelayMs(pause)).times(1)).await
        }
        Kind::Silence => {
            // Later the worker rightly waits for minutes.
            let stage = if matches!(planned.stage, Stage::Data | Stage::Final) { Stage::Mail } else { planned.stage };
            rule(&world, "silence", Fault::new(stage, Action::Silence).times(1)).await
        }
        Kind::Garbage => {
            let stage = if planned.stage == Stage::Connect { Stage::Greeting } else { planned.stage };
            let words = ["HTTP/1.1 400 Bad Request", "", "\u{1}\u{2}\u{3}", "25 OK"];
            let text = words[usize::try_from(planned.choice)? % words.len()].to_owned();
            rule(&world, "garbage", Fault::new(stage, Action::Garbage(text)).times(planned.times)).await
        }
        Kind::Later => {
            let (stage, text) = later(&planned);
            rule(
                &world,
                &format!("refused for now {}", &text[..3]),
                Fault::new(stage, Action::reply(text)).times(planned.times),
            )
            .await
        }
        Kind::Quota => {
            let text = "550 5.4.5 Daily user sending limit exceeded. - gsmtp";
            rule(&world, "quota", Fault::new(Stage::Final, Action::reply(text)).account(address()).times(1)).await
        }
        Kind::TokensEnd => {
            world.rig.sandbox.expire_tokens(Some(address()));
            world.count("tokens ended", 1);
            Ok(())
        }
        Kind::TokenService => {
            let fault = Fault::new(Stage::Token, Action::http(503, "down")).times(planned.times);
            world.rig.sandbox.expire_tokens(Some(address()));
            rule(&world, "token endpoint 503", fault).await
        }
        Kind::Revoke => revoke(&world, &planned).await,
        Kind::SentAway => sent_away(&world, &planned).await,
    }
}

fn named(what: &str, stage: Stage) -> String {
    format!("{what} at {}", format!("{stage:?}").to_lowercase())
}

/// A rule of the server, for a while.
async fn rule(world: &World, what: &str, fault: Fault) -> anyhow::Result<()> {
    let id = world.rig.sandbox.add_fault(fault)?;
    sleep(WINDOW).await;
    world.retire(id, what);
    Ok(())
}

/// Replies that the builtin table answers with a pause without a floor of minutes.
fn later(planned: &Planned) -> (Stage, &'static str) {
    let any = [
        "421 4.3.0 Temporary System Problem. Try again later. - gsmtp",
        "450 4.3.2 Not now. - gsmtp",
        "451 4.3.0 Mail server temporarily rejected message. - gsmtp",
        "452 4.3.1 Out of room for now. - gsmtp",
    ];
    match planned.stage {
        Stage::Connect | Stage::Greeting | Stage::Ehlo => (Stage::Greeting, any[0]),
        Stage::Auth => (Stage::Auth, "454 4.7.0 Temporary authentication failure. - gsmtp"),
        Stage::Mail
        | Stage::Rcpt
        | Stage::Data
        | Stage::Final
        | Stage::Token
        | Stage::ImapConnect
        | Stage::ImapLogin
        | Stage::ImapSearch => (planned.stage, any[usize::try_from(planned.choice).unwrap_or_default() % any.len()]),
    }
}

/// Kills a worker and starts another in its place. One that another fault has in hand is left alone.
async fn kill(world: &World, place: usize, what: &str) -> anyhow::Result<()> {
    let Ok(mut worker) = world.workers[place].try_lock() else { return Ok(()) };
    worker.kill().await?;
    world.keep_log(&worker);
    world.count("kills", 1);
    world.count(what, 1);
    *worker = world.start_worker(place)?;
    Ok(())
}

/// Once in four times every worker is killed: then one of them surely was at that stage.
async fn kill_at_stage(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let stage = planned.stage;
    let action = if stage == Stage::Final && planned.choice.is_multiple_of(2) {
        Action::StoreAndDelayMs(SLOW_MS)
    } else {
        Action::DelayMs(SLOW_MS)
    };
    let taken = if matches!(action, Action::StoreAndDelayMs(_)) { ", taken" } else { "" };
    let id = world.rig.sandbox.add_fault(Fault::new(stage, action).times(1))?;
    let met = || async { Ok((world.fired(id) > 0).then_some(())) };
    let came = until("a dialogue at that stage", WINDOW, met).await.is_ok();
    world.rig.sandbox.remove_fault(id);
    if !came {
        world.count("no dialogue came to the stage", 1);
        return Ok(());
    }
    let what = named("kills", stage) + taken;
    if planned.choice % 8 < 2 {
        for place in 0..world.workers.len() {
            kill(world, place, &what).await?;
        }
        return Ok(());
    }
    kill(world, planned.worker, &what).await
}

async fn stop(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let Ok(worker) = world.workers[planned.worker].try_lock() else { return Ok(()) };
    worker.signal("STOP").await?;
    world.stopped(true);
    sleep(planned.span(2_200, 3_200)).await;
    let goes_on = worker.signal("CONT").await;
    world.stopped(false);
    world.count("stops past the lease", 1);
    goes_on
}

async fn term(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let Ok(mut worker) = world.workers[planned.worker].try_lock() else { return Ok(()) };
    let status = worker.stop().await?;
    world.keep_log(&worker);
    // Nobody hears the signal before the program has begun: it ends as the system has it, and with no word.
    let was_not_up = status.signal() == Some(15) && worker.log().is_empty();
    anyhow::ensure!(
        status.success() || was_not_up,
        "a worker that was told to stop ended with {status}; it wrote:\n{}",
        worker.log()
    );
    world.count("orderly stops", 1);
    *worker = world.start_worker(planned.worker)?;
    Ok(())
}

async fn redis_restart(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let Ok(_turn) = world.redis.try_lock() else { return Ok(()) };
    world.stopped(true);
    let restarted = world.rig.redis.restart(planned.span(50, 1_500)).await;
    world.stopped(false);
    restarted?;
    world.count("Redis restarts", 1);
    Ok(())
}

async fn redis_stall(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let Ok(_turn) = world.redis.try_lock() else { return Ok(()) };
    let span = planned.span(200, 3_000);
    world.rig.redis.ask::<()>(&["CLIENT", "PAUSE", &span.as_millis().to_string(), "ALL"]).await?;
    world.stopped(true);
    sleep(span).await;
    world.stopped(false);
    world.count("Redis stalls", 1);
    Ok(())
}

async fn fail_over(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let Ok(_turn) = world.redis.try_lock() else { return Ok(()) };
    world.stopped(true);
    let there = world.redis_moves(true).await;
    sleep(planned.span(50, 1_500)).await;
    let back = world.redis_moves(false).await;
    world.stopped(false);
    world.count("Redis fail-overs, there and back", 1);
    there.and(back)
}

/// By up to a quarter of an hour, forward or back: more than every pause, deadline and allowance of a run.
async fn clock_step(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let step = i64::try_from(planned.choice % 1_800)? - 900;
    if !world.clocks.set(planned.worker, step).await? {
        return Ok(());
    }
    sleep(planned.span(1_500, 8_000)).await;
    world.clocks.set(planned.worker, 0).await?;
    world.count("clock steps, there and back", 1);
    Ok(())
}

async fn revoke(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let account = &world.accounts[planned.account];
    world.rig.sandbox.revoke(account.reveal());
    sleep(planned.span(300, 1_500)).await;
    world.rig.sandbox.restore(account.reveal());
    world.count("consents taken back", 1);
    world.add_anew(account).await
}

async fn sent_away(world: &World, planned: &Planned) -> anyhow::Result<()> {
    let fault = match planned.choice % 3 {
        0 => Fault::new(Stage::ImapConnect, Action::Cut),
        1 => Fault::new(Stage::ImapLogin, Action::No("[UNAVAILABLE] Try again later".to_owned())),
        _ => Fault::new(Stage::ImapSearch, Action::Cut),
    };
    let id = world.rig.sandbox.add_fault(fault)?;
    sleep(planned.span(1_000, 5_000)).await;
    world.retire(id, "questions to Sent that failed");
    world.count("Sent out of reach", 1);
    Ok(())
}
