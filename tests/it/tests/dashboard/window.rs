//! What the dashboard's tests ask of a browser window besides: scripts, keys, sizes, light and dark, pictures, open dialogs.

use std::path::Path;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_it::{PATIENCE, until};
use serde_json::{Value, json};

use crate::driver::Browser;

/// A picture for the docs may have so many bytes.
const LARGEST_PICTURE: usize = 100 << 10;
/// Pictures are a little smaller than the window.
const SCALE: f64 = 0.8;

/// Runs a function's body in the page; answers what it returns.
pub(crate) async fn run(browser: &Browser, script: &str) -> anyhow::Result<Value> {
    browser.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] })).await
}

/// Waits until a person can read these words on the page; answers all of it.
pub(crate) async fn reads(browser: &Browser, words: &str) -> anyhow::Result<String> {
    browser.text_once(|text| text.contains(words)).await.with_context(|| words.to_owned())
}

/// Waits until an expression in the page is true.
pub(crate) async fn holds(browser: &Browser, expression: &str) -> anyhow::Result<()> {
    let script = format!("return Boolean({expression})");
    until(expression, PATIENCE, || async { Ok((run(browser, &script).await? == json!(true)).then_some(())) }).await
}

/// Chooses an option of a `<select>` as a person does.
pub(crate) async fn choose(browser: &Browser, name: &str, value: &str) -> anyhow::Result<()> {
    browser.click(&format!("select[name={name}] option[value='{value}']")).await
}

/// Whether a dialog is open, such as one of `alert()`.
pub(crate) async fn has_dialog(browser: &Browser) -> bool {
    browser.ask("GET", "/alert/text", &Value::Null).await.is_ok()
}

/// Shows pages this wide and high, and light or dark.
pub(crate) async fn look(browser: &Browser, (width, height): (u32, u32), scheme: &str) -> anyhow::Result<()> {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": SCALE, "mobile": false });
    command(browser, "Emulation.setDeviceMetricsOverride", &metrics).await?;
    let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    command(browser, "Emulation.setEmulatedMedia", &media).await
}

async fn command(browser: &Browser, name: &str, parameters: &Value) -> anyhow::Result<()> {
    browser.ask("POST", "/goog/cdp/execute", &json!({ "cmd": name, "params": parameters })).await.map(drop)
}

/// Keeps a picture of the window.
pub(crate) async fn picture(browser: &Browser, folder: &Path, name: &str) -> anyhow::Result<()> {
    let picture = browser.ask("GET", "/screenshot", &Value::Null).await?;
    let bytes = STANDARD.decode(picture.as_str().context("no picture")?)?;
    ensure!(bytes.len() < LARGEST_PICTURE, "{name}: {} bytes", bytes.len());
    Ok(std::fs::write(folder.join(format!("{name}.png")), bytes)?)
}

/// What axe-core finds on the page that is serious or critical: one line each.
pub(crate) async fn serious(browser: &Browser, axe: &str) -> anyhow::Result<Vec<String>> {
    run(browser, axe).await?;
    let script = "const done = arguments[arguments.length - 1]; axe.run(document, { iframes: false }).then(\
                  (found) => done(found.violations.flatMap((one) => one.nodes.map((node) => \
                  [one.impact, one.id, node.html, (node.any[0] || {}).message].join(' | ')))), (error) => done(['failed: ' + error]));";
    let found = browser.ask("POST", "/execute/async", &json!({ "script": script, "args": [] })).await?;
    let lines = found.as_array().context("no list")?.iter().filter_map(Value::as_str);
    let bad = |line: &&str| ["serious", "critical", "failed"].iter().any(|word| line.starts_with(word));
    Ok(lines.filter(bad).map(str::to_owned).collect())
}
