//! Our stream under lettre's connection: time limits on every read and write, and replies handed on line by line.
//!
//! lettre reads replies through one handle while we write through another, so that a mail's bytes need not pass through
//! lettre and a reply that comes before the last of them is heard. lettre never gets more than one line at a time:
//! what the server said unasked stays here, where it is found, and is never taken for the answer to the next command.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Longer than lettre takes: what is longer is handed on for it to refuse.
const LONGEST_LINE: usize = 1_024;
/// Read at once. Replies are short.
const AT_ONCE: usize = 2_048;

/// A larger buffer is not kept for the next mail.
const SPARE: usize = 16 * 1_024;

/// What a connection can run over: TLS over TCP, or a pipe in a test.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// A handle of the stream. All handles share it; one task uses them.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Inner>>);

struct Inner {
    stream: Box<dyn Transport>,
    /// Where reads go first: cleared once, not before each of them.
    scratch: Box<[u8; AT_ONCE]>,
    /// What a flight was gathered in, for the next one.
    spare: Vec<u8>,
    /// Read, but not handed on yet.
    ahead: Vec<u8>,
    /// All that was handed on, while it is recorded.
    record: Option<Vec<u8>>,
    wrote: bool,
    ended: bool,
    /// A time limit ran out: nothing more is tried.
    dead: bool,
    /// When what is read next must have come.
    read_by: Option<Instant>,
    /// Rings at that time or before it: see [`Inner::poll_late`].
    alarm: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
    write_limit: Duration,
}

impl Wire {
    /// Over a stream; a write that makes no progress for so long fails.
    pub(super) fn new(stream: impl Transport, write_limit: Duration) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream: Box::new(stream),
            scratch: Box::new([0; AT_ONCE]),
            spare: Vec::new(),
            ahead: Vec::new(),
            record: Some(Vec::new()),
            wrote: false,
            ended: false,
            dead: false,
            read_by: None,
            alarm: None,
            writing: None,
            write_limit,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, what is read next must come within this time; or within any.
    pub(super) fn limit_reading(&self, limit: Option<Duration>) {
        self.lock().read_by = limit.and_then(|limit| Instant::now().checked_add(limit));
    }

    /// An empty buffer, as a rule the one of the last flight.
    pub(super) fn take_spare(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().spare)
    }

    /// Keeps a buffer for the next flight.
    pub(super) fn keep_spare(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE {
            buffer.clear();
            self.lock().spare = buffer;
        }
    }

    /// Whether anything was written yet.
    pub(super) fn has_written(&self) -> bool {
        self.lock().wrote
    }

    /// Whether the server closed the connection.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// What was read since the beginning; the recording ends.
    pub(super) fn take_record(&self) -> Vec<u8> {
        self.lock().record.take().unwrap_or_default()
    }

    /// Whether the server said nothing that was not asked for, as far as it has arrived; an error if it is gone.
    pub(super) fn is_quiet(&self) -> io::Result<bool> {
        let mut inner = self.lock();
        if inner.dead || inner.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if inner.ahead.is_empty()
            && let Poll::Ready(filled) = inner.fill(&mut Context::from_waker(Waker::noop()))
        {
            filled?;
            if inner.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(inner.ahead.is_empty())
    }
}

/// Whether a line of a reply has nothing but blanks after its code. lettre 0.11 panics on such a line in the answer to `EHLO`
/// (found by the fuzzer), and passes over one that is empty.
fn is_blank_line(line: &[u8]) -> bool {
    let Some((code, text)) = line.split_at_checked(4) else { return false };
    // Almost no line gets further. Of blanks there are more than `is_ascii_whitespace` knows: a vertical tab.
    let may_be = text.first().is_some_and(|byte| *byte <= b' ' || !byte.is_ascii()) && text.ends_with(b"\n");
    may_be
        && code[..3].iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(text).is_ok_and(|text| text.trim().is_empty())
}

impl Inner {
    /// Reads what has arrived.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(self.scratch.as_mut_slice());
        ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut buffer))?;
        self.ended |= buffer.filled().is_empty();
        self.ahead.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    fn has_line(&self) -> bool {
        self.ahead.contains(&b'\n') || self.ahead.len() > LONGEST_LINE
    }

    /// Hands on a line, or what there is of it.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        // A reply may be a bare code (RFC 5321, 4.2); lettre wants a blank after it.
        if self.ahead.get(3..5) == Some(b"\r\n") && self.ahead[..3].iter().all(u8::is_ascii_digit) {
            self.ahead.insert(3, b' ');
        }
        let mut line = self.ahead.iter().position(|byte| *byte == b'\n').map_or(self.ahead.len(), |at| at + 1);
        if is_blank_line(&self.ahead[..line]) {
            self.ahead.splice(4..line, *b"\r\n");
            line = 6;
        }
        let length = line.min(buffer.remaining());
        let handed = &self.ahead[..length];
        if let Some(record) = &mut self.record {
            record.extend_from_slice(handed);
        }
        buffer.put_slice(handed);
        self.ahead.drain(..length);
    }

    /// Whether the time for what is read next has run out. One alarm serves many replies: a later limit than the one it is
    /// set to costs nothing until it rings, and replies come long before.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(read_by) = self.read_by else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(read_by)));
        if read_by < alarm.deadline() {
            alarm.as_mut().reset(read_by);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if read_by <= alarm.deadline() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(read_by);
        }
    }

    /// What a write gave, or its time limit. Every progress begins the limit anew.
    fn limit_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let limit = self.write_limit;
        let timer = self.writing.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        self.dead = true;
        Poll::Ready(Err(late("the server took no more bytes within the time limit")))
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if inner.dead {
            return Poll::Ready(Err(late("no answer within the time limit")));
        }
        while !inner.ended && !inner.has_line() {
            if let Poll::Ready(filled) = inner.fill(cx) {
                filled?;
                continue;
            }
            ready!(inner.poll_late(cx));
            inner.dead = true;
            return Poll::Ready(Err(late("no answer within the time limit")));
        }
        inner.hand_on(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.lock();
        if inner.dead {
            return Poll::Ready(Err(late("the time limit ran out before")));
        }
        let written = Pin::new(&mut *inner.stream).poll_write(cx, bytes);
        inner.wrote |= matches!(written, Poll::Ready(Ok(_)));
        inner.limit_write(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        if inner.dead {
            return Poll::Ready(Err(late("the time limit ran out before")));
        }
        let flushed = Pin::new(&mut *inner.stream).poll_flush(cx);
        inner.limit_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.lock();
        let shut = Pin::new(&mut *inner.stream).poll_shutdown(cx);
        inner.limit_write(cx, shut)
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);

    /// A reply that comes so late, with the alarm set to `before` by an earlier one and the limit now `limit`.
    async fn read_after(before: Duration, limit: Duration, late: Option<Duration>) -> io::Result<usize> {
        let (ours, mut theirs) = tokio::io::duplex(1_024);
        let mut wire = Wire::new(ours, LONG);
        let mut line = [0; 64];
        wire.limit_reading(Some(before));
        let (first, ()) = tokio::join!(wire.read(&mut line), async {
            tokio::task::yield_now().await;
            theirs.write_all(b"250 first\r\n").await.unwrap();
        });
        assert_eq!(first.unwrap(), 11);
        wire.limit_reading(Some(limit));
        let answer = async {
            let Some(late) = late else { return std::future::pending().await };
            tokio::time::sleep(late).await;
            theirs.write_all(b"250 second\r\n").await.unwrap();
            std::future::pending().await
        };
        tokio::select! {
            read = wire.read(&mut line) => read,
            () = answer => Ok(0),
        }
    }

    #[tokio::test]
    async fn a_limit_that_is_shorter_than_the_last_one_holds() {
        let within = tokio::time::timeout(LONG / 2, read_after(LONG, SHORT, None)).await.unwrap();
        assert_eq!(within.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_limit_that_is_longer_than_the_last_one_holds() {
        assert_eq!(read_after(SHORT, LONG, Some(SHORT * 4)).await.unwrap(), 12);
        let within = tokio::time::timeout(LONG / 2, read_after(SHORT, SHORT * 4, None)).await.unwrap();
        assert_eq!(within.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
