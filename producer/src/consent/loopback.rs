//! The listener on 127.0.0.1 to which the consent page sends the browser: one small HTTP exchange.
//!
//! Only `GET /` with an answer of a consent page goes through; everything else is turned away here. Requests are bounded in
//! size, number and time, and a connection that says nothing keeps nobody waiting: browsers open some in advance.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::{ConsentError, Redirected, page};

const LONGEST_HEAD: usize = 16 * 1024;
const WITHIN: Duration = Duration::from_secs(10);
const MOST_AT_ONCE: usize = 32;
/// After an error of the listener itself, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// Waits for a browser. Dropping it closes the port.
pub struct Loopback {
    port: u16,
    visits: mpsc::Receiver<Visit>,
    serving: JoinHandle<()>,
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Loopback {
    /// Listens on a port of 127.0.0.1; on a free one if it is 0.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub async fn bind(port: u16) -> Result<Self, ConsentError> {
        let unusable = |error: io::Error| {
            if error.kind() == ErrorKind::AddrInUse {
                return ConsentError::PortTaken(port);
            }
            ConsentError::PortUnusable { port, why: error.to_string() }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        let (sender, visits) = mpsc::channel(1);
        Ok(Self { port, visits, serving: tokio::spawn(serve(listener, sender)) })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address to which the consent page shall send the browser.
    #[must_use]
    pub fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next browser that brings an answer. Safe to drop and call again.
    pub async fn next(&mut self) -> Visit {
        match self.visits.recv().await {
            Some(visit) => visit,
            // The task that serves ends only with us.
            None => std::future::pending().await,
        }
    }
}

/// A browser that brought an answer and waits for a page.
pub struct Visit {
    /// What it brought.
    pub redirected: Redirected,
    stream: TcpStream,
}

impl Visit {
    /// Shows the person the outcome: that the window may be closed, or what went wrong.
    pub async fn answer(mut self, outcome: Result<(), &str>) {
        answer(&mut self.stream, &page::outcome(outcome)).await;
    }

    /// Shows the person that this was the answer to another login.
    pub async fn turn_away(mut self) {
        answer(&mut self.stream, &page::mismatch()).await;
    }
}

async fn serve(listener: TcpListener, visits: mpsc::Sender<Visit>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_AT_ONCE => match accepted {
                Ok((stream, _)) => drop(connections.spawn(receive(stream, visits.clone()))),
                Err(_) => tokio::time::sleep(REST).await,
            },
        }
    }
}

async fn receive(mut stream: TcpStream, visits: mpsc::Sender<Visit>) {
    let Ok(Some(head)) = tokio::time::timeout(WITHIN, read_head(&mut stream)).await else { return };
    match Request::parse(&head) {
        Request::Answer(redirected) => drop(visits.send(Visit { redirected, stream }).await),
        Request::Elsewhere => answer(&mut stream, &page::nothing_here()).await,
        Request::NotGet => answer(&mut stream, &page::only_get()).await,
    }
}

/// The request's head; nothing if it does not end, or is too long.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(2_048);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Nobody can be told if a page is not shown: the outcome stands at the terminal too.
async fn answer(stream: &mut TcpStream, page: &[u8]) {
    let saying = async {
        stream.write_all(page).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(WITHIN, saying).await;
}

/// What a request is to us.
enum Request {
    Answer(Redirected),
    Elsewhere,
    NotGet,
}

impl Request {
    fn parse(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = std::str::from_utf8(line).unwrap_or_default();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method != "GET" {
            return Self::NotGet;
        }
        let path = target.split('?').next().unwrap_or_default();
        match Redirected::parse(target) {
            Some(redirected) if path == "/" => Self::Answer(redirected),
            Some(_) | None => Self::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends bytes and reads what comes until the connection ends.
    async fn ask(port: u16, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        // A server that has seen enough closes before it has read all.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn only_an_answer_at_the_root_goes_through() {
        let mut loopback = Loopback::bind(0).await.unwrap();
        let port = loopback.port();
        assert_eq!(loopback.redirect(), format!("http://127.0.0.1:{port}"));
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        for (request, status) in [
            ("GET /favicon.ico HTTP/1.1\r\n\r\n", "404"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /x?code=c&state=s HTTP/1.1\r\n\r\n", "404"),
            ("GET http://example.com/?code=c&state=s HTTP/1.1\r\n\r\n", "404"),
            ("POST /?code=c&state=s HTTP/1.1\r\n\r\n", "405"),
            ("nonsense\r\n\r\n", "405"),
        ] {
            let answer = ask(port, request.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        }
        assert_eq!(ask(port, &vec![b'x'; LONGEST_HEAD * 4]).await, "");
        assert!(loopback.visits.try_recv().is_err());

        let asking = tokio::spawn(async move { ask(port, b"GET /?code=c&state=s HTTP/1.1\r\nHost: x\r\n\r\n").await });
        let visit = loopback.next().await;
        assert_eq!(visit.redirected.state, "s");
        visit.answer(Ok(())).await;
        let shown = asking.await.unwrap();
        assert!(shown.starts_with("HTTP/1.1 200 ") && shown.contains("You may close this window"), "{shown}");
    }

    #[tokio::test]
    async fn a_taken_port_is_told_and_a_dropped_listener_frees_its_own() {
        let first = Loopback::bind(0).await.unwrap();
        let port = first.port();
        assert_eq!(Loopback::bind(port).await.err(), Some(ConsentError::PortTaken(port)));
        drop(first);
        let again = async {
            while Loopback::bind(port).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, again).await.unwrap();
    }
}
