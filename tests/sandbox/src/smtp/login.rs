//! AUTH XOAUTH2 against the sandbox's own tokens, with the dialogue that Gmail has for a refused one.
//! A refusal never says why: expired, of another account and unknown look the same, as at Gmail.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connection::{Connection, Received};
use super::flow::{Met, Next};
use super::replies;
use crate::faults::{Scene, Stage};
use crate::stats::OpenSession;
use crate::tokens::Issued;
use crate::xoauth2::{Claim, TOKEN_PROBLEM};

/// A logged-in connection.
pub(super) struct Session {
    pub(super) account: String,
    pub(super) token: Arc<Issued>,
    pub(super) open: OpenSession,
}

impl Connection {
    pub(super) fn account(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.account.as_str())
    }

    pub(super) async fn auth(&mut self, mechanism: &str, initial: Option<String>) -> io::Result<Next> {
        let out_of_order = if !self.greeted {
            Some(replies::EHLO_FIRST)
        } else if self.session.is_some() {
            Some(replies::ALREADY_LOGGED_IN)
        } else if self.transaction.is_some() {
            Some(replies::LOGIN_INSIDE_MAIL)
        } else if mechanism != "XOAUTH2" || !self.state.settings.xoauth2() {
            Some(replies::UNKNOWN_MECHANISM)
        } else {
            None
        };
        if let Some(reply) = out_of_order {
            return Ok(self.refuse(reply));
        }
        let response = match initial {
            Some(response) => response,
            None => match self.ask("").await? {
                Ok(response) => response,
                Err(next) => return Ok(next),
            },
        };
        if response == "*" {
            return Ok(self.refuse_login(None, replies::LOGIN_CANCELLED));
        }
        match Claim::read(&response) {
            None => Ok(self.refuse_login(None, replies::CANNOT_DECODE)),
            Some(claim) => self.log_in(claim).await,
        }
    }

    async fn log_in(&mut self, claim: Claim) -> io::Result<Next> {
        let account = claim.account.as_str();
        let scene = Scene { account: Some(account), ..Scene::default() };
        if let Some(action) = self.state.faults.meet(Stage::Auth, &scene) {
            match self.undergo(action).await? {
                Met::Refused(reply) => return Ok(self.refuse_login(Some(account), &reply)),
                Met::Ended(next) => return Ok(next),
                Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
            }
        }
        let Some(token) = self.state.tokens.check(account, &claim.token) else {
            return self.refuse_token(account).await;
        };
        let counters = self.state.counters.account(account);
        let limit = self.state.settings.connections_per_account();
        let Some(open) = OpenSession::open(Arc::clone(&counters), limit) else {
            counters.logins_over_limit.fetch_add(1, Relaxed);
            return Ok(self.refuse_login(Some(account), replies::TOO_MANY_SESSIONS));
        };
        counters.logins_ok.fetch_add(1, Relaxed);
        self.state.counters.logins_ok.fetch_add(1, Relaxed);
        self.session = Some(Session { account: claim.account, token, open });
        Ok(self.say(replies::LOGGED_IN))
    }

    /// 334 with a JSON that proves nothing, the client's (normally empty) line, then 535.
    async fn refuse_token(&mut self, account: &str) -> io::Result<Next> {
        let challenge = STANDARD.encode(TOKEN_PROBLEM);
        match self.ask(&challenge).await? {
            // Whatever came in place of the empty line is lost, and the 535 looks like its answer.
            Ok(_) => Ok(self.refuse_login(Some(account), replies::LOGIN_REFUSED)),
            Err(next) => {
                self.count_refused(Some(account));
                Ok(next)
            }
        }
    }

    /// Sends a 334 and reads the client's line; `Err` if the connection goes no further.
    async fn ask(&mut self, challenge: &str) -> io::Result<Result<String, Next>> {
        self.wire.reply(&format!("334 {challenge}"));
        Ok(match self.next_line(true).await? {
            Received::Line(range) => Ok(String::from_utf8_lossy(self.wire.bytes(range)).into_owned()),
            Received::Refused(next) => Err(next),
            Received::HungUp => Err(Next::Cut),
        })
    }

    fn refuse_login(&mut self, account: Option<&str>, reply: &str) -> Next {
        self.count_refused(account);
        self.refuse(reply)
    }

    fn count_refused(&self, account: Option<&str>) {
        self.state.counters.logins_refused.fetch_add(1, Relaxed);
        if let Some(account) = account {
            self.state.counters.account(account).logins_refused.fetch_add(1, Relaxed);
        }
    }
}
