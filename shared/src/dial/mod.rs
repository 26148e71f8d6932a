//! Dialling, for SMTP and IMAP alike: TCP without delay, and TLS with one configuration for all connections to a server,
//! so that sessions resume. Knows no protocol and no token.

mod examine;
mod server;
mod validity;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::reply::Silence;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use examine::{Examined, Obstacle, examine_plain};
pub use server::{Scheme, Server};

/// ring's suites, with AES-128 first: as safe as AES-256 for what SMTP carries, and its SHA-256 has instructions of the
/// processor, where SHA-384 would cost a login tens of microseconds.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// How TLS is spoken: `roots` are trusted beside the public ones.
///
/// # Errors
/// If it cannot be set up; the text says why.
pub(crate) fn tls_config(provider: CryptoProvider, roots: &[CertificateDer<'static>]) -> Result<ClientConfig, String> {
    let mut trusted = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for root in roots {
        trusted
            .add(root.clone())
            .map_err(|error| format!("POSTROOM_TLS_CA_FILE holds an unusable certificate: {error}"))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(config)
}

/// Opens TLS connections to one server.
pub struct TlsDialer {
    server: Server,
    name: ServerName<'static>,
    tls: TlsConnector,
    limit: Duration,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialError {
    /// How the server fell silent.
    pub how: Silence,
    /// The error in words, for a person.
    pub detail: String,
}

impl TlsDialer {
    /// With one TLS configuration for all connections; `roots` are trusted beside the public ones, and `limit` is for TCP
    /// and TLS together.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(server: Server, roots: &[CertificateDer<'static>], limit: Duration) -> Result<Self, String> {
        let name = ServerName::try_from(server.host.clone()).map_err(|error| format!("{}: {error}", server.host))?;
        let config = tls_config(provider(), roots)?;
        Ok(Self { server, name, tls: TlsConnector::from(Arc::new(config)), limit })
    }

    /// A TLS stream to the server, and our own address on it.
    ///
    /// # Errors
    /// How the server fell silent.
    pub async fn dial(&self) -> Result<(TlsStream<TcpStream>, Option<IpAddr>), DialError> {
        let deadline = Instant::now() + self.limit;
        let late = |_| DialError::new(Silence::Timeout, "no connection within the time limit");
        let tcp = timeout_at(deadline, self.open(deadline)).await.map_err(late)??;
        let own = tcp.local_addr().ok().map(|address| address.ip());
        let shaken = timeout_at(deadline, self.tls.connect(self.name.clone(), tcp)).await.map_err(late)?;
        Ok((shaken.map_err(|error| DialError::of(&error))?, own))
    }

    async fn open(&self, deadline: Instant) -> Result<TcpStream, DialError> {
        let (host, port) = &self.server.connect;
        reach(&resolve(host, *port).await?, deadline).await
    }
}

/// The addresses of a host, one at least.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let unreachable = |what: String| DialError::new(Silence::Unreachable, what);
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| unreachable(format!("{host} does not resolve: {error}")))?.collect();
    if addresses.is_empty() { Err(unreachable(format!("{host} has no address"))) } else { Ok(addresses) }
}

/// The first of the addresses that answers. Each gets its share of the time, so that one dead address does not use up all
/// of it.
async fn reach(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, DialError> {
    let unreachable = |what: String| DialError::new(Silence::Unreachable, what);
    let mut last = unreachable("there is no address".to_owned());
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share: Duration = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = unreachable(format!("{address}: {error}")),
            Err(_) => last = DialError::new(Silence::Timeout, format!("{address} does not answer")),
        }
    }
    Err(last)
}

impl DialError {
    fn new(how: Silence, detail: impl Into<String>) -> Self {
        Self { how, detail: detail.into() }
    }

    /// How the server fell silent, by the error of the stream.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        let how = if is_tls {
            Silence::Tls
        } else if error.kind() == io::ErrorKind::TimedOut {
            Silence::Timeout
        } else if error.kind() == io::ErrorKind::InvalidData {
            Silence::Garbage
        } else {
            Silence::Closed
        };
        Self::new(how, error.to_string())
    }
}
