//! Just enough of an HTTP client for tests: one request a connection, over plain TCP on this machine.

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Where it leads.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// Asks a server for an address that begins with `http://`. Follows no redirect.
///
/// # Errors
/// If there is no answer, or none that can be read.
pub async fn http(method: &str, url: &str, kind: &str, body: &str) -> anyhow::Result<HttpAnswer> {
    let rest = url.strip_prefix("http://").context("an address that does not begin with http://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).await.with_context(|| format!("connect to {host}"))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut bytes = Vec::new();
    // Some servers keep the connection open all the same.
    while read(&bytes).is_none() {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "{method} {host}: the answer broke off");
    }
    read(&bytes).context("an answer")
}

/// The answer, once all of it is there.
fn read(bytes: &[u8]) -> Option<HttpAnswer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let header = |wanted: &str| {
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(HttpAnswer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        location: header("location"),
        body: String::from_utf8_lossy(body).into_owned(),
    })
}
