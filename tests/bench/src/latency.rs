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

/// Measures.
pub(crate) async fn run(figures: &mut Figures) -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let stand = Stand::build(&server, COLD).await?;
    let mut worker = stand.worker(64).await?;
    let (mut first, mut next) = (Vec::new(), Vec::new());
    for number in 0..COLD {
        first.push(send(&stand, number).await?);
        server.wait_for(first.len() + next.len()).await?;
        next.push(send(&stand, number).await?);
        server.wait_for(first.len() + next.len()).await?;
    }
    let mut warm = Vec::with_capacity(WARM);
    for _ in 0..WARM {
        tokio::time::sleep(GAP).await;
        warm.push(send(&stand, 0).await?);
    }
    server.wait_for(first.len() + next.len() + warm.len()).await?;
    let received: HashMap<String, f64> =
        server.arrivals().await?.into_iter().map(|a| (a.message_id, a.received_ms)).collect();
    stand.wait_for_settled(received.len()).await?;
    worker.stop().await?;
    let took = |sent: &[(MailId, f64)]| -> anyhow::Result<Vec<f64>> {
        let one = |(id, called): &(MailId, f64)| {
            let name = format!("<{id}@bench.example>");
            Ok(received.get(&name).with_context(|| format!("the server does not have {name}"))? - called)
        };
        sent.iter().map(one).collect::<anyhow::Result<Vec<_>>>().map(sorted)
    };
    let (first, next, warm) = (took(&first)?, took(&next)?, took(&warm)?);
    let note = format!("{WARM} mails, one each {} ms, from the call to the last byte", GAP.as_millis());
    figures.aim(PART, "warm, p50, ms", percentile(&warm, 0.5), Aim::Most(1.0), note);
    figures.aim(PART, "warm, p99, ms", percentile(&warm, 0.99), Aim::Most(3.0), "");
    figures.tell(PART, "warm, slowest, ms", percentile(&warm, 1.0), "");
    let note = format!("no token, no connection; the middle of {COLD} accounts");
    figures.aim(PART, "cold, first mail, ms", percentile(&first, 0.5), Aim::Most(5.0), note);
    figures.aim(PART, "cold, next mail, ms", percentile(&next, 0.5), Aim::Most(2.0), "");
    Ok(())
}

/// Hands a mail over; answers its id and when `send` was called.
async fn send(stand: &Stand, account: usize) -> anyhow::Result<(MailId, f64)> {
    // A number whose remainder is the account, so that the mail comes from it.
    let mail = corpus::mail(COLD * 1_000 + account, COLD);
    let called = unix_ms();
    Ok((stand.client.send(mail).await?.id, called))
}
