//! The simulated `smtp.gmail.com`: takes TCP connections and gives each a task of its own.
//! Hands no mail on to anyone: what it accepts ends in the store.

mod command;
mod connection;
mod content;
mod flow;
mod login;
mod mail;
mod replies;
mod scan;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::faults::{Action, Scene, Stage};
use crate::state::State;
use connection::Connection;
use wire::Wire;

/// A client that does not finish the TLS handshake in this time is dropped.
pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(30);

/// Serves until the task is aborted; the connections' tasks end with it.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(serve_one(tcp, tls.clone(), Arc::clone(&state)));
                }
                // Out of file descriptors, most likely: let some connections end first.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection from accept to close. A client that goes away is no error of the server.
async fn serve_one(tcp: TcpStream, tls: TlsAcceptor, state: Arc<State>) {
    let open = state.counters.connection();
    match state.faults.meet(Stage::Connect, &Scene::default()) {
        Some(Action::DelayMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(Action::Silence) => return wait_for_hangup(&tcp).await,
        Some(Action::Cut) => {
            let _ = tcp.set_zero_linger();
            return;
        }
        None
        | Some(
            Action::Reply(_)
            | Action::AcceptThenCut
            | Action::StoreAndDelayMs(_)
            | Action::No(_)
            | Action::Http(_)
            | Action::Garbage(_),
        ) => {}
    }
    let _ = tcp.set_nodelay(true);
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(tcp)).await {
        let _ = Connection::new(Wire::new(stream), state, open).serve().await;
    }
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
