//! Our binaries as processes: where they lie, how they are run, what they wrote.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// A binary of this workspace, built in the same profile as the caller.
///
/// # Errors
/// If it has not been built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(3).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace` first"))
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs a binary to its end.
///
/// # Errors
/// If it cannot be run, or does not end within a minute.
pub async fn run<S: AsRef<OsStr>>(
    name: &str,
    arguments: &[S],
    environment: &[(String, String)],
    input: &[u8],
) -> anyhow::Result<Finished> {
    let mut command = Command::new(binary(name)?);
    command.args(arguments).env_clear().envs(environment.iter().cloned()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let feed = async {
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let ended = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = tokio::time::timeout(crate::PATIENCE * 5, ended).await.context("it did not end")??;
    Ok(Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A binary that keeps running. Dropping it kills it.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts one; its output is gathered.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<Self> {
        Self::start_program(&binary(name)?, arguments, environment)
    }

    /// Starts one to whose standard input lines can be typed; its output is gathered.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_typing(name: &str, arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<Self> {
        Self::spawn(&binary(name)?, arguments, environment, Stdio::piped())
    }

    /// Starts a program of somebody else's; its output is gathered.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_program(path: &Path, arguments: &[&str], environment: &[(String, String)]) -> anyhow::Result<Self> {
        Self::spawn(path, arguments, environment, Stdio::null())
    }

    fn spawn(path: &Path, arguments: &[&str], environment: &[(String, String)], stdin: Stdio) -> anyhow::Result<Self> {
        let mut command = Command::new(path);
        command.args(arguments).env_clear().envs(environment.iter().cloned()).kill_on_drop(true);
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            gather(child.stdout.take().context("no standard output")?, Arc::clone(&log)),
            gather(child.stderr.take().context("no standard error")?, Arc::clone(&log)),
        ];
        Ok(Self { stdin: child.stdin.take(), child, log, readers })
    }

    /// Types a line.
    ///
    /// # Errors
    /// If it was not started for it, or reads no more.
    pub async fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("started without a standard input")?;
        Ok(stdin.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Waits for its end and for all that it wrote; answers its exit code and that.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn ended(&mut self, patience: Duration) -> anyhow::Result<(Option<i32>, String)> {
        let status = self.wait(patience).await?;
        for reader in self.readers.drain(..) {
            tokio::time::timeout(patience, reader).await.context("its output is still open")??;
        }
        Ok((status.code(), self.log()))
    }

    /// Its process id.
    ///
    /// # Errors
    /// If it has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends it a signal, by name: `TERM`, `INT`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.pid()?.to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().await?;
        anyhow::ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    /// If that fails.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        Ok(tokio::time::timeout(patience, self.child.wait()).await.context("the process did not end")??)
    }

    /// Tells it to stop (`SIGTERM`) and waits for its end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM").await?;
        self.wait(crate::PATIENCE).await
    }

    /// Its resident memory in KiB.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        self.status_field("VmRSS:")
    }

    /// The most resident memory it ever had, in KiB.
    ///
    /// # Errors
    /// If it has ended.
    pub fn peak_resident_kib(&self) -> anyhow::Result<u64> {
        self.status_field("VmHWM:")
    }

    fn status_field(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("no such field")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// Processor time it used so far, user and system, in seconds.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("an odd stat line")?.1.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        // The fields after the name begin with the state; utime and stime are the 12th and 13th. 100 ticks a second.
        Ok((ticks(11) + ticks(12)) / 100.0)
    }
}

fn gather(from: impl AsyncRead + Unpin + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    })
}
