//! One connection's bytes: a read buffer that commands are taken from, and replies that are gathered until they are flushed.
//! Knows lines and lengths, but nothing of what commands mean.

use std::io;
use std::ops::Range;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Longest AUTH line that Gmail takes; every other line is held to [`MAX_LINE`].
const MAX_AUTH_LINE: usize = 12_288;
const MAX_LINE: usize = 2_048;
/// Room for each read: one TLS record.
const READ_ROOM: usize = 16 * 1024;
/// How often a connection with unread bytes is looked at for its end.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Wire {
    stream: TlsStream<TcpStream>,
    input: Vec<u8>,
    // Start of what is not yet taken.
    start: usize,
    output: Vec<u8>,
}

/// What the read buffer holds next.
pub(super) enum Line {
    /// A line, without its CRLF; valid until the next read.
    Whole(Range<usize>),
    /// A line that ended in LF alone.
    NoCr,
    /// A line over the limit, taken and thrown away.
    TooLong,
    /// More has to be read first.
    Incomplete,
    /// So much without a line's end that reading on makes no sense.
    Endless,
}

impl Wire {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, input: Vec::with_capacity(READ_ROOM), start: 0, output: Vec::with_capacity(1024) }
    }

    /// Gathers a reply.
    pub(super) fn reply(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Sends the gathered replies as one flight.
    pub(super) async fn flush(&mut self, latency: Duration) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.stream.write_all(&self.output).await?;
        self.stream.flush().await?;
        self.output.clear();
        Ok(())
    }

    /// Takes the next line. `reply_expected` allows the length of a login's second line.
    pub(super) fn next_line(&mut self, reply_expected: bool) -> Line {
        let waiting = &self.input[self.start..];
        let Some(length) = waiting.iter().position(|byte| *byte == b'\n') else {
            return if waiting.len() > MAX_AUTH_LINE { Line::Endless } else { Line::Incomplete };
        };
        let line = self.start..(self.start + length).saturating_sub(1).max(self.start);
        let is_auth = waiting.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        let with_cr = length > 0 && waiting[length - 1] == b'\r';
        let limit = if is_auth || reply_expected { MAX_AUTH_LINE } else { MAX_LINE };
        self.start += length + 1;
        if !with_cr {
            Line::NoCr
        } else if length + 1 > limit {
            Line::TooLong
        } else {
            Line::Whole(line)
        }
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.input[range]
    }

    /// What was read and not yet taken.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.input[self.start..]
    }

    pub(super) fn take(&mut self, count: usize) {
        self.start += count;
    }

    /// Reads once; false at the end of the stream. Ranges given out before are void.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        if self.start == self.input.len() {
            self.input.clear();
        } else if self.start > 0 {
            self.input.drain(..self.start);
        }
        self.start = 0;
        self.input.reserve(READ_ROOM);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// Moves exactly this many bytes into `content`, reading past the buffer what is not there yet.
    pub(super) async fn read_exactly(&mut self, count: usize, content: &mut Vec<u8>) -> io::Result<()> {
        let ready = count.min(self.waiting().len());
        content.extend_from_slice(&self.input[self.start..self.start + ready]);
        self.take(ready);
        let mut missing = count - ready;
        // Bounded: a client may announce more than it ever sends.
        content.reserve(missing.min(1 << 20));
        while missing > 0 {
            let read = (&mut self.stream).take(missing as u64).read_buf(content).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            missing -= read;
        }
        Ok(())
    }

    /// Reads and forgets.
    pub(super) async fn skip(&mut self, mut count: u64) -> io::Result<()> {
        loop {
            let ready = count.min(self.waiting().len() as u64);
            self.take(usize::try_from(ready).unwrap_or_default());
            count -= ready;
            if count == 0 {
                return Ok(());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads and forgets until the client hangs up.
    pub(super) async fn hold(&mut self) -> io::Result<()> {
        while self.fill().await? {
            self.take(self.waiting().len());
        }
        Ok(())
    }

    /// Waits until the client hangs up, whatever it sent before; reads nothing.
    pub(super) async fn hung_up(&self) {
        let (tcp, _) = self.stream.get_ref();
        while tcp.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
            // Something waits to be read, so that `ready` answers at once.
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }

    /// Ends TLS and TCP in order.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Resets the TCP connection.
    pub(super) fn cut(self) {
        let (tcp, _) = self.stream.get_ref();
        let _ = tcp.set_zero_linger();
    }
}
