//! Somebody at the dashboard of a `postroom serve`, without a browser: keeps the cookie, and asks as a browser would.

use anyhow::Context;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::{Api, PATIENCE, Rig};

/// Somebody who is logged in, or not yet.
pub struct Visitor {
    client: Client,
    base: String,
    /// The cookie, as it is sent.
    pub cookie: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct PageAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The page.
    pub text: String,
}

impl PageAnswer {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Rig {
    /// Starts `postroom serve` with a dashboard.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn serve_dashboard(&self, access: &str) -> anyhow::Result<Api> {
        self.serve(&[("POSTROOM_DASHBOARD", access)]).await
    }
}

impl Visitor {
    /// Somebody who is not logged in.
    ///
    /// # Errors
    /// If there is no client to be had.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        // Only the first can be installed; all are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { client, base: base.to_owned(), cookie: None })
    }

    /// Somebody who logs in with a key.
    ///
    /// # Errors
    /// If they are not let in.
    pub async fn log_in(base: &str, key: &str) -> anyhow::Result<Self> {
        let mut visitor = Self::new(base)?;
        let answer = visitor.post("/dashboard/login", &[("key", key)]).await?;
        anyhow::ensure!(answer.status == 303, "not let in: {} {}", answer.status, answer.text);
        let cookie = answer.header("set-cookie").split(';').next().context("no cookie")?;
        visitor.cookie = Some(cookie.to_owned());
        Ok(visitor)
    }

    /// A page.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<PageAnswer> {
        self.get_from(path, &[]).await
    }

    /// A page, as somebody asks for it who says of themselves what these headers say.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get_from(&self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<PageAnswer> {
        read(self.send("GET", path, headers, None).await?).await
    }

    /// A form of our own page.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<PageAnswer> {
        self.post_from(path, fields, &[("origin", &self.base)]).await
    }

    /// A form of a page that says of itself what these headers say.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post_from(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> anyhow::Result<PageAnswer> {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        read(self.send("POST", path, headers, Some(body.join("&"))).await?).await
    }

    /// A page that goes on, such as a stream of events.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn open(&self, path: &str) -> anyhow::Result<Response> {
        self.send("GET", path, &[], None).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> anyhow::Result<Response> {
        let mut request = self.client.request(method.parse()?, format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        request.send().await.with_context(|| format!("{method} {path}"))
    }
}

async fn read(response: Response) -> anyhow::Result<PageAnswer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(PageAnswer { status, headers, text: response.text().await? })
}

/// A value as forms write it.
fn escaped(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
