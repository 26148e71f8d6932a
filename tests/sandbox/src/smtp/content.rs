//! How a mail's content comes in: BDAT chunks (RFC 3030) and DATA with its dots.
//! A refused chunk is still read to its end, or its bytes would be taken for commands.

use std::io;

use super::connection::Connection;
use super::flow::{Met, Next};
use super::mail::Transaction;
use super::replies;
use crate::faults::Stage;

impl Connection {
    pub(super) async fn bdat(&mut self, size: u64, last: bool) -> io::Result<Next> {
        if let Some(reply) = self.chunk_refusal() {
            self.wire.skip(size).await?;
            return Ok(self.refuse(reply));
        }
        if self.transaction.as_ref().is_some_and(|transaction| !transaction.chunked) {
            match self.meet_data().await? {
                Met::Refused(reply) => {
                    self.wire.skip(size).await?;
                    if let Some(transaction) = &mut self.transaction {
                        transaction.failed = true;
                    }
                    return Ok(self.refuse(&reply));
                }
                Met::Ended(next) => return Ok(next),
                Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
            }
        }
        self.read_chunk(size).await?;
        if last { self.finish().await } else { Ok(self.say(replies::CHUNK_OK)) }
    }

    fn chunk_refusal(&self) -> Option<&'static str> {
        match &self.transaction {
            _ if !self.state.settings.chunking() => Some(replies::UNKNOWN_COMMAND),
            None => Some(replies::MAIL_FIRST),
            Some(transaction) if transaction.failed => Some(replies::MAIL_FAILED),
            Some(transaction) if transaction.recipients.is_empty() => Some(replies::RCPT_FIRST),
            Some(_) => None,
        }
    }

    async fn meet_data(&mut self) -> io::Result<Met> {
        let recipients = match &mut self.transaction {
            Some(transaction) => std::mem::take(&mut transaction.recipients),
            None => Vec::new(),
        };
        let met = self.meet(Stage::Data, &recipients).await;
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients = recipients;
        }
        met
    }

    async fn read_chunk(&mut self, size: u64) -> io::Result<()> {
        let Some(transaction) = &mut self.transaction else {
            return self.wire.skip(size).await;
        };
        transaction.chunked = true;
        match usize::try_from(size) {
            Ok(count) if transaction.has_room_for(size) => {
                self.wire.read_exactly(count, &mut transaction.content).await
            }
            Ok(_) | Err(_) => {
                transaction.drop_content();
                self.wire.skip(size).await
            }
        }
    }

    pub(super) async fn data(&mut self) -> io::Result<Next> {
        let refusal = match &self.transaction {
            None => Some(replies::MAIL_FIRST),
            Some(transaction) if transaction.chunked || transaction.failed => Some(replies::BDAT_BEGUN),
            Some(transaction) if transaction.recipients.is_empty() => Some(replies::RCPT_FIRST),
            Some(_) => None,
        };
        if let Some(reply) = refusal {
            return Ok(self.refuse(reply));
        }
        match self.meet_data().await? {
            Met::Refused(reply) => {
                self.transaction = None;
                return Ok(self.refuse(&reply));
            }
            Met::Ended(next) => return Ok(next),
            Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
        }
        self.wire.reply(replies::GO_AHEAD);
        self.flush().await?;
        self.read_lines().await?;
        self.finish().await
    }

    async fn read_lines(&mut self) -> io::Result<()> {
        let Some(transaction) = &mut self.transaction else {
            return Ok(());
        };
        let mut dots = Unstuffer::default();
        loop {
            let (taken, done) = dots.feed(self.wire.waiting(), &mut transaction.content);
            self.wire.take(taken);
            if !transaction.has_room_for(0) {
                transaction.drop_content();
            }
            if done {
                return Ok(());
            }
            if !self.wire.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Transaction {
    fn has_room_for(&self, more: u64) -> bool {
        !self.too_large && (self.content.len() as u64).saturating_add(more) <= replies::MAX_SIZE
    }

    fn drop_content(&mut self) {
        self.too_large = true;
        self.content = Vec::new();
    }
}

/// Takes the dots off that DATA puts before lines, and finds its end.
/// Only CRLF ends a line: a lone LF before the dot must not end the mail (SMTP smuggling).
struct Unstuffer {
    at_line_start: bool,
}

impl Default for Unstuffer {
    fn default() -> Self {
        Self { at_line_start: true }
    }
}

impl Unstuffer {
    /// How much of the input is used up, and whether the mail ended there.
    fn feed(&mut self, input: &[u8], content: &mut Vec<u8>) -> (usize, bool) {
        const END: &[u8] = b".\r\n";
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            if self.at_line_start && rest[0] == b'.' {
                if rest.starts_with(END) {
                    return (at + END.len(), true);
                }
                if END.starts_with(rest) {
                    // Too little to tell a stuffed dot from the end.
                    return (at, false);
                }
                at += 1;
                self.at_line_start = false;
                continue;
            }
            let Some(cr) = rest.iter().position(|byte| *byte == b'\r') else {
                content.extend_from_slice(rest);
                self.at_line_start = false;
                return (input.len(), false);
            };
            let Some(after) = rest.get(cr + 1) else {
                // The CR waits for what follows it.
                content.extend_from_slice(&rest[..cr]);
                self.at_line_start = self.at_line_start && cr == 0;
                return (at + cr, false);
            };
            let length = if *after == b'\n' { cr + 2 } else { cr + 1 };
            self.at_line_start = *after == b'\n';
            content.extend_from_slice(&rest[..length]);
            at += length;
        }
        (at, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces, as the network may cut them: what is not taken comes again with more.
    fn unstuff(wire: &[u8], piece: usize) -> (Vec<u8>, usize) {
        let (mut dots, mut content, mut taken, mut seen) = (Unstuffer::default(), Vec::new(), 0, 0);
        loop {
            seen = (seen + piece).min(wire.len());
            let (used, done) = dots.feed(&wire[taken..seen], &mut content);
            taken += used;
            if done || seen == wire.len() {
                return (content, taken);
            }
        }
    }

    #[test]
    fn dots_come_off_and_the_end_is_found_however_the_bytes_are_cut() {
        let wire = b"..a\r\n.b\r\n...\r\n\r\nc.\r\n\r\r\n.\r\nQUIT\r\n";
        let mail = b".a\r\nb\r\n..\r\n\r\nc.\r\n\r\r\n";
        for piece in 1..=wire.len() {
            let (content, taken) = unstuff(wire, piece);
            assert_eq!(content, mail, "pieces of {piece}");
            assert_eq!(&wire[taken..], b"QUIT\r\n", "pieces of {piece}");
        }
    }

    #[test]
    fn a_dot_after_a_lone_line_feed_does_not_end_the_mail() {
        let (content, taken) = unstuff(b"a\n.\r\nb\r\n.\r\n", 64);
        assert_eq!(content, b"a\n.\r\nb\r\n");
        assert_eq!(taken, 11);
    }

    #[test]
    fn an_empty_mail_ends_at_once() {
        assert_eq!(unstuff(b".\r\n", 1), (Vec::new(), 3));
    }
}
