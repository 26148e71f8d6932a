//! Just enough HTTP for the sandbox's API: one request a connection, over a plain TCP stream on this machine.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// GET, its answer as JSON.
pub(crate) async fn get(server: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let body = request(server, "GET", path, "", "").await?;
    serde_json::from_slice(&body).with_context(|| format!("read the answer to GET {path}"))
}

/// POST without a body.
pub(crate) async fn post(server: SocketAddr, path: &str) -> anyhow::Result<()> {
    request(server, "POST", path, "", "").await.map(drop)
}

/// POST of a form, its answer as JSON.
pub(crate) async fn post_form(server: SocketAddr, path: &str, form: &str) -> anyhow::Result<Value> {
    let body = request(server, "POST", path, "application/x-www-form-urlencoded", form).await?;
    serde_json::from_slice(&body).with_context(|| format!("read the answer to POST {path}"))
}

async fn request(server: SocketAddr, method: &str, path: &str, kind: &str, body: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await.with_context(|| format!("connect to {server}"))?;
    // HTTP/1.0: the answer ends with the connection and comes in one piece.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("an answer without an end of its head")?;
    let status = answer.get(9..12).unwrap_or_default();
    anyhow::ensure!(status.starts_with(b"2"), "{method} {path}: {}", String::from_utf8_lossy(&answer[..end]));
    Ok(answer.split_off(end + 4))
}
