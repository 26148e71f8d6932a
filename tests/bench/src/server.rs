//! The sandbox as a process of its own, so that its processor time is counted with nobody else's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use postroom_it::{Process, until};
use serde_json::Value;
use tempfile::TempDir;

use crate::http;
use crate::stand::PATIENCE;

/// Mails listed in one answer.
const PAGE: usize = 5_000;

/// A mail as the server received it.
pub(crate) struct Arrival {
    pub(crate) message_id: String,
    /// Unix time in milliseconds, with a fraction.
    pub(crate) received_ms: f64,
}

/// A running sandbox.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// The settings that point Postroom to it.
    pub(crate) environment: Vec<(String, String)>,
    folder: TempDir,
    http: SocketAddr,
}

impl Server {
    /// Starts one with further flags.
    pub(crate) async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().display().to_string();
        let mut arguments = vec![
            "--smtp",
            "127.0.0.1:0",
            "--imap",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--keep",
            "none",
            "--dir",
            &path,
        ];
        arguments.extend(flags);
        let process = Process::start("postroom-sandbox", &arguments, &[])?;
        let file = folder.path().join("env");
        let text = until("the sandbox to listen", PATIENCE, || async { Ok(std::fs::read_to_string(&file).ok()) }).await;
        let environment = parse(&text.with_context(|| process.log())?);
        let named: HashMap<_, _> = environment.iter().cloned().collect();
        let token_url = named.get("POSTROOM_TOKEN_URL").context("the sandbox tells no token URL")?;
        let http = token_url.trim_start_matches("http://").trim_end_matches("/token").parse()?;
        Ok(Self { process, environment, folder, http })
    }

    /// Where SMTP is spoken.
    pub(crate) fn smtp(&self) -> anyhow::Result<SocketAddr> {
        let url = self.environment.iter().find(|(name, _)| name == "POSTROOM_SMTP_URL");
        let (_, url) = url.context("the sandbox tells no SMTP URL")?;
        Ok(url.rsplit('=').next().unwrap_or_default().parse()?)
    }

    /// The certificate to trust.
    pub(crate) fn ca_file(&self) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join("ca.pem")
    }

    /// An access token of an account.
    pub(crate) async fn token(&self, account: &str) -> anyhow::Result<String> {
        let client =
            format!("client_id={}&client_secret={}", postroom_sandbox::CLIENT_ID, postroom_sandbox::CLIENT_SECRET);
        let refresh = format!("{}{account}", postroom_sandbox::REFRESH_PREFIX).replace(':', "%3A").replace('@', "%40");
        let form = format!("grant_type=refresh_token&refresh_token={refresh}&{client}");
        let answer = http::post_form(self.http, "/token", &form).await?;
        Ok(answer["access_token"].as_str().context("no access token")?.to_owned())
    }

    /// Its counters.
    pub(crate) async fn stats(&self) -> anyhow::Result<Value> {
        http::get(self.http, "/api/stats").await
    }

    /// Forgets mails and counters.
    pub(crate) async fn reset(&self) -> anyhow::Result<()> {
        http::post(self.http, "/api/reset").await
    }

    /// Waits until it has received so many mails.
    pub(crate) async fn wait_for(&self, mails: usize) -> anyhow::Result<()> {
        let began = std::time::Instant::now();
        loop {
            let received = self.stats().await?["mails_accepted"].as_u64().unwrap_or(0);
            if received >= mails as u64 {
                return Ok(());
            }
            anyhow::ensure!(
                began.elapsed() < PATIENCE,
                "the server has {received} of {mails} mails after {PATIENCE:?}"
            );
            // Seldom, for the answer costs the server time; the figures come from its own record.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// All mails it received, in the order they came.
    pub(crate) async fn arrivals(&self) -> anyhow::Result<Vec<Arrival>> {
        let mut arrivals = Vec::new();
        loop {
            let path = format!("/api/mails?offset={}&limit={PAGE}", arrivals.len());
            let answer = http::get(self.http, &path).await?;
            let mails = answer["mails"].as_array().context("no list of mails")?;
            if mails.is_empty() {
                return Ok(arrivals);
            }
            arrivals.extend(mails.iter().map(|mail| Arrival {
                message_id: mail["message_id"].as_str().unwrap_or_default().to_owned(),
                received_ms: mail["received_ms"].as_f64().unwrap_or(0.0),
            }));
        }
    }

    /// The times at which the mails came, sorted; fails unless they are so many, each once.
    pub(crate) async fn received_ms(&self, expected: usize) -> anyhow::Result<Vec<f64>> {
        let stats = self.stats().await?;
        let (accepted, doubled) = (&stats["mails_accepted"], &stats["doubled"]);
        anyhow::ensure!(
            accepted.as_u64() == Some(expected as u64) && doubled.as_u64() == Some(0),
            "the server has {accepted} mails of {expected}, {doubled} of them doubled"
        );
        Ok(crate::measure::sorted(self.arrivals().await?.iter().map(|arrival| arrival.received_ms).collect()))
    }
}

/// Lines of shell: `export NAME='value'`.
fn parse(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    text.lines().filter_map(line).collect()
}
