//! A connection as the system gives it, with a bound for a caller that does not read, and an end that lets it read the answer.
//!
//! Whoever waits for such a caller waits no longer than the time that was set; reading is bounded elsewhere (`listen`, `body`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// For how long what still comes is read and thrown away after our last byte. Closing before would make the system tell the
/// caller that the connection broke, before it has read why its request was refused.
const LINGER: Duration = Duration::from_secs(2);
const THROWN_AWAY: usize = 8 << 10;
/// Pieces that are thrown away before others have their turn.
const AT_ONCE: usize = 32;

/// A stream that gives up when nothing can be written for so long.
pub(super) struct Bounded<S> {
    inner: S,
    timeout: Duration,
    /// Until when something must be written; `None`: nothing waits.
    until: Option<Pin<Box<Sleep>>>,
    /// Our last byte is written, and this is when reading ends.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> Bounded<S> {
    pub(super) fn new(inner: S, timeout: Duration) -> Self {
        Self { inner, timeout, until: None, lingering: None }
    }

    /// What a write came to, or that the caller has not read for too long.
    fn bounded<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let timeout = self.timeout;
        let until = self.until.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.bounded(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.bounded(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.bounded(shut, cx))?;
            this.lingering = Some(Box::pin(sleep_until(Instant::now() + LINGER)));
        }
        let mut away = [0; THROWN_AWAY];
        for _ in 0..AT_ONCE {
            if this.lingering.as_mut().is_none_or(|until| until.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut away = ReadBuf::new(&mut away);
            let read = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut away));
            if read.is_err() || away.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_caller_that_does_not_read_is_given_up() {
        let (ours, mut theirs) = duplex(16);
        let timeout = Duration::from_millis(50);
        let mut stream = Bounded::new(ours, timeout);
        stream.write_all(&[7; 16]).await.unwrap();
        let begun = Instant::now();
        let stuck = stream.write_all(&[7; 16]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= timeout && stream.until.is_some());
        // Each byte that it reads gives it the whole time again.
        theirs.read_exact(&mut [0; 16]).await.unwrap();
        stream.write_all(&[7; 16]).await.unwrap();
        assert!(stream.until.is_none());
    }

    #[tokio::test]
    async fn what_still_comes_after_the_end_is_thrown_away_for_a_while() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = Bounded::new(ours, Duration::from_secs(60));
        let (shut, sent) = tokio::join!(stream.shutdown(), async {
            let sent = theirs.write_all(&[7; 64 << 10]).await;
            drop(theirs);
            sent
        });
        assert!(shut.is_ok() && sent.is_ok(), "{shut:?} {sent:?}");
        let (ours, _theirs) = duplex(16);
        let begun = Instant::now();
        Bounded::new(ours, Duration::from_secs(60)).shutdown().await.unwrap();
        assert!(begun.elapsed() >= LINGER, "it does not wait for ever for a caller that says nothing more");
    }
}
