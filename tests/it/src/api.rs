//! A `postroom serve` for a test, and somebody who asks it.

use std::time::Duration;

use anyhow::Context;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::{PATIENCE, Process, Rig, until};

/// A server that runs, and a key for it.
pub struct Api {
    /// The process.
    pub process: Process,
    /// `http://127.0.0.1:…`
    pub base: String,
    /// A key with all rights.
    pub key: String,
    client: Client,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The document; `null` if there is none.
    pub body: Value,
}

impl Answer {
    /// A field of the document as text.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

impl Rig {
    /// Starts `postroom serve` with further settings, and makes a key with all rights.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn serve(&self, further: &[(&str, &str)]) -> anyhow::Result<Api> {
        let key = self.key(&["create", "test", "--admin"]).await?;
        let (process, base) = self.serve_process(further).await?;
        Ok(Api { process, base, key, client: client()? })
    }

    /// `postroom key …`: what it prints, which for `create` is the key.
    ///
    /// # Errors
    /// If it fails.
    pub async fn key(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let made = self.postroom(&[&["key"], arguments].concat()).await?;
        anyhow::ensure!(made.code == Some(0), "postroom key: {}", made.stderr);
        Ok(made.stdout.trim().to_owned())
    }

    /// Starts `postroom serve` with further settings; answers its address.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn serve_process(&self, further: &[(&str, &str)]) -> anyhow::Result<(Process, String)> {
        start_serve(&self.with(further)).await
    }
}

/// Starts `postroom serve` on a free port; answers its address.
///
/// # Errors
/// If it cannot be started.
pub async fn start_serve(environment: &[(String, String)]) -> anyhow::Result<(Process, String)> {
    let mut environment = environment.to_vec();
    if !environment.iter().any(|(name, _)| name == "POSTROOM_LISTEN") {
        environment.push(("POSTROOM_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
    }
    let process = Process::start("postroom", &["serve"], &environment)?;
    let base = until("the server to listen", PATIENCE, || async {
        let log = process.log();
        let at = log.split("http.listen=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(at.map(|at| format!("http://{at}")))
    });
    let base = base.await.with_context(|| process.log())?;
    Ok((process, base))
}

/// A client that follows no redirect and gives up in time.
///
/// # Errors
/// If it cannot be made.
pub fn client() -> anyhow::Result<Client> {
    // Only the first can be installed; all are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().timeout(PATIENCE).connect_timeout(Duration::from_secs(5)).no_proxy().build()?)
}

impl Api {
    /// Asks with the server's key.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.ask_with(&self.key, method, path, &[], body).await
    }

    /// GET with the server's key.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask("GET", path, &Value::Null).await
    }

    /// POST with the server's key.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.ask("POST", path, body).await
    }

    /// Asks with a key (empty: with none) and further headers.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn ask_with(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let mut request = self.client.request(method.parse::<Method>()?, format!("{}{path}", self.base));
        if !key.is_empty() {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.header(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Ok(Answer { status, headers, body })
    }
}
