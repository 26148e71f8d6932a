//! What the simulated servers for SMTP and IMAP share: connections are taken, each has a task of its own, TLS comes first.
//! Says nothing to a client by itself.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A client that does not finish the TLS handshake in this time is dropped.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);

/// Gives each connection to `serve_one`, until the task is aborted; the connections' tasks end with it.
pub(crate) async fn listen<F>(listener: TcpListener, mut serve_one: impl FnMut(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(serve_one(tcp));
                }
                // Out of file descriptors, most likely: let some connections end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The TLS handshake. `None`: the client failed in it, or took too long.
pub(crate) async fn handshake(tcp: TcpStream, tls: &TlsAcceptor) -> Option<TlsStream<TcpStream>> {
    let _ = tcp.set_nodelay(true);
    tokio::time::timeout(HANDSHAKE_TIME, tls.accept(tcp)).await.ok()?.ok()
}

/// Takes what comes and answers nothing.
pub(crate) async fn wait_for_hangup(tcp: &TcpStream) {
    let mut waste = [0; 1024];
    while tcp.readable().await.is_ok() {
        match tcp.try_read(&mut waste) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
