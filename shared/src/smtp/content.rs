//! What is written in one go: commands and a mail's bytes, as they are (`BDAT`) or dot-stuffed (`DATA`), never copied whole.

use std::io;

use tokio::io::AsyncWriteExt as _;
use zeroize::Zeroize as _;

use super::stream::Wire;

/// Small parts are gathered up to this size, so that a small mail leaves in one write with its commands.
const GATHERED: usize = 72 * 1024;

/// Commands, then bytes.
#[derive(Clone, Copy)]
pub(super) struct Flight<'a> {
    /// Whole lines.
    pub(super) commands: &'a [u8],
    pub(super) body: Body<'a>,
    /// What was gathered is overwritten when it has left.
    pub(super) secret: bool,
}

/// A mail's bytes.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    AsIs(&'a [u8]),
    /// With a dot before every line that begins with one, and the final dot.
    Stuffed(&'a [u8]),
}

impl<'a> Flight<'a> {
    pub(super) fn commands(commands: &'a [u8]) -> Self {
        Self { commands, body: Body::None, secret: false }
    }
}

/// Writes it all and sees it off to the kernel.
pub(super) async fn write(mut wire: Wire, flight: Flight<'_>) -> io::Result<()> {
    let mut gathered = wire.take_spare();
    let body = match flight.body {
        Body::None => 0,
        Body::AsIs(bytes) | Body::Stuffed(bytes) => bytes.len(),
    };
    gathered.reserve((flight.commands.len() + body).min(GATHERED));
    gathered.extend_from_slice(flight.commands);
    match flight.body {
        Body::None => {}
        Body::AsIs(bytes) => add(&mut wire, &mut gathered, bytes).await?,
        Body::Stuffed(bytes) => {
            let mut rest = bytes;
            let mut begins_line = true;
            while !rest.is_empty() {
                if begins_line && rest[0] == b'.' {
                    add(&mut wire, &mut gathered, b".").await?;
                }
                let (part, after) = rest.split_at(next_dot(rest));
                add(&mut wire, &mut gathered, part).await?;
                (rest, begins_line) = (after, true);
            }
            let is_whole_line = bytes.is_empty() || bytes.ends_with(b"\r\n");
            add(&mut wire, &mut gathered, if is_whole_line { b".\r\n" } else { b"\r\n.\r\n" }).await?;
        }
    }
    let written = wire.write_all(&gathered).await;
    if flight.secret {
        gathered.zeroize();
    }
    written?;
    wire.keep_spare(gathered);
    wire.flush().await
}

/// Up to the next line that begins with a dot. A bare LF counts as the end of a line too: should one ever get here, a
/// spare dot harms less than a server that takes what follows for the end of the mail.
fn next_dot(bytes: &[u8]) -> usize {
    bytes.windows(2).position(|pair| pair == b"\n.").map_or(bytes.len(), |at| at + 1)
}

async fn add(wire: &mut Wire, gathered: &mut Vec<u8>, part: &[u8]) -> io::Result<()> {
    if gathered.len() + part.len() > GATHERED {
        wire.write_all(gathered).await?;
        gathered.clear();
    }
    if part.len() > GATHERED {
        return wire.write_all(part).await;
    }
    gathered.extend_from_slice(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn written(flight: Flight<'_>) -> Vec<u8> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        write(Wire::new(ours, Duration::from_secs(5)), flight).await.unwrap();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test]
    async fn lines_that_begin_with_a_dot_get_another() {
        for (body, expected) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\n..b\r\n.c.d\r\n", "a\r\n..\r\n...b\r\n..c.d\r\n.\r\n"),
            ("a\n.\nb", "a\n..\nb\r\n.\r\n"),
        ] {
            let flight = Flight { commands: b"", body: Body::Stuffed(body.as_bytes()), secret: false };
            assert_eq!(String::from_utf8(written(flight).await).unwrap(), expected, "{body:?}");
        }
    }

    #[tokio::test]
    async fn large_bodies_pass_whole() {
        let body = "0123456789\r\n.dot\r\n".repeat(20_000);
        let stuffed = written(Flight { commands: b"", body: Body::Stuffed(body.as_bytes()), secret: false }).await;
        assert_eq!(stuffed, (body.replace("\r\n.", "\r\n..") + ".\r\n").into_bytes());
        let plain = written(Flight { commands: b"BDAT\r\n", body: Body::AsIs(body.as_bytes()), secret: false }).await;
        assert_eq!(plain, [b"BDAT\r\n", body.as_bytes()].concat());
    }
}
