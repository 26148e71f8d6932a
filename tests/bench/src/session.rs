//! The loop's SMTP: one connection over TLS with XOAUTH2, each mail in one flight. Written by hand and without any
//! feature, so that nothing slower than the server itself stands between the bytes and the wire.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "smtp.gmail.com";

/// What a mail is, to the loop.
pub(crate) struct Frozen {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) bytes: Vec<u8>,
}

/// Dials the server, with its certificate trusted.
#[derive(Clone)]
pub(crate) struct Dialer {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(address: SocketAddr, ca_file: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca_file).context("read the sandbox's certificate")?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects and logs in.
    pub(crate) async fn open(&self, account: &str, token: &str) -> anyhow::Result<Session> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from(NAME)?, tcp).await?;
        let mut session = Session { stream, flight: Vec::new(), replies: Vec::new() };
        session.expect(1, b"220").await?;
        session.stream.write_all(b"EHLO floor.bench.example\r\n").await?;
        session.expect(1, b"250").await?;
        let claim = STANDARD.encode(format!("user={account}\u{1}auth=Bearer {token}\u{1}\u{1}"));
        session.stream.write_all(format!("AUTH XOAUTH2 {claim}\r\n").as_bytes()).await?;
        session.expect(1, b"235").await?;
        Ok(session)
    }
}

/// A connection that is logged in.
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    flight: Vec<u8>,
    replies: Vec<u8>,
}

impl Session {
    /// MAIL, RCPT and all of the mail in one flight, then their three replies.
    pub(crate) async fn send(&mut self, mail: &Frozen) -> anyhow::Result<()> {
        self.flight.clear();
        let head = format!("MAIL FROM:<{}>\r\nRCPT TO:<{}>\r\nBDAT {} LAST\r\n", mail.from, mail.to, mail.bytes.len());
        self.flight.extend_from_slice(head.as_bytes());
        self.flight.extend_from_slice(&mail.bytes);
        self.stream.write_all(&self.flight).await?;
        self.expect(3, b"250").await
    }

    /// Says goodbye and waits for the answer.
    pub(crate) async fn quit(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(b"QUIT\r\n").await?;
        self.expect(1, b"221").await
    }

    /// Reads so many replies and checks the code of each.
    async fn expect(&mut self, mut count: usize, code: &[u8]) -> anyhow::Result<()> {
        self.replies.clear();
        let mut seen = 0;
        while count > 0 {
            let read = self.stream.read_buf(&mut self.replies).await?;
            anyhow::ensure!(read > 0, "the server hung up");
            while let Some(length) = self.replies[seen..].windows(2).position(|two| two == b"\r\n") {
                let line = &self.replies[seen..seen + length];
                anyhow::ensure!(line.starts_with(code), "the server said {}", String::from_utf8_lossy(line));
                // A hyphen after the code: the reply goes on.
                count -= usize::from(line.get(3) != Some(&b'-'));
                seen += length + 2;
            }
        }
        Ok(())
    }
}
