//! The SMTP dialogue against a server that each test plays by hand, line by line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm)]

use std::sync::Arc;
use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::address::Address;
use postroom_shared::clock::Millis;
use postroom_shared::reply::{Enhanced, Reply, Said, Silence, Stage};
use postroom_shared::tokens::AccessToken;
use postroom_worker::smtp::{Connection, Dialer, End, Outcome, Outgoing, SmtpSettings};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const GMAIL: &[&str] = &[
    "SIZE 35882577",
    "8BITMIME",
    "AUTH LOGIN PLAIN XOAUTH2",
    "ENHANCEDSTATUSCODES",
    "PIPELINING",
    "CHUNKING",
    "SMTPUTF8",
];
const NO_CHUNKING: &[&str] = &["SIZE 35882577", "8BITMIME", "AUTH XOAUTH2", "PIPELINING"];
const PLAIN: &[&str] = &["AUTH XOAUTH2"];
const BODY: &str = "Subject: hi\r\n\r\nhello\r\n";
const SHORT: Duration = Duration::from_millis(150);

/// The server's side of a connection.
struct Server<S = DuplexStream>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    async fn say(&mut self, lines: &str) {
        self.0.write_all(lines.replace('\n', "\r\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.strip_suffix("\r\n").map(ToOwned::to_owned).unwrap_or(line)
    }

    async fn hears(&mut self, expected: &[&str]) {
        for line in expected {
            assert_eq!(&self.line().await, line);
        }
    }

    async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Greeting and `EHLO`.
    async fn greet(&mut self, offers: &[&str]) {
        self.say("220 mx.test ESMTP - gsmtp\n").await;
        assert_eq!(self.line().await, "EHLO client.test");
        let mut lines = "250-mx.test at your service\n".to_owned();
        for (index, offer) in offers.iter().enumerate() {
            lines += &format!("250{}{offer}\n", if index + 1 == offers.len() { ' ' } else { '-' });
        }
        self.say(&lines).await;
    }

    async fn log_in(&mut self, offers: &[&str]) {
        self.greet(offers).await;
        // user=alice@example.com ^A auth=Bearer ya29.x ^A ^A
        self.hears(&["AUTH XOAUTH2 dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LngBAQ=="]).await;
        self.say("235 2.7.0 Accepted\n").await;
    }

    /// A whole flight of `BODY` to Bob and Carol; nothing is said before the last byte was read.
    async fn flight(&mut self) {
        self.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "RCPT TO:<carol@x.test>"]).await;
        self.hears(&["BDAT 22 LAST"]).await;
        assert_eq!(self.bytes(BODY.len()).await, BODY.as_bytes());
    }
}

fn settings(limit: Duration) -> SmtpSettings {
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

fn patient() -> SmtpSettings {
    settings(Duration::from_secs(20))
}

fn account() -> AccountId {
    "alice@example.com".parse().unwrap()
}

fn token() -> AccessToken {
    let now = Millis::now();
    AccessToken::new("ya29.x".to_owned().into(), now, now.after(Duration::from_secs(3_600)), 1)
}

type Opening = JoinHandle<Result<Connection, Reply>>;

fn opening(settings: SmtpSettings, room: usize) -> (Server, Opening) {
    let (ours, theirs) = tokio::io::duplex(room);
    let client = async move { Connection::start(ours, None, &settings, &account(), &token()).await };
    (Server(BufReader::new(theirs)), tokio::spawn(client))
}

async fn open_with(settings: SmtpSettings, offers: &[&str]) -> (Server, Connection) {
    let (mut server, client) = opening(settings, 1 << 18);
    server.log_in(offers).await;
    (server, client.await.unwrap().unwrap())
}

async fn open(offers: &[&str]) -> (Server, Connection) {
    open_with(patient(), offers).await
}

fn addresses(names: &[&str]) -> Vec<Address> {
    names.iter().map(|name| format!("{name}@x.test").parse().unwrap()).collect()
}

/// Sends in a task of its own, and gives the connection back.
fn send(connection: Connection, to: &[&str], body: impl Into<Vec<u8>>) -> JoinHandle<(Connection, Outcome)> {
    let (mut connection, recipients, body) = (connection, addresses(to), body.into());
    tokio::spawn(async move {
        let from = "alice@example.com".parse().unwrap();
        let mail = Outgoing { from: &from, recipients: &recipients, bytes: &body, smtputf8: false };
        let outcome = connection.send(&mail).await;
        (connection, outcome)
    })
}

fn reply(stage: Stage, code: u16, enhanced: (u8, u16, u16), text: &str) -> Reply {
    Reply::new(stage, code, Some(Enhanced(enhanced.0, enhanced.1, enhanced.2)), text)
}

fn silence(end: &End) -> (Stage, Silence) {
    match end {
        End::Lost(Reply { stage, said: Said::Silence { how, .. } }) => (*stage, *how),
        other => panic!("{other:?}"),
    }
}

const BOTH: &[&str] = &["bob", "carol"];

#[tokio::test]
async fn a_mail_goes_in_one_flight_and_the_connection_serves_the_next() {
    let (mut server, mut connection) = open(GMAIL).await;
    for round in 1..=2 {
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server
            .say("250 2.1.0 OK\n250 2.1.5 OK\n251 2.1.5 will forward\n250-2.0.0 OK\n250 2.0.0 queued - gsmtp\n")
            .await;
        let (back, outcome) = sending.await.unwrap();
        let taken = reply(Stage::Final, 250, (2, 0, 0), "OK queued - gsmtp");
        assert_eq!(outcome, Outcome { recipients: vec![Ok(()), Ok(())], end: End::Accepted(taken), reusable: true });
        assert_eq!(back.mails_sent(), round);
        connection = back;
    }
    let quitting = tokio::spawn(connection.quit());
    server.hears(&["QUIT"]).await;
    server.say("221 2.0.0 bye\n").await;
    quitting.await.unwrap();
    assert_eq!(server.line().await, "");
}

#[tokio::test]
async fn one_refused_recipient_does_not_stop_the_others() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 2.1.0 OK\n550-5.1.1 no such\n550 5.1.1 user - gsmtp\n250 2.1.5 OK\n250 2.0.0 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let refused = reply(Stage::Rcpt, 550, (5, 1, 1), "no such user - gsmtp");
    assert_eq!(outcome.recipients, [Err(refused), Ok(())]);
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable && connection.reusable());
}

#[tokio::test]
async fn when_all_are_refused_the_echo_hides_nothing_and_the_next_mail_goes() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 2.1.0 OK\n550 5.1.1 no bob\n452 4.2.2 carol is full\n503 5.5.1 RCPT first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 2.1.5 Flushed\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let refusals = [reply(Stage::Rcpt, 550, (5, 1, 1), "no bob"), reply(Stage::Rcpt, 452, (4, 2, 2), "carol is full")];
    assert_eq!(outcome, Outcome { recipients: refusals.map(Err).into(), end: End::NoRecipient, reusable: true });
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(matches!(sending.await.unwrap().1.end, End::Accepted(_)));
}

#[tokio::test]
async fn a_refused_sender_refuses_the_mail_and_not_its_recipients() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("552 5.2.3 too large\n503 5.5.1 MAIL first\n503 5.5.1 MAIL first\n503 5.5.1 MAIL first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    let end = End::Refused(reply(Stage::Mail, 552, (5, 2, 3), "too large"));
    assert_eq!(outcome, Outcome { recipients: vec![Ok(()), Ok(())], end, reusable: true });
}

#[tokio::test]
async fn a_refusal_of_the_content_is_the_mails_end() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server
        .say("250 OK\n250 OK\n250 OK\n550-5.7.1 [1.2.3.4] unsolicited\n550-5.7.1 mail, see\n550 5.7.1 help - gsmtp\n")
        .await;
    server.hears(&["RSET"]).await;
    // A server that does not reset has lost step: the end stays, the connection does not.
    server.say("500 5.5.1 what\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let end = reply(Stage::Final, 550, (5, 7, 1), "[1.2.3.4] unsolicited mail, see help - gsmtp");
    assert_eq!((outcome.end, outcome.reusable), (End::Refused(end), false));
    let (_, again) = send(connection, BOTH, BODY).await.unwrap();
    assert_eq!(silence(&again.end), (Stage::Mail, Silence::Closed));
}

#[tokio::test]
async fn only_250_is_success() {
    for said in ["251 2.0.0 odd\n", "354 go on\n", "nonsense\n", "250-a\n251 b\n"] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say("250 OK\n250 OK\n250 OK\n").await;
        server.say(said).await;
        let (connection, outcome) = sending.await.unwrap();
        assert_eq!((silence(&outcome.end), outcome.reusable), ((Stage::Final, Silence::Garbage), false), "{said}");
        assert!(!connection.reusable());
    }
    // A bare code is a reply too.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250\n250\n250\n250\n").await;
    let taken = Reply::new(Stage::Final, 250, None, "");
    assert_eq!(sending.await.unwrap().1.end, End::Accepted(taken));
}

#[tokio::test]
async fn cut_after_the_last_byte_is_uncertain_unless_the_replies_prove_otherwise() {
    let uncertain = Some(Stage::Final);
    for (said, expected) in [
        ("", uncertain),
        ("250 OK\n", uncertain),
        ("250 OK\n550 5.1.1 no\n", uncertain),
        ("250 OK\n250 OK\n250 OK\n", uncertain),
        ("550 5.1.7 no\n", None),
        ("250 OK\n550 5.1.1 no\n550 5.1.1 no\n", None),
        ("421 4.7.0 closing\n", None),
        ("250 OK\n421 4.4.5 closing\n", None),
    ] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say(said).await;
        drop(server);
        let (_, outcome) = sending.await.unwrap();
        assert!(!outcome.reusable);
        match expected {
            Some(stage) => assert_eq!(silence(&outcome.end), (stage, Silence::Closed), "{said}"),
            None => assert!(matches!(outcome.end, End::Refused(_) | End::NoRecipient), "{said}: {:?}", outcome.end),
        }
    }
}

#[tokio::test]
async fn cut_before_the_last_byte_is_surely_not_taken() {
    // Room for less than the mail, so that its last bytes never leave.
    let (mut server, client) = opening(patient(), 1_024);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), BOTH, "x".repeat(50_000));
    server.line().await;
    drop(server);
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Data, Silence::Closed));
}

#[tokio::test]
async fn silence_is_told_with_its_stage() {
    let (mut server, connection) = open_with(settings(SHORT), GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n").await;
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Final, Silence::Timeout));

    let (mut server, connection) = open_with(settings(SHORT), PLAIN).await;
    let sending = send(connection, BOTH, BODY);
    server.hears(&["MAIL FROM:<alice@example.com>"]).await;
    server.say("250 OK\n").await;
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Rcpt, Silence::Timeout));

    // A server that does not read: the bytes do not leave.
    let (mut server, client) = opening(settings(SHORT), 1_024);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), BOTH, "x".repeat(50_000));
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Data, Silence::Timeout));
}

#[tokio::test]
async fn silence_before_the_login_is_told_with_its_stage() {
    for (stage, said) in [(Stage::Greeting, ""), (Stage::Ehlo, "220 hi\n")] {
        let (mut server, client) = opening(settings(SHORT), 1_024);
        server.say(said).await;
        let reply = client.await.unwrap().err().unwrap();
        assert_eq!(silence(&End::Lost(reply)), (stage, Silence::Timeout));
    }
    let (mut server, client) = opening(patient(), 1_024);
    server.say("421 4.7.0 try again later\n").await;
    drop(server);
    let refused = reply(Stage::Greeting, 421, (4, 7, 0), "try again later");
    assert_eq!(client.await.unwrap().err().unwrap(), refused);
    let (mut server, client) = opening(patient(), 1_024);
    server.say("220 hi\n").await;
    server.line().await;
    server.say("550 5.7.1 who are you\n").await;
    drop(server);
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Ehlo, 550, (5, 7, 1), "who are you"));
}

#[tokio::test]
async fn a_421_ends_the_connection_at_any_stage() {
    for said in ["421 4.7.0 a\n421 4.7.0 a\n421 4.7.0 a\n421 4.7.0 a\n", "250 OK\n250 OK\n250 OK\n421 4.3.0 later\n"] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say(said).await;
        let (_, outcome) = sending.await.unwrap();
        assert!(matches!(&outcome.end, End::Refused(reply) if reply.code() == Some(421)), "{outcome:?}");
        assert!(!outcome.reusable);
    }
    // Gmail answers 421 for a single recipient as well: what was taken for the others is not thrown away.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n421 4.7.0 TLS required\n250 OK\n250 2.0.0 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && !outcome.reusable);
    assert_eq!(outcome.recipients[0], Err(reply(Stage::Rcpt, 421, (4, 7, 0), "TLS required")));
}

#[tokio::test]
async fn what_was_said_while_idle_is_never_taken_for_an_answer() {
    // Words that come with the last reply.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n421 4.4.2 idle too long\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && !outcome.reusable && !connection.reusable());

    // Words that come later: the next mail is surely not taken.
    for (said, stays) in [("421 4.4.2 idle too long\n", false), ("250 2.0.0 a spare one\n", true), ("", false)] {
        let (mut server, connection) = open(GMAIL).await;
        server.say(said).await;
        let kept = stays.then_some(server);
        let (_, outcome) = send(connection, BOTH, BODY).await.unwrap();
        match &outcome.end {
            End::Refused(reply) => assert_eq!((reply.stage, reply.code()), (Stage::Mail, Some(421))),
            end => assert_eq!((silence(end).0, outcome.reusable), (Stage::Mail, false), "{said}"),
        }
        drop(kept);
    }
}

#[tokio::test]
async fn a_refused_token_is_answered_with_an_empty_line() {
    let (mut server, client) = opening(patient(), 4_096);
    server.greet(GMAIL).await;
    server.line().await;
    server.say("334 eyJzdGF0dXMiOiI0MDAifQ==\n").await;
    server.hears(&[""]).await;
    server.say("535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://x.test - gsmtp\n").await;
    let text = "Username and Password not accepted. For more information, go to https://x.test - gsmtp";
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Auth, 535, (5, 7, 8), text));

    let (mut server, client) = opening(patient(), 4_096);
    server.greet(GMAIL).await;
    server.line().await;
    server.say("454 4.7.0 Too many login attempts\n").await;
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Auth, 454, (4, 7, 0), "Too many login attempts"));

    let (mut server, client) = opening(patient(), 4_096);
    server.greet(&["AUTH PLAIN"]).await;
    assert_eq!(client.await.unwrap().err().unwrap().code(), Some(504));
}

#[tokio::test]
async fn without_chunking_the_bytes_follow_the_354_dot_stuffed() {
    let (mut server, connection) = open(NO_CHUNKING).await;
    let sending = send(connection, BOTH, ".a\r\n..\r\nb");
    server
        .hears(&["MAIL FROM:<alice@example.com> SIZE=9", "RCPT TO:<bob@x.test>", "RCPT TO:<carol@x.test>", "DATA"])
        .await;
    server.say("250 OK\n550 5.1.1 no\n250 OK\n354 go on\n").await;
    server.hears(&["..a", "...", "b", "."]).await;
    server.say("250 2.0.0 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable);
    assert_eq!(outcome.recipients[0], Err(reply(Stage::Rcpt, 550, (5, 1, 1), "no")));

    // All refused, and DATA too.
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n550 5.1.1 no\n503 5.5.1 RCPT first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, true));

    // All refused, and yet a 354: nothing but the end is sent.
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n550 5.1.1 no\n354 go on\n").await;
    server.hears(&["."]).await;
    server.say("554 5.5.1 no valid recipients\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, false));
}

#[tokio::test]
async fn without_pipelining_every_command_waits_for_its_reply() {
    let (mut server, mut connection) = open(PLAIN).await;
    for _ in 0..2 {
        let sending = send(connection, BOTH, BODY);
        for (line, answer) in [
            ("MAIL FROM:<alice@example.com>", "250 OK\n"),
            ("RCPT TO:<bob@x.test>", "550 5.1.1 no\n"),
            ("RCPT TO:<carol@x.test>", "250 OK\n"),
            ("DATA", "354 go on\n"),
        ] {
            server.hears(&[line]).await;
            server.say(answer).await;
        }
        server.hears(&["Subject: hi", "", "hello", "."]).await;
        server.say("250 2.0.0 OK\n").await;
        let (back, outcome) = sending.await.unwrap();
        assert!(matches!(outcome.end, End::Accepted(_)) && outcome.recipients[0].is_err() && outcome.reusable);
        connection = back;
    }
    // Nobody is left: no DATA.
    let sending = send(connection, &["bob"], BODY);
    for (line, answer) in [
        ("MAIL FROM:<alice@example.com>", "250 OK\n"),
        ("RCPT TO:<bob@x.test>", "550 5.1.1 no\n"),
        ("RSET", "250 OK\n"),
    ] {
        server.hears(&[line]).await;
        server.say(answer).await;
    }
    assert_eq!(sending.await.unwrap().1.end, End::NoRecipient);
}

#[tokio::test]
async fn a_large_mail_is_not_sent_before_its_envelope_is_taken() {
    let (mut server, connection) = open(GMAIL).await;
    let large = "0123456789abcde\n".repeat(8_192);
    let sending = send(connection, &["bob"], large.clone());
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=131072", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n550 5.1.1 no\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, true));

    let sending = send(connection, &["bob"], large.clone());
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=131072", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n250 OK\n").await;
    server.hears(&["BDAT 131072 LAST"]).await;
    assert_eq!(server.bytes(131_072).await, large.as_bytes());
    server.say("250 2.0.0 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable);
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_large_mail_is_heard() {
    let (mut server, client) = opening(patient(), 4_096);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), &["bob"], "x".repeat(1 << 20));
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=1048576", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n250 OK\n").await;
    server.hears(&["BDAT 1048576 LAST"]).await;
    server.say("552 5.3.4 too large\n").await;
    let (_, outcome) = sending.await.unwrap();
    let end = End::Refused(reply(Stage::Data, 552, (5, 3, 4), "too large"));
    assert_eq!((outcome.end, outcome.reusable), (end, false));
}

#[tokio::test]
async fn chunking_can_be_turned_off() {
    let (mut server, connection) = open_with(SmtpSettings { chunking: false, ..patient() }, GMAIL).await;
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n250 OK\n451 4.3.0 later\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert_eq!(outcome.end, End::Refused(reply(Stage::Data, 451, (4, 3, 0), "later")));
}

#[tokio::test]
async fn a_cancelled_send_leaves_a_connection_that_is_never_used_again() {
    let (mut server, mut connection) = open(GMAIL).await;
    let (from, recipients) = ("alice@example.com".parse().unwrap(), addresses(BOTH));
    let mail = Outgoing { from: &from, recipients: &recipients, bytes: BODY.as_bytes(), smtputf8: false };
    tokio::select! {
        _ = connection.send(&mail) => panic!("the server has not answered"),
        () = server.flight() => {}
    }
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(!connection.reusable());
    let outcome = connection.send(&mail).await;
    assert_eq!((silence(&outcome.end).0, outcome.reusable), (Stage::Mail, false));
    connection.quit().await;
    assert_eq!(server.line().await, "");
}

#[tokio::test]
async fn what_is_not_ascii_is_declared_or_refused() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, &["böb"], "Subject: hö\r\n\r\n");
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=16 BODY=8BITMIME SMTPUTF8", "RCPT TO:<böb@x.test>"]).await;
    server.hears(&["BDAT 16 LAST"]).await;
    server.bytes(16).await;
    server.say("250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(matches!(sending.await.unwrap().1.end, End::Accepted(_)));
    for (to, body, code) in [("böb", "a\r\n", 550), ("bob", "ä\r\n", 554)] {
        let (_server, connection) = open(PLAIN).await;
        let (_, outcome) = send(connection, &[to], body).await.unwrap();
        assert!(matches!(&outcome.end, End::Refused(reply) if reply.code() == Some(code)), "{outcome:?}");
        assert!(outcome.reusable);
    }
}

#[tokio::test]
async fn a_connection_is_spent_before_its_token_ends() {
    let (_server, connection) = open(PLAIN).await;
    let opened = connection.opened();
    assert!(!connection.is_spent(opened.after(Duration::from_secs(3_290))));
    assert!(connection.is_spent(opened.after(Duration::from_secs(3_301))));
    assert!(connection.reusable());
}

fn certificate(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (certificate, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn over_tls_the_name_is_checked_and_sessions_resume() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (root, acceptor) = certificate("mx.test");
    let tls = SmtpSettings { roots: vec![root], connect: ("127.0.0.1".to_owned(), port), ..patient() };
    let dialer = Arc::new(Dialer::new(tls.clone()).unwrap());
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let dialer = dialer.clone();
        let opening = tokio::spawn(async move { Connection::open(&dialer, &account(), &token()).await });
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut server = Server(BufReader::new(stream));
        server.log_in(GMAIL).await;
        let sending = send(opening.await.unwrap().unwrap(), BOTH, BODY);
        server.flight().await;
        server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
        let (connection, outcome) = sending.await.unwrap();
        assert!(matches!(outcome.end, End::Accepted(_)) && connection.reusable());
        assert_eq!(server.0.get_ref().get_ref().1.handshake_kind(), Some(expected));
    }
    let wrong = Dialer::new(SmtpSettings { host: "other.test".to_owned(), ..tls.clone() }).unwrap();
    let refused = tokio::spawn(async move { Connection::open(&wrong, &account(), &token()).await });
    let _ = acceptor.accept(listener.accept().await.unwrap().0).await;
    assert_eq!(silence(&End::Lost(refused.await.unwrap().err().unwrap())), (Stage::Connect, Silence::Tls));
    drop(listener);
    let gone = Connection::open(&dialer, &account(), &token()).await.err().unwrap();
    assert_eq!(silence(&End::Lost(gone)), (Stage::Connect, Silence::Unreachable));
}
