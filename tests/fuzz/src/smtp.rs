//! What a server says: a whole dialogue with one that says anything, and replies that are looked up in the table.
//!
//! The server has its lines ready and says one more piece of them whenever it was written to or is waited for; byte 1 parts
//! the pieces. When it has said all it closes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::address::Address;
use postroom_shared::replies::{Table, read_reply};
use postroom_shared::reply::{Reply, Stage};
use postroom_shared::smtp::{Connection, End, Outcome, Outgoing, SmtpSettings};
use postroom_shared::tokens::AccessToken;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;

use crate::{NOW, faults};

const GREETING: &[u8] = b"220 mx.test ESMTP";
const ALL: &[u8] = b"250-mx.test\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n250-AUTH XOAUTH2\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8";
const LITTLE: &[u8] = b"250-mx.test\r\n250 AUTH XOAUTH2";
const STAGES: [Stage; 7] =
    [Stage::Greeting, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Final];

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
}

/// The first byte says what the server has said before: nothing, or all that leads to a login with many or few extensions.
pub(crate) fn reply(bytes: &[u8]) {
    let Some((&how, said)) = bytes.split_first() else { return };
    let login =
        [GREETING, if how & 2 == 0 { ALL } else { LITTLE }, b"235 2.7.0 Accepted"].map(|said| [said, b"\r\n"].concat());
    let before = if how & 1 == 0 { login.to_vec() } else { Vec::new() };
    let pieces = before.into_iter().chain(said.split(|byte| *byte == 1).map(<[u8]>::to_vec)).collect();
    RUNTIME.with(|runtime| {
        let talking = async { tokio::time::timeout(Duration::from_secs(5), talk(pieces, how & 4 != 0)).await };
        runtime.block_on(talking).expect("the dialogue does not end");
    });
    if let Ok(text) = std::str::from_utf8(said) {
        let stage = STAGES[usize::from(how >> 3) % STAGES.len()];
        if let Some(reply) = read_reply(stage, text) {
            check(&reply);
        }
    }
}

/// Logs in and hands two mails over.
async fn talk(pieces: VecDeque<Vec<u8>>, asks_first: bool) {
    let account: AccountId = "alice@example.com".parse().unwrap();
    let token = AccessToken::new("ya29.x".to_owned().into(), NOW, NOW.after(Duration::from_secs(3_600)), 1);
    let server = Server { pieces, now: Vec::new() };
    let mut connection = match Connection::start(server, None, &settings(), &account, &token).await {
        Ok(connection) => connection,
        Err(reply) => return check(&reply),
    };
    let from: Address = "alice@example.com".parse().unwrap();
    let recipients: Vec<Address> = ["bob@x.test", "carol@x.test"].map(|address| address.parse().unwrap()).to_vec();
    let mail =
        Outgoing { from: &from, recipients: &recipients, bytes: b"Subject: hi\r\n\r\nhello\r\n", smtputf8: false };
    for _ in 0..2 {
        let outcome = if asks_first {
            match connection.ask(&mail).await {
                Ok(envelope) => connection.deliver(&mail, envelope).await,
                Err(outcome) => outcome,
            }
        } else {
            connection.send(&mail).await
        };
        check_outcome(&outcome, recipients.len());
        assert!(outcome.reusable || !connection.reusable(), "it lost its step, and may be used again");
        if !outcome.reusable {
            break;
        }
    }
    connection.quit().await;
}

fn check_outcome(outcome: &Outcome, recipients: usize) {
    assert_eq!(outcome.recipients.len(), recipients, "each recipient is told of");
    outcome.recipients.iter().filter_map(|one| one.as_ref().err()).for_each(check);
    match &outcome.end {
        End::Accepted(reply) => {
            assert_eq!(reply.code(), Some(250), "accepted is a 250 and nothing else");
            assert!(outcome.recipients.iter().any(Result::is_ok), "accepted for somebody");
        }
        End::Refused(reply) => assert!(reply.code().is_some_and(|code| code >= 400), "{reply}"),
        End::NoRecipient => assert!(outcome.recipients.iter().all(Result::is_err)),
        End::Lost(reply) => {
            assert!(!outcome.reusable, "lost, and yet used again");
            check(reply);
        }
    }
}

/// A reply prints masked, and there is a row for it.
fn check(reply: &Reply) {
    faults::check_masked(&reply.to_string());
    faults::check_masked(&format!("{reply:?}"));
    let table = Table::builtin().unwrap();
    let (class, reason) = table.classify(reply).nth(1);
    assert_eq!((class, reason), table.classify(reply).nth(1));
}

fn settings() -> SmtpSettings {
    SmtpSettings {
        host: "mx.test".to_owned(),
        connect: ("127.0.0.1".to_owned(), 1),
        chunking: true,
        ehlo_name: Some("client.test".to_owned()),
        roots: Vec::new(),
        connect_timeout: Duration::from_secs(1),
        command_timeout: Duration::from_secs(2),
        data_timeout: Duration::from_secs(2),
    }
}

/// The server's side. Somebody who waits for an answer gets the next piece, so that nothing in here takes time.
struct Server {
    pieces: VecDeque<Vec<u8>>,
    now: Vec<u8>,
}

impl Server {
    fn next(&mut self) {
        self.now.extend(self.pieces.pop_front().unwrap_or_default());
    }
}

impl AsyncRead for Server {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.now.is_empty() && !self.pieces.is_empty() {
            // Only a look whether something was said unasked: nothing was.
            if cx.waker().will_wake(Waker::noop()) {
                return Poll::Pending;
            }
            self.next();
        }
        let length = self.now.len().min(buffer.remaining());
        buffer.put_slice(&self.now[..length]);
        self.now.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.next();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
