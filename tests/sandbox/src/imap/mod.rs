//! The simulated `imap.gmail.com`, as far as looking for a mail in Sent goes: takes connections, gives each a task.
//! Reads only: nothing a client says changes what is stored.

mod command;
mod connection;
mod login;
mod mailbox;
mod search;
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
    let _open = state.counters.imap_connection();
    match state.faults.meet(Stage::ImapConnect, &Scene::default()) {
        Some(Action::DelayMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(Action::Silence) => return wait_for_hangup(&tcp).await,
        Some(_) => {
            let _ = tcp.set_zero_linger();
            return;
        }
        None => {}
    }
    if let Some(stream) = handshake(tcp, &tls).await {
        let _ = Connection::new(Wire::new(stream), state).serve().await;
    }
}
