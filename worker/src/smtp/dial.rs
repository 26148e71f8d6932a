//! Dialling: TCP without delay, and TLS with one configuration for all connections, so that sessions resume.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use postroom_shared::reply::{Reply, Silence, Stage};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::replies::silence_of;
use super::settings::SmtpSettings;

/// ring's suites, with AES-128 first: as safe as AES-256 for what SMTP carries, and its SHA-256 has instructions of the
/// processor, where SHA-384 would cost a login tens of microseconds.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// Opens connections to the server of the settings.
pub struct Dialer {
    settings: SmtpSettings,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Dialer {
    /// With one TLS configuration for all connections.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        let name =
            ServerName::try_from(settings.host.clone()).map_err(|error| format!("POSTROOM_SMTP_URL: {error}"))?;
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in &settings.roots {
            roots.add(root.clone()).map_err(|error| format!("POSTROOM_TLS_CA_FILE: {error}"))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { settings, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &SmtpSettings {
        &self.settings
    }

    /// A TLS stream to the server, and our own address on it.
    pub(super) async fn dial(&self) -> Result<(TlsStream<TcpStream>, Option<IpAddr>), Reply> {
        let deadline = Instant::now() + self.settings.connect_timeout;
        let late = |_| Reply::silence(Stage::Connect, Silence::Timeout, "no connection within the time limit");
        let tcp = timeout_at(deadline, self.reach(deadline)).await.map_err(late)??;
        let own = tcp.local_addr().ok().map(|address| address.ip());
        let shaken = timeout_at(deadline, self.tls.connect(self.name.clone(), tcp)).await.map_err(late)?;
        Ok((shaken.map_err(|error| silence_of(Stage::Connect, &error))?, own))
    }

    /// The first of the server's addresses that answers. Each gets its share of the time, so that one dead address does
    /// not use up all of it.
    async fn reach(&self, deadline: Instant) -> Result<TcpStream, Reply> {
        let (host, port) = &self.settings.connect;
        let unreachable = |what: String| Reply::silence(Stage::Connect, Silence::Unreachable, what);
        let found = tokio::net::lookup_host((host.as_str(), *port)).await;
        let addresses: Vec<SocketAddr> =
            found.map_err(|error| unreachable(format!("{host} does not resolve: {error}")))?.collect();
        let mut last = unreachable(format!("{host} has no address"));
        for (index, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            let share: Duration = deadline.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = unreachable(format!("{address}: {error}")),
                Err(_) => last = Reply::silence(Stage::Connect, Silence::Timeout, format!("{address} does not answer")),
            }
        }
        Err(last)
    }
}
