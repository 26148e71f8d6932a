//! A private Redis on a free loopback port, in a folder of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::until;

/// What a Redis keeps through a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    None,
    /// Every write (`appendfsync always`).
    Always,
}

/// A running Redis: a private one, or one that was given.
pub struct RedisServer {
    url: String,
    private: Option<Private>,
}

struct Private {
    port: u16,
    folder: TempDir,
    persistence: Persistence,
    child: Mutex<Child>,
    extra: Vec<String>,
}

impl RedisServer {
    /// Starts one.
    ///
    /// # Errors
    /// If there is no `redis-server` or `valkey-server` on `PATH`, or it does not answer.
    pub async fn start(persistence: Persistence) -> anyhow::Result<Self> {
        Self::start_with(persistence, &[]).await
    }

    /// Starts one with further arguments.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_with(persistence: Persistence, extra: &[&str]) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        let extra: Vec<String> = extra.iter().map(|argument| (*argument).to_owned()).collect();
        let child = Mutex::new(spawn(port, &folder, persistence, &extra)?);
        let private = Some(Private { port, folder, persistence, child, extra });
        let server = Self { url: format!("redis://127.0.0.1:{port}/0"), private };
        server.wait().await?;
        Ok(server)
    }

    /// One that runs already, of which a database is empty. It is never restarted, stopped or configured.
    ///
    /// # Errors
    /// If it is not reached, or its database holds anything.
    pub async fn given(url: &str) -> anyhow::Result<Self> {
        let server = Self { url: url.to_owned(), private: None };
        let keys: u64 = server.ask(&["DBSIZE"]).await.context("POSTROOM_REDIS_URL: that Redis does not answer")?;
        anyhow::ensure!(
            keys == 0,
            "POSTROOM_REDIS_URL names a database with {keys} keys; an empty one is needed: name another (…/15), or unset it"
        );
        Ok(server)
    }

    /// Removes all that Postroom wrote into a Redis that was given.
    ///
    /// # Errors
    /// If it is not reached.
    pub async fn clean_up(&self) -> anyhow::Result<()> {
        if self.private.is_none() {
            for key in self.ask::<Vec<String>>(&["KEYS", "pr:*"]).await? {
                self.ask::<()>(&["DEL", &key]).await?;
            }
        }
        Ok(())
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Its port.
    ///
    /// # Errors
    /// If it is not ours.
    pub fn port(&self) -> anyhow::Result<u16> {
        Ok(self.private.as_ref().context("a Redis that was given is not ours to follow")?.port)
    }

    /// Gives its place to its replica, as `FAILOVER` does: nothing that it answered is lost. It is the other's replica then.
    ///
    /// # Errors
    /// If it has no replica that keeps up, or the change does not come about.
    pub async fn fail_over(&self) -> anyhow::Result<()> {
        let role = async |field: &str| -> anyhow::Result<Option<String>> {
            let text: String = self.ask(&["INFO", "replication"]).await?;
            let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            Ok(found.map(|value| value.trim().to_owned()))
        };
        until("a replica that keeps up", crate::PATIENCE, async || {
            let up = role("slave0").await?.is_some_and(|replica| replica.contains("state=online"));
            Ok(up.then_some(()))
        })
        .await?;
        self.ask::<()>(&["FAILOVER"]).await?;
        until("the replica to take over", crate::PATIENCE, async || {
            let state = role("master_failover_state").await?;
            Ok((role("role").await?.as_deref() == Some("slave") && state.as_deref() == Some("no-failover"))
                .then_some(()))
        })
        .await
    }

    /// Everything it keeps on disk, by file: what it holds, saved anew with nothing compressed, and what it wrote before.
    ///
    /// # Errors
    /// If it cannot save, or is not ours to look into.
    pub async fn files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let private = self.private.as_ref().context("a Redis that was given is not ours to look into")?;
        self.ask::<()>(&["SAVE"]).await?;
        let (mut files, mut folders) = (Vec::new(), vec![private.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    files.push((name, std::fs::read(path)?));
                }
            }
        }
        Ok(files)
    }

    /// Ends it as a crash would, and starts it again with what it kept.
    ///
    /// # Errors
    /// If it does not come back, or is not ours to end.
    pub async fn restart(&self, away: Duration) -> anyhow::Result<()> {
        let private = self.private.as_ref().context("a Redis that was given is not ours to restart")?;
        let mut child = private.child.lock().await;
        child.kill().await?;
        tokio::time::sleep(away).await;
        *child = spawn(private.port, &private.folder, private.persistence, &private.extra)?;
        self.wait().await
    }

    /// Sends it a signal, by name: `STOP`, `CONT`.
    ///
    /// # Errors
    /// If that fails, or it is not ours.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let private = self.private.as_ref().context("a Redis that was given is not ours to stop")?;
        let pid = private.child.lock().await.id().context("it has ended")?.to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().await?;
        anyhow::ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// A connection for looking into it.
    ///
    /// # Errors
    /// If it is not reached.
    pub async fn connection(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        // The library's half a second is too short for SAVE after an hour of chaos.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(crate::PATIENCE));
        Ok(redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// One command, its answer read as `T`.
    ///
    /// # Errors
    /// If it fails.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> anyhow::Result<T> {
        let mut words = command.iter();
        let mut cmd = redis::cmd(words.next().context("an empty command")?);
        for word in words {
            cmd.arg(*word);
        }
        Ok(cmd.query_async(&mut self.connection().await?).await?)
    }

    /// Commands processed since its start, those of scripts not counted, for each command's name.
    ///
    /// # Errors
    /// If it is not reached.
    pub async fn commands(&self) -> anyhow::Result<std::collections::BTreeMap<String, u64>> {
        let text: String = self.ask(&["INFO", "commandstats"]).await?;
        let line = |line: &str| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = figures.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    async fn wait(&self) -> anyhow::Result<()> {
        until("Redis to answer", Duration::from_secs(60), || async { Ok(self.ask::<String>(&["PING"]).await.ok()) })
            .await
            .map(drop)
    }
}

fn spawn(port: u16, folder: &TempDir, persistence: Persistence, extra: &[String]) -> anyhow::Result<Child> {
    let mut command = Command::new(redis_program()?);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]);
    // So that tests can look through what it keeps.
    command.args(["--rdbcompression", "no"]);
    command.arg("--dir").arg(folder.path());
    match persistence {
        Persistence::None => command.args(["--appendonly", "no"]),
        Persistence::Always => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
    };
    let log = std::fs::File::create(folder.path().join("redis.log"))?;
    command.args(extra).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().context("redis-server could not be started")
}

/// The program, `redis-server` or `valkey-server`.
///
/// # Errors
/// If there is neither on `PATH`.
pub fn redis_program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path)
        .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file());
    candidates.context("no redis-server or valkey-server on PATH: `make test` brings one")
}
