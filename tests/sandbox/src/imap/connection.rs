//! One IMAP connection: greeting, the loop over commands, and the commands themselves.
//! As a real server's, a selected mailbox shows what came in later only after NOOP or another SELECT or EXAMINE.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::command::Command;
use super::mailbox::{self, SENT};
use super::search::Wanted;
use super::wire::Wire;
use crate::faults::{Action, Scene, Stage};
use crate::state::State;
use crate::store::{Sent, unix_ms};

pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) state: Arc<State>,
    /// Who is logged in.
    pub(super) account: Option<String>,
    selected: Option<Selected>,
}

/// A mailbox that is open.
struct Selected {
    is_sent: bool,
    /// The last mail that the client was told of.
    upto: u64,
}

/// What a connection does after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Take the next command.
    Go,
    /// Send what is gathered and close in order.
    Close,
    /// Reset the TCP connection.
    Cut,
}

impl Connection {
    pub(super) fn new(wire: Wire, state: Arc<State>) -> Self {
        Self { wire, state, account: None, selected: None }
    }

    /// Serves from the greeting to the end.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        self.wire.say("* OK Gimap ready for requests (sandbox)");
        let mut next = Next::Go;
        while next == Next::Go {
            let Some(line) = self.wire.line().await? else { return Ok(()) };
            next = match Command::parse(&line) {
                Some(command) => self.obey(&command).await?,
                None => self.bad("*"),
            };
        }
        if next == Next::Cut {
            self.wire.flush().await?;
            self.wire.cut();
            return Ok(());
        }
        self.wire.close().await
    }

    async fn obey(&mut self, command: &Command) -> io::Result<Next> {
        let (tag, arguments) = (command.tag.as_str(), command.arguments.as_slice());
        let logged_in = self.account.is_some();
        Ok(match (command.name.as_str(), arguments) {
            ("CAPABILITY", []) => {
                let capabilities = self.capabilities();
                self.wire.say(&format!("* CAPABILITY {capabilities}"));
                self.ok(tag, "Thats all she wrote!")
            }
            ("ID", [_, ..]) => {
                self.wire.say("* ID (\"name\" \"Postroom sandbox\")");
                self.ok(tag, "Success")
            }
            ("NOOP", []) => self.noop(tag),
            ("LOGOUT", []) => {
                self.wire.say("* BYE LOGOUT Requested");
                self.ok(tag, "Quoth the raven, nevermore...");
                Next::Close
            }
            ("AUTHENTICATE", _) => self.authenticate(tag, arguments).await?,
            ("LIST", [reference, pattern]) if logged_in && reference.is_empty() => {
                mailbox::list(pattern).iter().for_each(|line| self.wire.say(line));
                self.ok(tag, "Success")
            }
            ("SELECT", [name]) if logged_in => self.open(tag, name, "READ-WRITE"),
            ("EXAMINE", [name]) if logged_in => self.open(tag, name, "READ-ONLY"),
            ("SEARCH", _) => self.search(tag, arguments, false).await?,
            ("UID SEARCH", _) => self.search(tag, arguments, true).await?,
            _ => self.bad(tag),
        })
    }

    pub(super) fn capabilities(&self) -> String {
        let login = if self.account.is_none() { " SASL-IR AUTH=XOAUTH2" } else { "" };
        let gmail = if self.state.settings.gmail_search() { " X-GM-EXT-1" } else { "" };
        format!("IMAP4rev1 SPECIAL-USE ID UIDPLUS{gmail}{login}")
    }

    fn open(&mut self, tag: &str, name: &str, mode: &str) -> Next {
        self.selected = None;
        if !mailbox::exists(name) {
            return self.no(tag, &format!("[NONEXISTENT] Unknown Mailbox: {name} (Failure)"));
        }
        let selected = Selected { is_sent: name == SENT, upto: self.state.store.len() as u64 };
        let exists = self.mails(&selected).len();
        let lines = [
            "* FLAGS (\\Answered \\Flagged \\Draft \\Deleted \\Seen $NotPhishing $Phishing)".to_owned(),
            "* OK [PERMANENTFLAGS ()] Flags permitted.".to_owned(),
            "* OK [UIDVALIDITY 1] UIDs valid.".to_owned(),
            format!("* {exists} EXISTS"),
            "* 0 RECENT".to_owned(),
            format!("* OK [UIDNEXT {}] Predicted next UID.", selected.upto + 1),
        ];
        lines.iter().for_each(|line| self.wire.say(line));
        self.selected = Some(selected);
        self.ok(tag, &format!("[{mode}] {name} selected. (Success)"))
    }

    fn noop(&mut self, tag: &str) -> Next {
        let upto = self.state.store.len() as u64;
        if let Some(selected) = self.selected.take() {
            let selected = Selected { upto, ..selected };
            let exists = self.mails(&selected).len();
            self.wire.say(&format!("* {exists} EXISTS"));
            self.selected = Some(selected);
        }
        self.ok(tag, "Success")
    }

    async fn search(&mut self, tag: &str, arguments: &[String], by_uid: bool) -> io::Result<Next> {
        let (Some(selected), Some(account)) = (&self.selected, self.account.clone()) else { return Ok(self.bad(tag)) };
        let gmail = self.state.settings.gmail_search();
        let Some(wanted) = Wanted::parse(arguments, gmail) else { return Ok(self.bad(tag)) };
        let mails = self.mails(selected);
        let (id, indexed) = (wanted.message_id(), unix_ms() - self.state.settings.index_delay_ms() as f64);
        let scene = Scene { account: Some(&account), message_id: Some(&id), ..Scene::default() };
        match self.meet(Stage::ImapSearch, &scene).await? {
            Ok(None) => {}
            Ok(Some(text)) => return Ok(self.no(tag, &text)),
            Err(next) => return Ok(next),
        }
        let fitting = (1..).zip(&mails).filter(|(_, mail)| mail.received_ms <= indexed && wanted.fits(mail));
        let hits: String = fitting.map(|(place, mail)| format!(" {}", if by_uid { mail.uid } else { place })).collect();
        let counters = &self.state.counters;
        counters.imap_searches.fetch_add(1, Relaxed);
        counters.imap_found.fetch_add(u64::from(!hits.is_empty()), Relaxed);
        counters.account(&account).imap_searches.fetch_add(1, Relaxed);
        self.wire.say(&format!("* SEARCH{hits}"));
        Ok(self.ok(tag, "SEARCH completed (Success)"))
    }

    fn mails(&self, selected: &Selected) -> Vec<Sent> {
        match &self.account {
            Some(account) if selected.is_sent => self.state.store.sent(account, selected.upto),
            Some(_) | None => Vec::new(),
        }
    }

    /// Carries out what is scripted for this stage: a text to refuse with, or how the connection goes on.
    pub(super) async fn meet(&mut self, stage: Stage, scene: &Scene<'_>) -> io::Result<Result<Option<String>, Next>> {
        Ok(match self.state.faults.meet(stage, scene) {
            None => Ok(None),
            Some(Action::No(text)) => Ok(Some(text)),
            Some(Action::DelayMs(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(None)
            }
            Some(Action::Silence) => {
                self.wire.hold().await?;
                Err(Next::Cut)
            }
            Some(Action::Cut) => Err(Next::Cut),
            // Refused when the rule was made: these belong to SMTP and to the token endpoint.
            Some(
                Action::Reply(_)
                | Action::AcceptThenCut
                | Action::StoreAndDelayMs(_)
                | Action::Http(_)
                | Action::Garbage(_),
            ) => Ok(None),
        })
    }

    pub(super) fn ok(&mut self, tag: &str, text: &str) -> Next {
        self.wire.say(&format!("{tag} OK {text}"));
        Next::Go
    }

    pub(super) fn no(&mut self, tag: &str, text: &str) -> Next {
        self.wire.say(&format!("{tag} NO {text}"));
        Next::Go
    }

    pub(super) fn bad(&mut self, tag: &str) -> Next {
        self.wire.say(&format!("{tag} BAD Could not parse command, or not now"));
        Next::Go
    }
}
