//! An access token from the sandbox, for tests that need no Redis.

use anyhow::Context;
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, Sandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks the sandbox's token endpoint for a token of an account.
///
/// # Errors
/// If it gives none.
pub async fn access_token(sandbox: &Sandbox, address: &str) -> anyhow::Result<String> {
    let refresh = Sandbox::refresh_token(address).replace('@', "%40").replace(':', "%3A");
    let form =
        format!("grant_type=refresh_token&refresh_token={refresh}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let request = format!(
        "POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut tcp = TcpStream::connect(sandbox.http_addr()).await?;
    tcp.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").context("no HTTP answer")?.1;
    let body: serde_json::Value = serde_json::from_str(body)?;
    Ok(body["access_token"].as_str().context("no access token in the answer")?.to_owned())
}
