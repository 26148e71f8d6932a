//! What a measurement stands on: a fresh Redis, the sandbox, accounts, a client, and a worker process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use postroom::DirectClient;
use postroom_it::{Persistence, Process, RedisServer, run, start_serve, until};
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox};
use postroom_shared::account::{Account, AccountId, AccountKind};
use postroom_shared::queue::Queue;
use postroom_shared::settings::{Source, TokenSettings};
use postroom_shared::tokens::{Credentials, Sealer, credentials};

use crate::commands::Commands;
use crate::corpus;
use crate::server::Server;

/// The bound of everything that must happen: against hanging, never a measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Connections of an account.
pub(crate) const CONNECTIONS: u32 = 3;
/// So that no daily limit ever stands in the way.
const LIMIT: u32 = 1_000_000_000;

/// A Redis with accounts, and the way to it.
pub(crate) struct Stand {
    pub(crate) redis: RedisServer,
    pub(crate) client: DirectClient,
    environment: Vec<(String, String)>,
    /// Commands that the bench itself sent while it waited.
    polls: AtomicU64,
}

impl Stand {
    /// A fresh Redis with so many accounts, and the environment that leads to it and to the server.
    pub(crate) async fn build(server: &Server, accounts: usize) -> anyhow::Result<Self> {
        let redis = RedisServer::start(Persistence::None).await?;
        let mut environment = server.environment.clone();
        for (name, value) in [
            ("POSTROOM_REDIS_URL", redis.url().as_str()),
            ("POSTROOM_SECRET_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
            ("POSTROOM_EHLO_NAME", "worker.bench.example"),
            ("POSTROOM_PROBE_LISTEN", "off"),
            ("POSTROOM_LOG", "warn"),
        ] {
            environment.push((name.to_owned(), value.to_owned()));
        }
        let client = DirectClient::connect(&redis.url()).await?;
        let stand = Self { redis, client, environment, polls: AtomicU64::new(0) };
        for number in 0..accounts {
            stand.add_account(&corpus::account(number)).await?;
        }
        Ok(stand)
    }

    /// The queue beneath.
    pub(crate) fn queue(&self) -> &Queue {
        self.client.queue()
    }

    async fn add_account(&self, address: &str) -> anyhow::Result<()> {
        let id: AccountId = address.parse()?;
        let mut source = Source::from_pairs(self.environment.iter().cloned());
        let sealer = Sealer::from_settings(&TokenSettings::read(&mut source))?;
        let secrets = Credentials::Consent {
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned().into(),
            refresh_token: Sandbox::refresh_token(address).into(),
        };
        credentials::save(self.queue().store(), &sealer, &id, &secrets).await?;
        let account = Account {
            kind: AccountKind::Relay,
            connections: Some(CONNECTIONS),
            limit: Some(LIMIT),
            ..Account::new(id)
        };
        Ok(self.queue().put_account(&account).await?)
    }

    /// Starts the worker with so many slots and waits until it has a session.
    pub(crate) async fn worker(&self, slots: u32) -> anyhow::Result<Process> {
        let mut environment = self.environment.clone();
        environment.push(("POSTROOM_CONCURRENCY".to_owned(), slots.to_string()));
        let mut worker = Process::start("postroom-worker", &[], &environment)?;
        let there = until("the worker to be there", PATIENCE, || async {
            let sessions = self.queue().store().keys(0).sessions();
            Ok((self.poll(redis::cmd("ZCARD").arg(sessions)).await? > 0).then_some(()))
        })
        .await;
        if let Ok(status) = worker.wait(Duration::ZERO).await {
            anyhow::bail!("the worker ended ({status}); it wrote:\n{}", worker.log());
        }
        there.with_context(|| worker.log())?;
        Ok(worker)
    }

    /// Starts `postroom serve`; answers it, its address and a key with all rights.
    pub(crate) async fn serve(&self) -> anyhow::Result<(Process, String, String)> {
        let made =
            run("postroom", &["key", "create", "bench", "--admin", "--rate", "0"], &self.environment, b"").await?;
        anyhow::ensure!(made.code == Some(0), "postroom key create: {}", made.stderr);
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| name != "POSTROOM_LOG");
        let (process, base) = start_serve(&environment).await?;
        Ok((process, base, made.stdout.trim().to_owned()))
    }

    /// Waits until so many mails are settled as sent; fails if one died.
    pub(crate) async fn wait_for_settled(&self, mails: usize) -> anyhow::Result<()> {
        let counts = self.queue().store().keys(0).counts();
        until("every mail to be settled", PATIENCE, || async {
            let dead = self.poll(redis::cmd("HGET").arg(&counts).arg("dead")).await?;
            anyhow::ensure!(dead == 0, "{dead} mails died: see `postroom dead list`");
            let sent = self.poll(redis::cmd("HGET").arg(&counts).arg("sent")).await?;
            Ok((sent >= mails as u64).then_some(()))
        })
        .await
    }

    /// A question to Redis that is left out of the counts.
    async fn poll(&self, command: &redis::Cmd) -> anyhow::Result<u64> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let answer: Option<u64> = command.query_async(&mut self.queue().store().connection()).await?;
        Ok(answer.unwrap_or(0))
    }

    /// Commands that Redis ran so far.
    pub(crate) async fn commands(&self) -> anyhow::Result<Commands> {
        Ok(Commands::read(&self.redis.commands().await?, self.polls.load(Ordering::Relaxed)))
    }

    /// A figure of `INFO`.
    pub(crate) async fn info(&self, section: &str, name: &str) -> anyhow::Result<f64> {
        let text: String = self.redis.ask(&["INFO", section]).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.with_context(|| format!("Redis tells no {name}"))?.trim().parse()?)
    }

    /// Processor time of Redis so far, in seconds.
    pub(crate) async fn redis_cpu(&self) -> anyhow::Result<f64> {
        Ok(self.info("cpu", "used_cpu_user").await? + self.info("cpu", "used_cpu_sys").await?)
    }
}
