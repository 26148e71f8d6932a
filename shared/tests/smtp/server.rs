//! The server's side, played by hand, and the client's side in a task of its own.

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::address::Address;
use postroom_shared::clock::Millis;
use postroom_shared::reply::{Enhanced, Reply, Said, Silence, Stage};
use postroom_shared::smtp::{Connection, End, Outcome, Outgoing, SmtpSettings};
use postroom_shared::tokens::AccessToken;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

pub(crate) const GMAIL: &[&str] = &[
    "SIZE 35882577",
    "8BITMIME",
    "AUTH LOGIN PLAIN XOAUTH2",
    "ENHANCEDSTATUSCODES",
    "PIPELINING",
    "CHUNKING",
    "SMTPUTF8",
];

pub(crate) const NO_CHUNKING: &[&str] = &["SIZE 35882577", "8BITMIME", "AUTH XOAUTH2", "PIPELINING"];

pub(crate) const PLAIN: &[&str] = &["AUTH XOAUTH2"];

pub(crate) const BODY: &str = "Subject: hi\r\n\r\nhello\r\n";

pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// The server's side of a connection.
pub(crate) struct Server<S = DuplexStream>(pub(crate) BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    pub(crate) async fn say(&mut self, lines: &str) {
        self.0.write_all(lines.replace('\n', "\r\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.strip_suffix("\r\n").map(ToOwned::to_owned).unwrap_or(line)
    }

    pub(crate) async fn hears(&mut self, expected: &[&str]) {
        for line in expected {
            assert_eq!(&self.line().await, line);
        }
    }

    pub(crate) async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Greeting and `EHLO`.
    pub(crate) async fn greet(&mut self, offers: &[&str]) {
        self.say("220 mx.test ESMTP - gsmtp\n").await;
        assert_eq!(self.line().await, "EHLO client.test");
        let mut lines = "250-mx.test at your service\n".to_owned();
        for (index, offer) in offers.iter().enumerate() {
            lines += &format!("250{}{offer}\n", if index + 1 == offers.len() { ' ' } else { '-' });
        }
        self.say(&lines).await;
    }

    pub(crate) async fn log_in(&mut self, offers: &[&str]) {
        self.greet(offers).await;
        // user=alice@example.com ^A auth=Bearer ya29.x ^A ^A
        self.hears(&["AUTH XOAUTH2 dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LngBAQ=="]).await;
        self.say("235 2.7.0 Accepted\n").await;
    }

    /// A whole flight of `BODY` to Bob and Carol; nothing is said before the last byte was read.
    pub(crate) async fn flight(&mut self) {
        self.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "RCPT TO:<carol@x.test>"]).await;
        self.hears(&["BDAT 22 LAST"]).await;
        assert_eq!(self.bytes(BODY.len()).await, BODY.as_bytes());
    }
}

pub(crate) fn settings(limit: Duration) -> SmtpSettings {
    SmtpSettings {
        host: "mx.test".to_owned(),
        connect: ("127.0.0.1".to_owned(), 1),
        chunking: true,
        ehlo_name: Some("client.test".to_owned()),
        roots: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        command_timeout: limit,
        data_timeout: limit,
    }
}

pub(crate) fn patient() -> SmtpSettings {
    settings(Duration::from_secs(20))
}

pub(crate) fn account() -> AccountId {
    "alice@example.com".parse().unwrap()
}

pub(crate) fn token() -> AccessToken {
    let now = Millis::now();
    AccessToken::new("ya29.x".to_owned().into(), now, now.after(Duration::from_secs(3_600)), 1)
}

pub(crate) type Opening = JoinHandle<Result<Connection, Reply>>;

pub(crate) fn opening(settings: SmtpSettings, room: usize) -> (Server, Opening) {
    let (ours, theirs) = tokio::io::duplex(room);
    let client = async move { Connection::start(ours, None, &settings, &account(), &token()).await };
    (Server(BufReader::new(theirs)), tokio::spawn(client))
}

pub(crate) async fn open_with(settings: SmtpSettings, offers: &[&str]) -> (Server, Connection) {
    let (mut server, client) = opening(settings, 1 << 18);
    server.log_in(offers).await;
    (server, client.await.unwrap().unwrap())
}

pub(crate) async fn open(offers: &[&str]) -> (Server, Connection) {
    open_with(patient(), offers).await
}

pub(crate) fn addresses(names: &[&str]) -> Vec<Address> {
    names.iter().map(|name| format!("{name}@x.test").parse().unwrap()).collect()
}

/// Sends in a task of its own, and gives the connection back.
pub(crate) fn send(connection: Connection, to: &[&str], body: impl Into<Vec<u8>>) -> JoinHandle<(Connection, Outcome)> {
    let (mut connection, recipients, body) = (connection, addresses(to), body.into());
    tokio::spawn(async move {
        let from = "alice@example.com".parse().unwrap();
        let mail = Outgoing { from: &from, recipients: &recipients, bytes: &body, smtputf8: false };
        let outcome = connection.send(&mail).await;
        (connection, outcome)
    })
}

pub(crate) fn reply(stage: Stage, code: u16, enhanced: (u8, u16, u16), text: &str) -> Reply {
    Reply::new(stage, code, Some(Enhanced(enhanced.0, enhanced.1, enhanced.2)), text)
}

pub(crate) fn silence(end: &End) -> (Stage, Silence) {
    match end {
        End::Lost(Reply { stage, said: Said::Silence { how, .. } }) => (*stage, *how),
        other => panic!("{other:?}"),
    }
}

pub(crate) const BOTH: &[&str] = &["bob", "carol"];
