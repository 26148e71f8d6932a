//! An access token from the sandbox, for tests that need no Redis.

use anyhow::Context;
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox};

use crate::http;

/// Asks the sandbox's token endpoint for a token of an account.
///
/// # Errors
/// If it gives none.
pub async fn access_token(sandbox: &Sandbox, address: &str) -> anyhow::Result<String> {
    let refresh = Sandbox::refresh_token(address).replace('@', "%40").replace(':', "%3A");
    let form =
        format!("grant_type=refresh_token&refresh_token={refresh}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let answer = http("POST", &sandbox.token_url(), "application/x-www-form-urlencoded", &form).await?;
    let body: serde_json::Value = serde_json::from_str(&answer.body)?;
    Ok(body["access_token"].as_str().context("no access token in the answer")?.to_owned())
}
