//! Accepting connections, plain or by TLS, and serving them until it is told to stop.
//!
//! What a connection may do before its request has come whole is bounded here: the size and the time of its head, and how
//! many there are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::answer::answer;
use super::body::Memory;
use super::crowd::{Crowd, Place};
use super::open_files;
use super::stream::Bounded;
use super::tls::TlsServer;

/// A request's line and headers together, in bytes, and how many headers.
const HEAD_BYTES: usize = 32 << 10;
const MOST_HEADERS: usize = 64;
/// How long nothing is accepted after the system refused to.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Connections that the system may keep waiting until they are accepted; it may allow fewer (`net.core.somaxconn`).
const MOST_WAITING: u32 = 4_096;

/// Listens at an address. Where many come at once, the library's own 128 places are too few: whoever finds none is dropped after it
/// was told that it is connected.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(MOST_WAITING)
}

/// What serving needs.
pub(super) struct Listening {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsServer>,
    pub(super) router: Router,
    pub(super) memory: Memory,
    pub(super) connections: usize,
    pub(super) timeout: Duration,
    pub(super) drain: Duration,
}

impl Listening {
    /// Serves until `stop`, then lets the requests under way come to their end.
    pub(super) async fn serve(self, stop: impl Future<Output = ()>) {
        let (crowd, graceful) = (Arc::new(Crowd::default()), GracefulShutdown::new());
        let most = open_files::room_for(self.connections);
        let server =
            Arc::new(Server { tls: self.tls, router: self.router, memory: self.memory, timeout: self.timeout });
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if crowd.make_room(most) {
                            enter(&crowd, Arc::clone(&server), stream, graceful.watcher());
                        }
                    }
                    Err(error) => after(&error).await,
                },
            }
        }
        for stream in arrived(self.listener) {
            if crowd.make_room(most) {
                enter(&crowd, Arc::clone(&server), stream, graceful.watcher());
            }
        }
        if tokio::time::timeout(self.drain, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                connections = crowd.count(),
                "requests under way were cut off: POSTROOM_DRAIN_SECONDS ran out"
            );
        }
    }
}

/// Closes the listener; answers the connections that it had taken already, so that nobody's request breaks off.
fn arrived(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let accepted = std::iter::from_fn(|| listener.accept().ok()).take(MOST_WAITING as usize);
    accepted
        .filter_map(|(stream, _)| {
            stream.set_nonblocking(true).ok()?;
            TcpStream::from_std(stream).ok()
        })
        .collect()
}

/// A task of its own for a connection, with its place in the crowd.
fn enter(crowd: &Arc<Crowd>, server: Arc<Server>, stream: TcpStream, watcher: Watcher) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        if let Ok(place) = told.await {
            server.connection(stream, Arc::new(place), watcher).await;
        }
    });
    let _ = tell.send(crowd.enter(task.abort_handle()));
}

/// What keeps one connection from being accepted is that connection's own; what keeps all from it, such as too many open
/// files, takes a pause.
async fn after(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) {
        tracing::warn!(%error, "no connection can be accepted for now");
        tokio::time::sleep(AFTER_REFUSAL).await;
    }
}

struct Server {
    tls: Option<TlsServer>,
    router: Router,
    memory: Memory,
    timeout: Duration,
}

impl Server {
    async fn connection(&self, stream: TcpStream, place: Arc<Place>, watcher: Watcher) {
        let _ = stream.set_nodelay(true);
        let stream = Bounded::new(stream, self.timeout);
        match &self.tls {
            None => self.requests(stream, place, watcher).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(self.timeout, tls.accept(stream)).await {
                    self.requests(stream, place, watcher).await;
                }
            }
        }
    }

    async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        place: Arc<Place>,
        watcher: Watcher,
    ) {
        let answer = |request: hyper::Request<Incoming>| {
            answer(self.router.clone(), request, Arc::clone(&place), self.memory.clone())
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.timeout)
            .max_buf_size(HEAD_BYTES)
            .max_headers(MOST_HEADERS)
            .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
        // How it ended is the caller's affair: whatever was asked has been answered or was never whole.
        let _ = watcher.watch(connection).await;
    }
}
