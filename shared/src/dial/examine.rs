//! A dial that says how far it came and what it saw on its way: for `postroom doctor`.

use std::io;

use rustls::CertificateError;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::validity::not_after;
use super::{DialError, TlsDialer, reach, resolve};
use crate::clock::Millis;
use crate::reply::Silence;

/// A connection that was opened to be looked at.
pub struct Examined {
    /// The stream.
    pub stream: TlsStream<TcpStream>,
    /// Until when the server's certificate is valid, if that can be read.
    pub ends: Option<Millis>,
}

/// How far a dial came that did not succeed. The texts are for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The name has no address.
    Unresolved(String),
    /// No address answered.
    Unreachable(String),
    /// Nothing came within the time limit.
    Late(String),
    /// The certificate was made for other names.
    OtherName(String),
    /// The certificate's authority is not trusted.
    UnknownAuthority(String),
    /// The certificate's time is over, or has not begun.
    NotValidNow(String),
    /// TLS failed for another reason.
    Tls(String),
}

impl TlsDialer {
    /// Dials as [`TlsDialer::dial`] does, and tells what it saw.
    ///
    /// # Errors
    /// How far it came.
    pub async fn examine(&self) -> Result<Examined, Obstacle> {
        let deadline = Instant::now() + self.limit;
        let late = |_| Obstacle::Late("no connection within the time limit".to_owned());
        let (host, port) = &self.server.connect;
        let opening = async {
            let addresses = resolve(host, *port).await.map_err(|error| Obstacle::Unresolved(error.detail))?;
            reach(&addresses, deadline).await.map_err(unreached)
        };
        let tcp = timeout_at(deadline, opening).await.map_err(late)??;
        let shaking = timeout_at(deadline, self.tls.connect(self.name.clone(), tcp));
        let stream = shaking.await.map_err(late)?.map_err(|error| untrusted(&error))?;
        let ends = stream.get_ref().1.peer_certificates().and_then(|chain| not_after(chain.first()?));
        Ok(Examined { stream, ends })
    }
}

/// Opens a TCP connection only, for a server without TLS.
///
/// # Errors
/// How far it came.
pub async fn examine_plain(host: &str, port: u16, limit: std::time::Duration) -> Result<(), Obstacle> {
    let deadline = Instant::now() + limit;
    let addresses = resolve(host, port).await.map_err(|error| Obstacle::Unresolved(error.detail))?;
    reach(&addresses, deadline).await.map(drop).map_err(unreached)
}

fn unreached(error: DialError) -> Obstacle {
    if error.how == Silence::Timeout { Obstacle::Late(error.detail) } else { Obstacle::Unreachable(error.detail) }
}

fn untrusted(error: &io::Error) -> Obstacle {
    let text = error.to_string();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(fault)) = inner else { return Obstacle::Tls(text) };
    let is_name = matches!(fault, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. });
    let is_time = matches!(
        fault,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    );
    if is_name {
        Obstacle::OtherName(text)
    } else if is_time {
        Obstacle::NotValidNow(text)
    } else if matches!(fault, CertificateError::UnknownIssuer) {
        Obstacle::UnknownAuthority(text)
    } else {
        Obstacle::Tls(text)
    }
}
