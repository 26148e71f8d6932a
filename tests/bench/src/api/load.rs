//! The caller: requests written beforehand, over kept connections, as quickly as they are answered or at a given pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests, ready to be written.
pub(super) struct Calls {
    server: String,
    requests: Arc<Vec<Vec<u8>>>,
}

impl Calls {
    pub(super) fn new(base: &str, path: &str, key: &str, bodies: &[Vec<u8>]) -> anyhow::Result<Self> {
        let server = base.strip_prefix("http://").context("an address that does not begin with http://")?.to_owned();
        let request = |body: &Vec<u8>| {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        };
        let requests = Arc::new(bodies.iter().map(request).collect());
        Ok(Self { server, requests })
    }
}

/// Asks as quickly as it is answered; answers a second.
pub(super) async fn unpaced(calls: &Calls, connections: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    run(calls, connections, None).await?;
    Ok(calls.requests.len() as f64 / began.elapsed().as_secs_f64())
}

/// Asks at a pace; how long each answer took from when its request was due, in milliseconds.
pub(super) async fn paced(calls: &Calls, connections: usize, a_second: f64) -> anyhow::Result<Vec<f64>> {
    run(calls, connections, Some(a_second)).await
}

async fn run(calls: &Calls, connections: usize, pace: Option<f64>) -> anyhow::Result<Vec<f64>> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        let stream = TcpStream::connect(&calls.server).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks = streams.into_iter().map(|stream| {
        let (requests, next) = (Arc::clone(&calls.requests), Arc::clone(&next));
        tokio::spawn(async move { one(stream, &requests, &next, began, pace).await })
    });
    let mut took = Vec::with_capacity(calls.requests.len());
    for task in try_join_all(tasks).await? {
        took.append(&mut task?);
    }
    Ok(took)
}

async fn one(
    mut stream: TcpStream,
    requests: &[Vec<u8>],
    next: &AtomicUsize,
    began: Instant,
    pace: Option<f64>,
) -> anyhow::Result<Vec<f64>> {
    let (mut took, mut answer) = (Vec::new(), Vec::with_capacity(4_096));
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(number) else { return Ok(took) };
        let mut due = Instant::now();
        if let Some(pace) = pace {
            due = began + Duration::from_secs_f64(number as f64 / pace);
            tokio::time::sleep_until(due.into()).await;
        }
        stream.write_all(request).await?;
        answer.clear();
        while !is_whole(&answer) {
            anyhow::ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
        }
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        took.push(due.elapsed().as_secs_f64() * 1_000.0);
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= end + 4 + length)
}
