//! Chromium, driven over the WebDriver protocol: just enough of it to read a page, click and type.
//! The browser reaches nothing but this machine.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use postroom_it::{PATIENCE, Process, http, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name under which the protocol hands out an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser window.
pub(crate) struct Browser {
    session: String,
    _driver: Process,
    _profile: TempDir,
}

fn on_path(names: &[&str]) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    let found = folders.find_map(|folder| names.iter().map(|name| folder.join(name)).find(|file| file.is_file()));
    found.with_context(|| format!("{names:?}: none is on PATH; `make test-browser` installs it on Debian, as root"))
}

impl Browser {
    /// Starts one with a profile of its own.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (driver, chromium) = (on_path(&["chromedriver"])?, on_path(&["chromium", "google-chrome"])?);
        let profile = tempfile::tempdir()?;
        let environment = [
            ("PATH".to_owned(), std::env::var_os("PATH").unwrap_or_default().to_string_lossy().into_owned()),
            ("HOME".to_owned(), profile.path().display().to_string()),
        ];
        let driver = Process::start_program(&driver, &["--port=0"], &environment)?;
        let port = until("the driver to listen", PATIENCE, || async {
            let log = driver.log();
            let port = log.split("started successfully on port ").nth(1).and_then(|rest| rest.split('.').next());
            Ok(port.map(str::to_owned))
        })
        .await
        .map_err(|error| error.context(driver.log()))?;
        let root = format!("http://127.0.0.1:{port}/session");
        let session = ask("POST", &root, &capabilities(&chromium, profile.path())).await?;
        let id = session["sessionId"].as_str().context("no session")?;
        Ok(Self { session: format!("{root}/{id}"), _driver: driver, _profile: profile })
    }

    /// Goes to an address and waits until its page is there.
    pub(crate) async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.ask("POST", "/url", &json!({ "url": url })).await.map(drop)
    }

    /// Clicks what a CSS selector finds, and waits for the page to which that may lead.
    pub(crate) async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.find(selector).await?;
        self.ask("POST", &format!("/element/{element}/click"), &json!({})).await.map(drop)
    }

    /// Types into what a CSS selector finds.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        let element = self.find(selector).await?;
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text })).await.map(drop)
    }

    /// What a person can read on the page, as soon as it fits. While a page takes the place of another the driver fails in
    /// many ways: then it is asked again.
    pub(crate) async fn text_once(&self, fits: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let read = || async {
            let element = self.find("body").await?;
            let text = self.ask("GET", &format!("/element/{element}/text"), &Value::Null).await?;
            Ok::<_, anyhow::Error>(text.as_str().context("no text")?.to_owned())
        };
        let last = RefCell::new(String::new());
        let found = until("a page that fits", PATIENCE, || async {
            let (said, fitting) = match read().await {
                Ok(text) => (text.clone(), fits(&text).then_some(text)),
                Err(error) => (format!("{error:#}"), None),
            };
            last.replace(said);
            Ok(fitting)
        });
        found.await.map_err(|error| error.context(last.take()))
    }

    /// The page as it is written.
    pub(crate) async fn source(&self) -> anyhow::Result<String> {
        Ok(self.ask("GET", "/source", &Value::Null).await?.as_str().context("no source")?.to_owned())
    }

    /// Ends it, so that no process of it stays.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.ask("DELETE", "", &Value::Null).await.map(drop)
    }

    async fn find(&self, selector: &str) -> anyhow::Result<String> {
        let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": selector })).await?;
        Ok(found[ELEMENT].as_str().context("no element")?.to_owned())
    }

    /// Asks the driver for something of this window.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        ask(method, &format!("{}{path}", self.session), body).await
    }
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let arguments = [
        "--headless=new",
        // It runs as root in containers, and shows our own pages only.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        &format!("--user-data-dir={}", profile.display()),
    ];
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "binary": chromium, "args": arguments },
    }}})
}

async fn ask(method: &str, url: &str, body: &Value) -> anyhow::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let asking = http(method, url, "application/json", &body);
    let answer = tokio::time::timeout(PATIENCE, asking).await.context("the driver does not answer")??;
    let mut value: Value = serde_json::from_str(&answer.body)?;
    ensure!(answer.status == 200, "{method} {url}: {}", value["value"]["message"]);
    Ok(value["value"].take())
}
