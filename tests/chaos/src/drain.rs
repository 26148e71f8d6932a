//! The end of the faults: everything is healed, and all mail goes.

use anyhow::Context;
use postroom::MailState;
use postroom_it::until;
use postroom_shared::account::Account;

use crate::world::{PATIENCE, SMALL_LIMIT, World};

/// What was seen while the small limit held.
pub(crate) struct Small {
    /// Copies that the server took of its mails.
    pub(crate) delivered: u64,
    /// Mails that waited.
    pub(crate) waiting: u64,
}

/// Heals everything and waits until no mail moves but those over the small limit.
pub(crate) async fn drain(world: &World) -> anyhow::Result<Small> {
    world.clear_faults();
    let small = world.small().clone();
    for account in world.accounts.iter().filter(|account| **account != small) {
        world.rig.sandbox.restore(account.reveal());
        world.add_anew(account).await?;
    }
    world.insist("the small account to go on", || world.queue().resume(&small)).await?;
    let drained = until("all mail to be sent or dead but what is over the small limit", PATIENCE, || async {
        let Ok(stats) = world.queue().stats().await else { return Ok(None) };
        let count = |state: MailState| stats.states.get(state.as_str()).copied().unwrap_or(0);
        let moving = count(MailState::Sending) + count(MailState::Retry) + count(MailState::Scheduled);
        let Some(lane) = stats.lanes.iter().find(|lane| lane.account.id == small) else { return Ok(None) };
        let waiting: u64 = lane.waiting.values().sum();
        if moving > 0 || count(MailState::Ready) > waiting {
            return Ok(None);
        }
        let used_up = match world.queue().budget(&small).await {
            Ok(Some(budget)) => budget.messages.left == Some(0),
            Ok(None) | Err(_) => false,
        };
        Ok((waiting == 0 || used_up).then_some(()))
    })
    .await;
    if let Err(error) = drained {
        return Err(error.context(stuck(world).await));
    }
    let delivered = world.rig.sandbox.stats().account(small.reveal()).mails;
    let stats = world.queue().stats().await?;
    let waiting = stats.states.get(MailState::Ready.as_str()).copied().unwrap_or(0);
    Ok(Small { delivered, waiting })
}

/// What does not move, for whoever has to find out why.
async fn stuck(world: &World) -> String {
    let stats = world.queue().stats().await.ok().and_then(|stats| serde_json::to_string(&stats).ok());
    let budget = world.queue().budget(world.small()).await;
    format!("the queue: {}; the small account's budget: {budget:?}", stats.unwrap_or_default())
}

/// Lifts the small limit and waits for the rest.
pub(crate) async fn finish(world: &World) -> anyhow::Result<()> {
    let account = Account { limit: Some(SMALL_LIMIT * 100_000), ..Account::new(world.small().clone()) };
    world.insist("the limit to be lifted", || world.queue().put_account(&account)).await?;
    until("all mail to be sent or dead", PATIENCE, || async {
        let Ok(stats) = world.queue().stats().await else { return Ok(None) };
        let open = stats.states.iter().filter(|(word, _)| word.parse().is_ok_and(|state: MailState| !state.is_final()));
        Ok((open.map(|(_, count)| count).sum::<u64>() == 0).then_some(()))
    })
    .await
}

/// Stops every worker in order. Answers what is wrong with how they ended or what they wrote.
pub(crate) async fn stop_workers(world: &World) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for slot in &world.workers {
        let mut worker = slot.lock().await;
        let stopped = worker.stop().await;
        world.keep_log(&worker);
        match stopped.with_context(|| format!("stop a worker; it wrote:\n{}", worker.log())) {
            Ok(status) if status.success() => {}
            Ok(status) => wrong.push(format!("a worker ended with {status}")),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    let logs = world.logs();
    let panicked = logs.lines().filter(|line| line.contains("panicked"));
    wrong.extend(panicked.take(5).map(|line| format!("a worker panicked: {line}")));
    Ok(wrong)
}
