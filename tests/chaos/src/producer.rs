//! The app: hands mails over in waves while everything fails around it, and keeps what it was promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postroom::{MailId, SendError, Sent};
use tokio::time::sleep;

use crate::dice::Dice;
use crate::mails::{Planned, plan};
use crate::world::{PATIENCE, World};

/// A mail that was handed over.
#[derive(Clone)]
pub(crate) struct Accepted {
    pub(crate) id: MailId,
    pub(crate) planned: Planned,
}

/// The pause for each mail of a wave.
const PAUSE_A_MAIL: Duration = Duration::from_millis(15);

/// Hands mails over until told to end, or until there are `most`.
pub(crate) async fn produce(
    world: Arc<World>,
    seed: u64,
    most: u64,
    ends: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Accepted>> {
    let mut dice = Dice::new(seed, 2);
    let accounts: Vec<String> = world.accounts.iter().map(|account| account.reveal().to_owned()).collect();
    let (mut accepted, mut n) = (Vec::new(), 0);
    while !ends.load(Ordering::Relaxed) && n < most {
        let size = dice.between(1, 40).min(most - n);
        let wave: Vec<Planned> = (0..size).map(|place| plan(&mut dice, n + place + 1, &accounts)).collect();
        n += size;
        let repeats = dice.percent(20);
        let handed = hand_over(&world, wave).await?;
        if repeats {
            repeat(&world, &handed).await?;
        }
        accepted.extend(handed);
        sleep(PAUSE_A_MAIL * u32::try_from(size)?).await;
    }
    Ok(accepted)
}

async fn hand_over(world: &World, wave: Vec<Planned>) -> anyhow::Result<Vec<Accepted>> {
    let answers = world.client.send_many(wave.iter().map(|one| one.mail.clone()).collect()).await;
    let mut accepted = Vec::with_capacity(wave.len());
    for (planned, answer) in wave.into_iter().zip(answers) {
        let id = settle(world, &planned, answer).await?;
        accepted.push(Accepted { id, planned });
    }
    Ok(accepted)
}

/// What a careful app does: hands over again what was not stored, repeats what has a key, and looks for what has none.
async fn settle(world: &World, planned: &Planned, first: Result<Sent, SendError>) -> anyhow::Result<MailId> {
    let (mut answer, began) = (first, Instant::now());
    loop {
        match decide(world, planned, answer).await? {
            Ok(id) => return Ok(id),
            Err(again) => answer = again,
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "a mail could not be handed over in {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

type Again = Result<Sent, SendError>;

async fn decide(world: &World, planned: &Planned, answer: Again) -> anyhow::Result<Result<MailId, Again>> {
    match answer {
        Ok(sent) => Ok(Ok(sent.id)),
        Err(SendError::NotStored(_) | SendError::Full(_)) => {
            world.count("pushes that were not stored", 1);
            Ok(Err(world.client.send(planned.mail.clone()).await))
        }
        Err(SendError::Unknown { keyed: true, .. }) => {
            world.count("pushes repeated by their key", 1);
            Ok(Err(world.client.send(planned.mail.clone()).await))
        }
        Err(unknown @ SendError::Unknown { keyed: false, id: Some(id), .. }) => match world.client.status(id).await {
            Ok(Some(_)) => Ok(Ok(id)),
            Ok(None) => {
                world.count("pushes looked for in vain", 1);
                world.note_in_vain(Accepted { id, planned: planned.clone() });
                Ok(Err(world.client.send(planned.mail.clone()).await))
            }
            Err(_) => Ok(Err(Err(unknown))),
        },
        Err(
            error @ (SendError::Refused(_)
            | SendError::Conflict(_)
            | SendError::KeyUsed
            | SendError::OthersRefused
            | SendError::Unknown { id: None, .. }
            | SendError::Wrong(_)),
        ) => {
            anyhow::bail!("a mail of the kind {:?} was refused: {error}", planned.kind)
        }
    }
}

/// The same pushes again: those with a key must be known.
async fn repeat(world: &World, handed: &[Accepted]) -> anyhow::Result<()> {
    for one in handed.iter().filter(|one| one.planned.mail.idempotency_key.is_some()) {
        let answer = world.client.send(one.planned.mail.clone()).await;
        let id = settle(world, &one.planned, answer).await?;
        anyhow::ensure!(id == one.id, "{} was handed over again with its key and became {id}", one.id);
        world.count("pushes repeated on purpose", 1);
    }
    Ok(())
}
