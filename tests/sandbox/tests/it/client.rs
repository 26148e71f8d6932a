//! A raw SMTP client that sends what it is told and hides nothing, and a raw HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postroom_sandbox::{CLIENT_ID, CLIENT_SECRET, Config, Sandbox};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long enough for a busy machine; a passing test never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const ME: &str = "me@example.com";

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::start(Config::default()).await.unwrap()
}

pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    waiting: Vec<u8>,
}

/// Why a connection gave no more replies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// TLS and TCP were closed in order.
    Closed,
    /// The connection broke.
    Broken,
}

impl Client {
    /// TCP and TLS only, to the SMTP side.
    pub(crate) async fn dial(sandbox: &Sandbox) -> std::io::Result<Self> {
        Self::dial_at(sandbox, sandbox.smtp_addr(), "smtp.gmail.com").await
    }

    /// TCP and TLS only, to the IMAP side.
    pub(crate) async fn dial_imap(sandbox: &Sandbox) -> std::io::Result<Self> {
        Self::dial_at(sandbox, sandbox.imap_addr(), "imap.gmail.com").await
    }

    async fn dial_at(sandbox: &Sandbox, address: SocketAddr, name: &'static str) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(name).unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let stream = tokio::time::timeout(PATIENCE, connecting).await.expect("TLS in time")?;
        Ok(Self { stream, waiting: Vec::new() })
    }

    /// As far as the reply to EHLO.
    pub(crate) async fn greeted(sandbox: &Sandbox) -> Self {
        let mut client = Self::dial(sandbox).await.unwrap();
        assert!(client.reply().await.starts_with("220 smtp.gmail.com"));
        let capabilities = client.ask("EHLO client.example").await;
        assert!(capabilities.starts_with("250-smtp.gmail.com"), "{capabilities}");
        client
    }

    /// As far as a good login.
    pub(crate) async fn logged_in(sandbox: &Sandbox, account: &str) -> Self {
        let token = access_token(sandbox, account).await;
        let mut client = Self::greeted(sandbox).await;
        assert_eq!(client.auth(account, &token).await, "235 2.7.0 Accepted");
        client
    }

    pub(crate) async fn auth(&mut self, account: &str, token: &str) -> String {
        self.ask(&format!("AUTH XOAUTH2 {}", xoauth2(account, token))).await
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// One command and its reply.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// The next reply; its lines parted by `\n`.
    pub(crate) async fn reply(&mut self) -> String {
        self.try_reply().await.unwrap_or_else(|end| panic!("no reply: {end:?}"))
    }

    pub(crate) async fn replies(&mut self, count: usize) -> Vec<String> {
        let mut replies = Vec::new();
        for _ in 0..count {
            replies.push(self.reply().await);
        }
        replies
    }

    pub(crate) async fn try_reply(&mut self) -> Result<String, End> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                return Ok(lines.join("\n"));
            }
        }
    }

    pub(crate) async fn line(&mut self) -> Result<String, End> {
        loop {
            if let Some(end) = self.waiting.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.waiting[..end].to_vec()).unwrap();
                self.waiting.drain(..end + 2);
                return Ok(line);
            }
            let reading = self.stream.read_buf(&mut self.waiting);
            match tokio::time::timeout(PATIENCE, reading).await.expect("a reply in time") {
                Ok(0) => return Err(End::Closed),
                Ok(_) => {}
                Err(_) => return Err(End::Broken),
            }
        }
    }

    /// Whether nothing comes for this long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        let reading = self.stream.read_buf(&mut self.waiting);
        tokio::time::timeout(time, reading).await.is_err()
    }

    /// One mail to one recipient in one flight; the replies to MAIL, RCPT and BDAT.
    pub(crate) async fn mail(&mut self, to: &str, mail: &str) -> Vec<String> {
        self.send(flight(to, mail)).await;
        self.replies(3).await
    }
}

/// MAIL, RCPT and BDAT LAST in one piece.
pub(crate) fn flight(to: &str, mail: &str) -> String {
    format!("MAIL FROM:<{ME}> SIZE={n}\r\nRCPT TO:<{to}>\r\nBDAT {n} LAST\r\n{mail}", n = mail.len())
}

pub(crate) fn mail_with_id(id: &str) -> String {
    format!("Message-ID: <{id}>\r\nFrom: {ME}\r\nTo: you@example.net\r\nSubject: Hello {id}\r\n\r\nHi.\r\n")
}

pub(crate) fn xoauth2(account: &str, token: &str) -> String {
    STANDARD.encode(format!("user={account}\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    /// Where it leads, as it was said.
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub(crate) async fn http(sandbox: &Sandbox, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut tcp = TcpStream::connect(sandbox.http_addr()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut answer)).await.expect("an answer in time").unwrap();
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let location = head.lines().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned);
    let head = head.to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    Answer { status, head, location, body: answer[split + 4..].to_vec() }
}

pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> Answer {
    http(sandbox, "GET", path, "", "").await
}

pub(crate) async fn post_json(sandbox: &Sandbox, path: &str, body: &str) -> Answer {
    http(sandbox, "POST", path, "Content-Type: application/json\r\n", body).await
}

pub(crate) async fn post_form(sandbox: &Sandbox, headers: &str, body: &str) -> Answer {
    let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}");
    http(sandbox, "POST", "/token", &headers, body).await
}

pub(crate) async fn ask_token(sandbox: &Sandbox, account: &str) -> Answer {
    let refresh = Sandbox::refresh_token(account).replace('@', "%40").replace(':', "%3A");
    let body =
        format!("grant_type=refresh_token&refresh_token={refresh}&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    post_form(sandbox, "", &body).await
}

pub(crate) async fn access_token(sandbox: &Sandbox, account: &str) -> String {
    let answer = ask_token(sandbox, account).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["access_token"].as_str().unwrap().to_owned()
}
