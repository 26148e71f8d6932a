//! TLS at the API's door, from two PEM files that are read again when they may have changed, so that a renewed certificate
//! needs no restart.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::settings::TlsFiles;

const CERTIFICATE: &str = "POSTROOM_LISTEN_TLS_CERT";
const KEY: &str = "POSTROOM_LISTEN_TLS_KEY";
/// How old what was read may be.
const BELIEVED: Duration = Duration::from_secs(60);

/// Speaks TLS with the certificate of the settings.
pub(super) struct TlsServer {
    files: TlsFiles,
    last: Mutex<(Instant, Arc<ServerConfig>)>,
}

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with them, and with which.
    pub(super) fn new(files: TlsFiles) -> Result<Self, String> {
        let config = read(&files)?;
        Ok(Self { files, last: Mutex::new((Instant::now(), config)) })
    }

    /// TLS over a stream that was just accepted.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        TlsAcceptor::from(self.config()).accept(stream).await
    }

    fn config(&self) -> Arc<ServerConfig> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() > BELIEVED {
            last.0 = Instant::now();
            match read(&self.files) {
                Ok(config) => last.1 = config,
                Err(why) => {
                    tracing::error!(%why, "the certificate cannot be read again: the one from before is used on")
                }
            }
        }
        Arc::clone(&last.1)
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, String> {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    let pem = fs::read(&files.certificate).map_err(|error| wrong(CERTIFICATE, &certificate, &error))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(CERTIFICATE, &certificate, &e))?;
    if chain.is_empty() {
        return Err(wrong(CERTIFICATE, &certificate, &"it holds no certificate in PEM form"));
    }
    let secret = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(KEY, &key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| format!("{certificate} and {key} do not go together: {error}"))?;
    Ok(Arc::new(config))
}

fn wrong(setting: &str, path: &dyn std::fmt::Display, why: &dyn std::fmt::Display) -> String {
    format!("{setting}: {path} cannot be used: {why}")
}
