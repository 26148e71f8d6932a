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
use tokio_rustls::TlsAcceptor;

use crate::faults::{Action, Scene, Stage};
use crate::listen::{handshake, listen, wait_for_hangup};
use crate::state::State;
use connection::Connection;
use wire::Wire;

/// Serves until the task is aborted; the connections' tasks end with it.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    listen(listener, |tcp| serve_one(tcp, tls.clone(), Arc::clone(&state))).await;
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
    if let Some(stream) = handshake(tcp, &tls).await {
        let _ = Connection::new(Wire::new(stream), state, open).serve().await;
    }
}
