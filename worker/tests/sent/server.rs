//! The server's side, line by line, and the client's side in a task of its own.

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::tokens::AccessToken;
use postroom_worker::sent::{Looked, SentError, Session};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

pub(crate) const GMAIL: &str = "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR \
                                AUTH=XOAUTH2 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER";
pub(crate) const PLAIN: &str = "IMAP4rev1 AUTH=XOAUTH2";
/// user=alice@example.com ^A auth=Bearer ya29.x ^A ^A
pub(crate) const LOGIN: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LngBAQ==";
pub(crate) const ID: &str = "<1@x.example>";
pub(crate) const SHORT: Duration = Duration::from_millis(150);
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

pub(crate) struct Server(BufReader<DuplexStream>);

impl Server {
    pub(crate) async fn say(&mut self, lines: &str) {
        self.0.write_all(lines.replace('\n', "\r\n").as_bytes()).await.unwrap();
    }

    /// As `say`, to a client that may go away meanwhile.
    pub(crate) async fn try_say(&mut self, lines: &str) -> std::io::Result<()> {
        self.0.write_all(lines.replace('\n', "\r\n").as_bytes()).await
    }

    pub(crate) async fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        assert_eq!(line.strip_suffix("\r\n"), Some(expected));
    }

    /// Greeting and `CAPABILITY`.
    pub(crate) async fn greet(&mut self, offers: &str) {
        self.say("* OK Gimap ready for requests from 192.0.2.1\n").await;
        self.hears("P1 CAPABILITY").await;
        self.say(&format!("* CAPABILITY {offers}\nP1 OK Thats all she wrote!\n")).await;
    }

    /// As far as the login, which Gmail answers with what it offers now.
    pub(crate) async fn log_in(&mut self, offers: &str) {
        self.greet(offers).await;
        self.hears(&format!("LOGIN AUTHENTICATE XOAUTH2 {LOGIN}")).await;
        self.say(&format!("* CAPABILITY {offers}\nLOGIN OK alice@example.com authenticated (Success)\n")).await;
    }

    pub(crate) async fn list(&mut self, tag: &str, lines: &str) {
        self.hears(&format!("{tag} LIST \"\" \"*\"")).await;
        self.say(&format!("{lines}{tag} OK Success\n")).await;
    }

    pub(crate) async fn examine(&mut self, tag: &str, mailbox: &str) {
        self.hears(&format!("{tag} EXAMINE \"{mailbox}\"")).await;
        self.say("* FLAGS (\\Answered \\Seen $NotPhishing)\n* OK [PERMANENTFLAGS ()] Flags permitted.\n").await;
        self.say("* OK [UIDVALIDITY 5] UIDs valid.\n* 17 EXISTS\n* 0 RECENT\n* OK [UIDNEXT 18] Predicted next UID.\n")
            .await;
        self.say(&format!("* OK [HIGHESTMODSEQ 4711]\n{tag} OK [READ-ONLY] selected. (Success)\n")).await;
    }
}

pub(crate) type Client<T> = JoinHandle<Result<T, SentError>>;

pub(crate) fn token() -> AccessToken {
    let now = Millis::now();
    AccessToken::new("ya29.x".to_owned().into(), now, now.after(Duration::from_secs(3_600)), 1)
}

pub(crate) fn account() -> AccountId {
    "alice@example.com".parse().unwrap()
}

/// Opens a connection in a task of its own.
pub(crate) fn opening(limit: Duration) -> (Server, Client<Session>) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let client = async move { Session::open(ours, limit, &account(), &token()).await };
    (Server(BufReader::new(theirs)), tokio::spawn(client))
}

/// A connection with one Sent mailbox; the server's next tag is `P3`.
pub(crate) async fn open(offers: &str, limit: Duration) -> (Server, Session) {
    let (mut server, client) = opening(limit);
    server.log_in(offers).await;
    server
        .list(
            "P2",
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n* LIST (\\HasNoChildren \\Sent) \"/\" \"[Gmail]/Sent Mail\"\n",
        )
        .await;
    (server, client.await.unwrap().unwrap())
}

/// Looks in a task of its own, and gives the connection back.
pub(crate) fn look(mut session: Session) -> JoinHandle<(Session, Result<Looked, SentError>)> {
    tokio::spawn(async move {
        let looked = session.look(ID).await;
        (session, looked)
    })
}
