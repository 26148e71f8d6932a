//! Handing over: in bulk and one by one, what a waiting mail costs Redis, and the frozen bytes for the loop.

use std::time::Instant;

use anyhow::Context;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use postroom::{MailId, NewMail};

use crate::commands::Commands;
use crate::corpus;
use crate::measure::rate;
use crate::session::Frozen;
use crate::stand::Stand;

/// Mails that are handed over one by one, at most; never more than a tenth.
const SINGLES: usize = 2_000;
/// Mails of which the stored size is asked.
const SAMPLE: usize = 200;
/// Questions to Redis at once, where their speed is not measured.
const AT_ONCE: usize = 64;

/// What handing over came to.
pub(crate) struct Enqueued {
    /// Mails a second.
    pub(crate) bulk_rate: f64,
    pub(crate) single_rate: f64,
    /// Mails that went in bulk, and the commands for them.
    pub(crate) bulk_mails: usize,
    pub(crate) bulk_commands: Commands,
    /// Bytes that a waiting mail costs Redis, all told.
    pub(crate) waiting: f64,
    /// Bytes of a message, and of its record.
    pub(crate) raw: f64,
    pub(crate) stored: f64,
}

/// Hands so many mails over; answers their ids in order.
pub(crate) async fn run(stand: &Stand, mails: usize, accounts: usize) -> anyhow::Result<(Enqueued, Vec<MailId>)> {
    let singles = SINGLES.min(mails / 10);
    let mut bulk: Vec<NewMail> = (0..mails).map(|number| corpus::mail(number, accounts)).collect();
    let single = bulk.split_off(mails - singles);
    let bulk_mails = bulk.len();
    let empty = stand.info("memory", "used_memory").await?;
    let before = stand.commands().await?;

    let began = Instant::now();
    let answers = stand.client.send_many(bulk).await;
    let bulk_rate = rate(bulk_mails, began.elapsed().as_secs_f64());
    let mut ids = answers.into_iter().map(|sent| sent.map(|sent| sent.id)).collect::<Result<Vec<_>, _>>()?;
    let bulk_commands = stand.commands().await?.since(&before);

    let began = Instant::now();
    for mail in single {
        ids.push(stand.client.send(mail).await?.id);
    }
    let single_rate = rate(singles, began.elapsed().as_secs_f64());

    let waiting = (stand.info("memory", "used_memory").await? - empty) / mails as f64;
    let (raw, stored) = sizes(stand, &ids).await?;
    Ok((Enqueued { bulk_rate, single_rate, bulk_mails, bulk_commands, waiting, raw, stored }, ids))
}

/// Bytes of a message and of its record, on average over a sample.
async fn sizes(stand: &Stand, ids: &[MailId]) -> anyhow::Result<(f64, f64)> {
    let (mut raw, mut stored) = (0, 0);
    let sample: Vec<_> = ids.iter().step_by((ids.len() / SAMPLE).max(1)).collect();
    for id in &sample {
        raw += stand.queue().mail_bytes(**id).await?.context("a waiting mail without bytes")?.len();
        let key = stand.queue().store().keys(id.shard()).job(**id);
        let mut connection = stand.queue().store().connection();
        stored += redis::cmd("STRLEN").arg(key).query_async::<usize>(&mut connection).await?;
    }
    let count = sample.len().max(1) as f64;
    Ok((raw as f64 / count, stored as f64 / count))
}

/// The frozen mails as they lie in the queue, by account.
pub(crate) async fn frozen(stand: &Stand, ids: &[MailId], accounts: usize) -> anyhow::Result<Vec<Vec<Frozen>>> {
    let read = stream::iter(ids.iter().copied().enumerate()).map(|(number, id)| async move {
        let bytes = stand.queue().mail_bytes(id).await?.context("a waiting mail without bytes")?;
        let (from, to) = (corpus::account(number % accounts), format!("customer-{number}@example.org"));
        anyhow::Ok(Frozen { from, to, bytes })
    });
    let all: Vec<Frozen> = read.buffered(AT_ONCE).try_collect().await?;
    let mut by_account: Vec<Vec<Frozen>> = (0..accounts).map(|_| Vec::new()).collect();
    for (number, mail) in all.into_iter().enumerate() {
        by_account[number % accounts].push(mail);
    }
    Ok(by_account)
}
