//! Dialling the SMTP server of the settings; what keeps it from being reached is a silence at the stage `connect`.

use std::net::IpAddr;

use crate::reply::{Reply, Stage};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::settings::SmtpSettings;
use crate::dial::{Server, TlsDialer};

/// Opens connections to the server of the settings.
pub struct Dialer {
    settings: SmtpSettings,
    tls: TlsDialer,
}

impl Dialer {
    /// With one TLS configuration for all connections.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        let server = Server { host: settings.host.clone(), connect: settings.connect.clone() };
        let tls = TlsDialer::new(server, &settings.roots, settings.connect_timeout)?;
        Ok(Self { settings, tls })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &SmtpSettings {
        &self.settings
    }

    /// A TLS stream to the server, and our own address on it.
    pub(super) async fn dial(&self) -> Result<(TlsStream<TcpStream>, Option<IpAddr>), Reply> {
        self.tls.dial().await.map_err(|error| Reply::silence(Stage::Connect, error.how, error.detail))
    }
}
