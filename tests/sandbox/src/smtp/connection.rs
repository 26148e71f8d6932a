//! One SMTP connection: greeting, the loop over commands, and the commands that need no module of their own.
//! Replies are gathered and flushed only when no whole command is left in the read buffer (RFC 2920).

use std::io;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::command::Command;
use super::flow::{Met, Next};
use super::login::Session;
use super::mail::Transaction;
use super::replies;
use super::wire::{Line, Wire};
use crate::faults::Stage;
use crate::state::State;
use crate::stats::{OpenConnection, Verb};

pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) state: Arc<State>,
    pub(super) open: OpenConnection,
    pub(super) greeted: bool,
    pub(super) session: Option<Session>,
    pub(super) transaction: Option<Transaction>,
    /// Mails accepted on this connection.
    pub(super) mails: u64,
    /// Content buffer of the last mail, used again when mails are not kept.
    pub(super) spare: Vec<u8>,
}

impl Connection {
    pub(super) fn new(wire: Wire, state: Arc<State>, open: OpenConnection) -> Self {
        Self { wire, state, open, greeted: false, session: None, transaction: None, mails: 0, spare: Vec::new() }
    }

    /// Serves from the greeting to the end.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        let mut next = self.greet().await?;
        while next == Next::Go {
            next = match self.next_line(false).await? {
                Received::Line(range) => match Command::parse(self.wire.bytes(range)) {
                    Ok(command) => self.obey(command).await?,
                    Err(malformed) => {
                        self.state.counters.command(malformed.verb);
                        let next = self.refuse(malformed.reply);
                        if malformed.reply == replies::EMPTY_HELO { Next::Close } else { next }
                    }
                },
                Received::Refused(next) => next,
                Received::HungUp => return Ok(()),
            };
        }
        self.end(next).await
    }

    /// Counts the session out before the client can see the end, so that its next login is not one too many.
    async fn end(mut self, next: Next) -> io::Result<()> {
        self.session = None;
        if next == Next::Cut {
            self.wire.cut();
            return Ok(());
        }
        self.flush().await?;
        self.wire.close().await
    }

    async fn greet(&mut self) -> io::Result<Next> {
        match self.meet(Stage::Greeting, &[]).await? {
            Met::Refused(reply) => {
                self.refuse(&reply);
                return Ok(Next::Close);
            }
            Met::Ended(next) => return Ok(next),
            Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
        }
        self.wire.reply(replies::GREETING);
        self.flush().await?;
        Ok(Next::Go)
    }

    /// The next line; what is gathered is flushed before waiting for more.
    pub(super) async fn next_line(&mut self, reply_expected: bool) -> io::Result<Received> {
        loop {
            match self.wire.next_line(reply_expected) {
                Line::Whole(range) => return Ok(Received::Line(range)),
                Line::NoCr => {
                    self.refuse(replies::NO_CRLF);
                    return Ok(Received::Refused(Next::Close));
                }
                Line::TooLong => {
                    self.state.counters.command(Verb::Other);
                    return Ok(Received::Refused(self.refuse(replies::LINE_TOO_LONG)));
                }
                Line::Endless => {
                    self.refuse(replies::LINE_TOO_LONG);
                    return Ok(Received::Refused(Next::Close));
                }
                Line::Incomplete => {}
            }
            self.flush().await?;
            let read = match self.expiry() {
                None => self.wire.fill().await?,
                Some(expiry) => match timeout_at(expiry, self.wire.fill()).await {
                    Ok(read) => read?,
                    Err(_) => return Ok(Received::Refused(self.refuse(replies::CONNECTION_EXPIRED))),
                },
            };
            if !read {
                return Ok(Received::HungUp);
            }
        }
    }

    /// When an idle session ends because its token expires, if the sandbox is set so.
    fn expiry(&self) -> Option<Instant> {
        let session = self.session.as_ref().filter(|_| self.state.settings.close_sessions_at_expiry())?;
        Some(Instant::from_std(session.token.deadline()))
    }

    async fn obey(&mut self, command: Command) -> io::Result<Next> {
        self.state.counters.command(command.verb());
        if !self.state.settings.pipelining() && self.sent_ahead(&command) {
            self.state.counters.pipelining_violations.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.refuse(replies::SENT_AHEAD);
            return Ok(Next::Close);
        }
        match command {
            Command::Mail { from, size, smtputf8 } => self.mail(from, size, smtputf8).await,
            Command::Rcpt { to } => self.rcpt(to).await,
            Command::Bdat { size, last } => self.bdat(size, last).await,
            Command::Data => self.data().await,
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial).await,
            Command::Ehlo => self.hello(true).await,
            Command::Helo => self.hello(false).await,
            Command::Rset => {
                self.transaction = None;
                Ok(self.say(replies::FLUSHED))
            }
            Command::Noop => Ok(self.say(replies::NOTHING_DONE)),
            Command::Help => Ok(self.say(replies::HELP)),
            Command::Vrfy => Ok(self.say(replies::VRFY)),
            Command::Quit => {
                self.wire.reply(replies::BYE);
                Ok(Next::Close)
            }
        }
    }

    /// Whether more came than this command; a BDAT's content belongs to it.
    fn sent_ahead(&self, command: &Command) -> bool {
        let own = if let Command::Bdat { size, .. } = command { *size } else { 0 };
        self.wire.waiting().len() as u64 > own
    }

    pub(super) fn say(&mut self, reply: &str) -> Next {
        self.wire.reply(reply);
        Next::Go
    }

    async fn hello(&mut self, extended: bool) -> io::Result<Next> {
        match self.meet(Stage::Ehlo, &[]).await? {
            Met::Refused(reply) => return Ok(self.refuse(&reply)),
            Met::Ended(next) => return Ok(next),
            Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
        }
        self.greeted = true;
        self.transaction = None;
        if !extended {
            return Ok(self.say(replies::HELO));
        }
        let settings = &self.state.settings;
        let size = format!("SIZE {}", replies::MAX_SIZE);
        let mut lines = vec![
            "smtp.gmail.com at your service, [127.0.0.1]",
            &size,
            "8BITMIME",
            if settings.xoauth2() {
                "AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH"
            } else {
                "AUTH LOGIN PLAIN"
            },
            "ENHANCEDSTATUSCODES",
        ];
        if settings.pipelining() {
            lines.push("PIPELINING");
        }
        if settings.chunking() {
            lines.push("CHUNKING");
        }
        for line in lines {
            self.wire.reply(&format!("250-{line}"));
        }
        Ok(self.say("250 SMTPUTF8"))
    }
}

/// What waiting for a line brought.
pub(super) enum Received {
    /// A line; its place in the read buffer.
    Line(std::ops::Range<usize>),
    /// No usable line; the refusal is gathered.
    Refused(Next),
    /// The client closed the connection.
    HungUp,
}
