//! One exchange: write a flight, read one reply for each command in it. Reads while it writes, so neither side can block
//! the other, and a refusal in the middle of a large mail is heard at once.

use std::pin::pin;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use crate::reply::{Reply, Stage};

use super::connection::Connection;
use super::content::{Flight, write};
use super::replies::{heard, silence_of};

/// After a write failed, how long to look for the words that explain it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What came of an exchange.
pub(super) struct Exchange {
    /// One a command, in order, up to and with the first silence.
    pub(super) replies: Vec<Reply>,
    /// Whether the last byte was handed to the kernel: from then on the server may have it.
    pub(super) sent: bool,
}

impl Exchange {
    /// The last reply; every exchange has one.
    pub(super) fn last(mut self) -> Option<Reply> {
        self.replies.pop()
    }
}

impl Connection {
    /// Writes a flight and reads the replies to its stages.
    pub(super) async fn exchange(&mut self, flight: Flight<'_>, stages: &[Stage]) -> Exchange {
        let (command, data) = (self.command_timeout, self.data_timeout);
        let limit = |stage: Stage| if stage == Stage::Final { data } else { command };
        let wire = self.wire.clone();
        let (steps, mut began) = (self.steps.clone(), Instant::now());
        let mut writing = pin!(write(wire.clone(), flight));
        let mut written = None;
        let mut replies: Vec<Reply> = Vec::with_capacity(stages.len());
        for &stage in stages {
            wire.limit_reading(match &written {
                None => None,
                Some(Ok(())) => Some(limit(stage)),
                Some(Err(_)) => Some(LAST_WORDS),
            });
            let mut reading = pin!(self.lettre.read_response());
            let read = loop {
                tokio::select! {
                    biased;
                    end = &mut writing, if written.is_none() => {
                        wire.limit_reading(Some(if end.is_ok() { limit(stage) } else { LAST_WORDS }));
                        written = Some(end);
                    }
                    read = &mut reading => break read,
                }
            };
            let mut reply = heard(stage, read, &wire);
            let is_silent = reply.code().is_none();
            if let (true, Some(Err(error))) = (is_silent, &written) {
                reply = silence_of(stage, error);
            }
            // Answers to one flight follow each other: each is told from when the one before was heard.
            steps.heard(began, &reply);
            if steps.is_on() {
                began = Instant::now();
            }
            replies.push(reply);
            if is_silent {
                break;
            }
        }
        Exchange { replies, sent: matches!(written, Some(Ok(()))) }
    }

    /// Writes one command and reads its reply.
    pub(super) async fn command(&mut self, line: &str, stage: Stage) -> Reply {
        self.one(Flight::commands(line.as_bytes()), stage).await
    }

    /// As [`Connection::command`]; nothing of the line stays in the buffers that are kept for later.
    pub(super) async fn secret_command(&mut self, line: &SecretString, stage: Stage) -> Reply {
        let flight = Flight { secret: true, ..Flight::commands(line.expose_secret().as_bytes()) };
        self.one(flight, stage).await
    }

    async fn one(&mut self, flight: Flight<'_>, stage: Stage) -> Reply {
        self.exchange(flight, &[stage])
            .await
            .last()
            .unwrap_or_else(|| Reply::silence(stage, crate::reply::Silence::Closed, "no reply"))
    }
}
