//! What the demonstration plays on: Redis, the stand-in, the accounts, two workers, and the client of the app.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use postroom::{DirectClient, Millis};
use postroom_it::{Process, Rig, RigOptions, until};
use postroom_sandbox::Config;
use postroom_shared::queue::Queue;

use crate::mails::ACCOUNTS;

/// The bound of everything that must happen: against hanging, never a measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Connections that an account may have at once (`POSTROOM_ACCOUNT_CONNECTIONS`, its default).
pub(crate) const CAP: u64 = 3;
/// Fewer than the nine connections that three accounts may have, so that one worker alone cannot take them all.
const SLOTS: &str = "5";
const WORKERS: [&str; 2] = ["demo-1", "demo-2"];

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) client: DirectClient,
    pub(crate) workers: Vec<Process>,
    /// When all of it began.
    pub(crate) began: Millis,
}

impl Stage {
    /// Starts all of it and waits until both workers are there.
    pub(crate) async fn build() -> anyhow::Result<Self> {
        let began = Millis::now();
        // Sessions end with their token, as Gmail's do: that is what a token that runs out looks like.
        let sandbox = Config { close_sessions_at_expiry: true, ..Config::default() };
        let given = std::env::var_os("POSTROOM_REDIS_URL").map(|url| url.to_string_lossy().into_owned());
        let given_redis = given.filter(|url| !url.is_empty());
        let rig = Rig::start_with(RigOptions { sandbox, given_redis, ..RigOptions::default() }).await?;
        for account in ACCOUNTS {
            rig.add_account(account).await?;
        }
        let client = DirectClient::connect(&rig.redis.url()).await?;
        let mut workers = Vec::with_capacity(WORKERS.len());
        for name in WORKERS {
            workers.push(rig.worker(&[
                ("POSTROOM_RETRY_BASE", "200ms"),
                ("POSTROOM_RETRY_CAP", "2s"),
                ("POSTROOM_CONCURRENCY", SLOTS),
                ("POSTROOM_WORKER_NAME", name),
                ("POSTROOM_LOG", "warn"),
            ])?);
        }
        let mut stage = Self { rig, client, workers, began };
        stage.wait_for_workers().await?;
        Ok(stage)
    }

    /// The queue, for what an operator sees.
    pub(crate) fn queue(&self) -> &Queue {
        self.client.queue()
    }

    async fn wait_for_workers(&mut self) -> anyhow::Result<()> {
        let queue = self.queue().clone();
        let wanted = self.workers.len() as u64;
        let there = until("both workers to be there", PATIENCE, || async {
            Ok((queue.stats().await?.workers >= wanted).then_some(()))
        })
        .await;
        self.check_workers().await?;
        there
    }

    /// Fails, with its log, if a worker has ended.
    pub(crate) async fn check_workers(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            if let Ok(status) = worker.wait(Duration::ZERO).await {
                anyhow::bail!("a worker ended ({status}); it wrote:\n{}", worker.log());
            }
        }
        Ok(())
    }

    /// What the workers wrote.
    pub(crate) fn worker_logs(&self) -> String {
        self.workers.iter().map(Process::log).collect::<Vec<_>>().join("\n")
    }

    /// Stops the workers in order.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            let stopped = worker.stop().await;
            let status = stopped.with_context(|| format!("stop a worker; it wrote:\n{}", worker.log()))?;
            anyhow::ensure!(status.success(), "a worker ended with {status}; it wrote:\n{}", worker.log());
        }
        self.rig.sandbox.stop().await;
        self.rig.redis.clean_up().await
    }

    /// Writes the settings that lead here as a file for a shell to read.
    pub(crate) fn write_exports(&self) -> anyhow::Result<PathBuf> {
        let path = self.rig.folder().join("demo.env");
        let line = |(name, value): &(String, String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
        let lines: String = self.rig.environment.iter().filter(|(name, _)| name != "PATH").map(line).collect();
        std::fs::write(&path, lines).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}
