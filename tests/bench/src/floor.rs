//! The floor: a loop without a queue that sends the same frozen bytes over as many kept connections to the same server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use futures::future::try_join_all;

use crate::corpus;
use crate::measure::{own_cpu_seconds, rate_between};
use crate::server::Server;
use crate::session::{Dialer, Frozen, Session};
use crate::stand::CONNECTIONS;

/// What the loop came to.
pub(crate) struct Floor {
    /// Mails a second, from the first to the last that the server received.
    pub(crate) rate: f64,
    /// Processor time, in seconds.
    pub(crate) cpu: f64,
    /// The server's processor time, in seconds.
    pub(crate) server_cpu: f64,
    /// The whole of it, in seconds.
    pub(crate) seconds: f64,
}

/// Sends all mails, those of each account over its own connections, each of them kept to the end, or closed and opened
/// anew after `renew` mails.
pub(crate) async fn run(server: &Server, mails: &Arc<Vec<Vec<Frozen>>>, renew: Option<usize>) -> anyhow::Result<Floor> {
    server.reset().await?;
    let dialer = Dialer::new(server.smtp()?, &server.ca_file())?;
    let sessions = open(server, &dialer, mails.len()).await?;
    let next: Arc<Vec<AtomicUsize>> = Arc::new(mails.iter().map(|_| AtomicUsize::new(0)).collect());
    let (cpu, server_cpu, began) = (own_cpu_seconds()?, server.process.cpu_seconds()?, Instant::now());
    let tasks = sessions.into_iter().map(|(account, login, session)| {
        let (mails, next, dialer) = (Arc::clone(mails), Arc::clone(&next), dialer.clone());
        let renewal = renew.map(|after| (after, dialer, login));
        tokio::spawn(async move { drain(session, &mails[account], &next[account], renewal).await })
    });
    for ended in try_join_all(tasks).await? {
        ended.context("the loop without a queue")?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, server_cpu) = (own_cpu_seconds()? - cpu, server.process.cpu_seconds()? - server_cpu);
    let received = server.received_ms(mails.iter().map(Vec::len).sum()).await?;
    Ok(Floor { rate: rate_between(&received, 0.0, 1.0), cpu, server_cpu, seconds })
}

/// Who logs in, and with which token.
struct Login {
    account: String,
    token: String,
}

async fn open(server: &Server, dialer: &Dialer, accounts: usize) -> anyhow::Result<Vec<(usize, Login, Session)>> {
    let mut sessions = Vec::with_capacity(accounts * CONNECTIONS as usize);
    for number in 0..accounts {
        let account = corpus::account(number);
        let token = server.token(&account).await?;
        for _ in 0..CONNECTIONS {
            let login = Login { account: account.clone(), token: token.clone() };
            let session = dialer.open(&account, &token).await?;
            sessions.push((number, login, session));
        }
    }
    Ok(sessions)
}

async fn drain(
    mut session: Session,
    mails: &[Frozen],
    next: &AtomicUsize,
    renewal: Option<(usize, Dialer, Login)>,
) -> anyhow::Result<()> {
    let mut sent = 0;
    while let Some(mail) = mails.get(next.fetch_add(1, Ordering::Relaxed)) {
        if let Some((after, dialer, login)) = &renewal
            && sent == *after
        {
            session.quit().await?;
            session = dialer.open(&login.account, &login.token).await?;
            sent = 0;
        }
        session.send(mail).await?;
        sent += 1;
    }
    Ok(())
}
