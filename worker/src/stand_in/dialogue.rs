//! The stand-in's side of the dialogue: one reply a command, the mail's bytes read and thrown away.

use std::io;

use postroom_shared::test_mode::{Behaviour, DELAYED_ATTEMPTS};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, copy, sink};

use super::replies;

/// Longer than any command of our own.
const LONGEST_COMMAND: u64 = 64 * 1024;

/// Answers until the other end says `QUIT` or closes.
pub(super) async fn answer(stream: DuplexStream, attempt: u32) {
    let mut dialogue = Dialogue { wire: BufReader::new(stream), attempt, taken: None };
    // What fails is a pipe that the other end has closed: there is nobody to tell.
    let _ = dialogue.run().await;
}

struct Dialogue {
    wire: BufReader<DuplexStream>,
    attempt: u32,
    /// Recipients taken in the transaction; `None`: there is none.
    taken: Option<u32>,
}

impl Dialogue {
    async fn run(&mut self) -> io::Result<()> {
        self.say(replies::GREETING).await?;
        while let Some(line) = self.command().await? {
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let reply = match verb.to_ascii_uppercase().as_str() {
                "EHLO" => replies::OFFERS,
                "AUTH" => replies::LOGGED_IN,
                "MAIL" => {
                    self.taken = Some(0);
                    replies::SENDER_OK
                }
                "RCPT" => self.recipient(argument),
                "BDAT" => self.chunk(argument).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.taken = None;
                    replies::NOTHING_DONE
                }
                "NOOP" => replies::NOTHING_DONE,
                "QUIT" => return self.say(replies::BYE).await,
                _ => replies::UNKNOWN_COMMAND,
            };
            self.say(reply).await?;
        }
        Ok(())
    }

    /// The next command without its line end; `None`: the other end has closed, or does not speak SMTP.
    async fn command(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        (&mut self.wire).take(LONGEST_COMMAND).read_until(b'\n', &mut line).await?;
        let line = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.wire.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    /// `TO:<address>`
    fn recipient(&mut self, argument: &str) -> &'static str {
        let Some(taken) = &mut self.taken else { return replies::MAIL_FIRST };
        let address = argument.split(['<', '>']).nth(1).unwrap_or_default();
        match Behaviour::of(address) {
            Behaviour::Bounced => return replies::NO_SUCH_USER,
            Behaviour::Delayed if self.attempt <= DELAYED_ATTEMPTS => return replies::NOT_NOW,
            Behaviour::Delayed | Behaviour::Delivered => {}
        }
        *taken += 1;
        replies::RECIPIENT_OK
    }

    /// `size`, or `size LAST`; the bytes follow whatever is answered.
    async fn chunk(&mut self, argument: &str) -> io::Result<&'static str> {
        let (size, last) = argument.split_once(' ').map_or((argument, false), |(size, _)| (size, true));
        let size: u64 = size.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        if copy(&mut (&mut self.wire).take(size), &mut sink()).await? < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(match (self.taken, last) {
            (None | Some(0), _) => replies::RCPT_FIRST,
            (Some(_), false) => replies::CHUNK_OK,
            (Some(_), true) => self.accept(),
        })
    }

    async fn data(&mut self) -> io::Result<&'static str> {
        if matches!(self.taken, None | Some(0)) {
            return Ok(replies::RCPT_FIRST);
        }
        self.say(replies::GO_AHEAD).await?;
        let mut line = Vec::new();
        while line != b".\r\n" {
            line.clear();
            if self.wire.read_until(b'\n', &mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.accept())
    }

    fn accept(&mut self) -> &'static str {
        self.taken = None;
        replies::TAKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the stand-in answers to commands, by the codes of its replies.
    async fn answers(attempt: u32, said: &str) -> Vec<String> {
        let (mut ours, theirs) = tokio::io::duplex(4_096);
        let answering = tokio::spawn(answer(theirs, attempt));
        ours.write_all(said.replace('\n', "\r\n").as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut heard = String::new();
        ours.read_to_string(&mut heard).await.unwrap();
        answering.await.unwrap();
        let last_lines = heard.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
        last_lines.map(|line| line[..3].to_owned()).collect()
    }

    #[tokio::test]
    async fn a_reply_to_each_command_and_the_right_one() {
        const ENVELOPE: &str = "MAIL FROM:<a@x.org>\nRCPT TO:<b@x.org>\n";
        const DELAYED: &str = "MAIL FROM:<a@x.org>\nRCPT TO:<delayed+1@postroom.test>\n";
        let table: [(u32, String, &[&str]); 9] = [
            (1, "EHLO x\nAUTH XOAUTH2 eA==\nNOOP\nVRFY x\nQUIT\nNOOP\n".into(), &["250", "235", "250", "502", "221"]),
            (1, format!("{ENVELOPE}BDAT 3 LAST\nabcNOOP\n"), &["250", "250", "250", "250"]),
            (1, format!("{ENVELOPE}BDAT 3\nabcBDAT 0 LAST\nRCPT TO:<b@x.org>\n"), &["250", "250", "250", "250", "503"]),
            (1, format!("{ENVELOPE}DATA\n..\n.a\n.\nRSET\n"), &["250", "250", "354", "250", "250"]),
            // The bytes of a mail that nobody gets are no commands.
            (
                1,
                "MAIL FROM:<a@x.org>\nRCPT TO:<bounced@postroom.test>\nBDAT 4 LAST\nQUITDATA\n".into(),
                &["250", "550", "503", "503"],
            ),
            (1, "BDAT 4 LAST\nQUITRSET\n".into(), &["503", "250"]),
            (2, DELAYED.into(), &["250", "451"]),
            (3, DELAYED.into(), &["250", "250"]),
            // Cut in the middle of the bytes: nothing is taken.
            (1, format!("{ENVELOPE}BDAT 9 LAST\nabc"), &["250", "250"]),
        ];
        for (attempt, said, expected) in table {
            assert_eq!(answers(attempt, &said).await[1..], *expected, "{said}");
        }
    }
}
