//! How long a mail takes from the call of `send` until the server has it, when nothing else is under way.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use postroom::MailId;

use crate::clock::unix_ms;
use crate::corpus;
use crate::figures::{Aim, Figures};
use crate::measure::{percentile, sorted};
use crate::server::Server;
use crate::stand::Stand;

const PART: &str = "latency";
/// Mails one by one over a warm connection.
const WARM: usize = 200;
/// Pause between two of them: 50 a second.
const GAP: Duration = Duration::from_millis(20);
/// Accounts whose first mail finds neither a token nor a connection.
const COLD: usize = 7;
/// Accounts with a warm connection, for telling what many of them cost a mail of one.
const MANY: usize = 100;
const SLOTS: u32 = 64;

/// A mail that was handed over, and when `send` was called.
type Called = (MailId, f64);

/// Measures.
pub(crate) async fn run(figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let warm = warm(&server, 1).await?;
    let note = format!("{WARM} mails, one each {} ms, from the call to the last byte", GAP.as_millis());
    figures.aim(PART, "warm, p50, ms", percentile(&warm, 0.5), Aim::Most(1.0), note);
    figures.aim(PART, "warm, p99, ms", percentile(&warm, 0.99), Aim::Most(3.0), "");
    figures.tell(PART, "warm, slowest, ms", percentile(&warm, 1.0), "");
    let many = self::warm(&server, MANY).await?;
    let note = format!("the same, while the worker has warm connections of {MANY} accounts");
    figures.tell(PART, "warm among many, p50, ms", percentile(&many, 0.5), note);
    let (first, next) = cold(&server).await?;
    let note = format!("no token, no connection; the middle of {COLD} accounts");
    figures.aim(PART, "cold, first mail, ms", percentile(&first, 0.5), Aim::Most(5.0), note);
    figures.aim(PART, "cold, next mail, ms", percentile(&next, 0.5), Aim::Most(2.0), "");
    Ok(())
}

/// Mails of one account, one by one, after one mail of each of so many accounts.
async fn warm(server: &Server, accounts: usize) -> anyhow::Result<Vec<f64>> {
    server.reset().await?;
    let stand = Stand::build(server, accounts).await?;
    let mut worker = stand.worker(SLOTS).await?;
    for number in 0..accounts {
        send(&stand, number, accounts).await?;
    }
    stand.wait_for_settled(accounts).await?;
    let mut called = Vec::with_capacity(WARM);
    for _ in 0..WARM {
        tokio::time::sleep(GAP).await;
        called.push(send(&stand, 0, accounts).await?);
    }
    stand.wait_for_settled(accounts + WARM).await?;
    worker.stop().await?;
    took(server, &called).await
}

/// First mails of accounts, and the mails after them.
async fn cold(server: &Server) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    server.reset().await?;
    let stand = Stand::build(server, COLD).await?;
    let mut worker = stand.worker(SLOTS).await?;
    let (mut first, mut next) = (Vec::new(), Vec::new());
    for number in 0..COLD {
        for (list, before) in [(&mut first, 2 * number), (&mut next, 2 * number + 1)] {
            list.push(send(&stand, number, COLD).await?);
            stand.wait_for_settled(before + 1).await?;
            tokio::time::sleep(GAP).await;
        }
    }
    worker.stop().await?;
    Ok((took(server, &first).await?, took(server, &next).await?))
}

/// Hands a mail of one of so many accounts over.
async fn send(stand: &Stand, account: usize, accounts: usize) -> anyhow::Result<Called> {
    let mail = corpus::mail(account, accounts);
    let called = unix_ms();
    Ok((stand.client.send(mail).await?.id, called))
}

/// Milliseconds from each call until the server had the mail, sorted.
async fn took(server: &Server, called: &[Called]) -> anyhow::Result<Vec<f64>> {
    let arrivals = server.arrivals().await?;
    let received: HashMap<String, f64> = arrivals.into_iter().map(|one| (one.message_id, one.received_ms)).collect();
    let one = |(id, called): &Called| {
        let name = format!("<{id}@bench.example>");
        Ok(received.get(&name).with_context(|| format!("the server does not have {name}"))? - called)
    };
    called.iter().map(one).collect::<anyhow::Result<Vec<_>>>().map(sorted)
}
