//! `postroom account login` under way: the process, and the address that the person's browser has to open.

use crate::{PATIENCE, Process, Rig, until};

/// A login that waits for its person.
pub struct Login {
    /// The command.
    pub process: Process,
    /// The consent page's address.
    pub url: String,
}

impl Login {
    /// Starts one and waits until it has told the address.
    ///
    /// # Errors
    /// If it does not come so far; the text holds what it said.
    pub async fn start(rig: &Rig, arguments: &[&str], settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let arguments = [&["account", "login"], arguments].concat();
        let process = Process::start_typing("postroom", &arguments, &rig.with(settings))?;
        let told = until("the address of the consent page", PATIENCE, || async {
            let log = process.log();
            let address = |line: &str| line.strip_prefix("  http").map(|rest| format!("http{rest}"));
            Ok(log.contains("Ctrl-C").then(|| log.lines().find_map(address)).flatten())
        });
        let url = told.await.map_err(|error| error.context(process.log()))?;
        Ok(Self { process, url })
    }

    /// Waits for its end; answers its exit code and all that it wrote, in which no secret may stand.
    ///
    /// # Errors
    /// If it does not end, or wrote a secret.
    pub async fn ended(mut self) -> anyhow::Result<(Option<i32>, String)> {
        let (code, log) = self.process.ended(PATIENCE).await?;
        let secrets = secrets_in(&log);
        anyhow::ensure!(secrets.is_empty(), "{secrets:?} stand in: {log}");
        Ok((code, log))
    }
}

/// What must never stand in what a person, a log or a browser's page shows, as far as it stands in this text: tokens, codes,
/// the client's secret and the sealing key.
#[must_use]
pub fn secrets_in(text: &str) -> Vec<&'static str> {
    let all = [
        "sandbox-access.",
        "sandbox-consent.",
        "sandbox-refresh:",
        "4/0",
        "4%2F0",
        postroom_sandbox::CLIENT_SECRET,
        "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE",
    ];
    all.into_iter().filter(|secret| text.contains(secret)).collect()
}
