//! One connection's bytes: lines in, lines out. Knows nothing of what they mean.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Longer than any login: an access token may have 2,048 bytes before its base64.
const LONGEST_LINE: u64 = 12_288;

pub(super) struct Wire {
    stream: BufReader<TlsStream<TcpStream>>,
    output: String,
}

impl Wire {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: BufReader::new(stream), output: String::new() }
    }

    /// Gathers a line.
    pub(super) fn say(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push_str("\r\n");
    }

    /// Sends what is gathered, and reads the next line; `None` at the end of the stream, or if no line ends in time.
    pub(super) async fn line(&mut self) -> io::Result<Option<String>> {
        self.flush().await?;
        let mut bytes = Vec::new();
        (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut bytes).await?;
        let line = bytes.strip_suffix(b"\r\n");
        Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(self.output.as_bytes()).await?;
        self.stream.flush().await?;
        self.output.clear();
        Ok(())
    }

    /// Takes what comes and answers nothing, until the client hangs up.
    pub(super) async fn hold(&mut self) -> io::Result<()> {
        self.flush().await?;
        let mut waste = [0; 1024];
        while self.stream.read(&mut waste).await? > 0 {}
        Ok(())
    }

    /// Ends TLS and TCP in order.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// Resets the TCP connection.
    pub(super) fn cut(self) {
        let (tcp, _) = self.stream.get_ref().get_ref();
        let _ = tcp.set_zero_linger();
    }
}
