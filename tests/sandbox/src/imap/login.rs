//! AUTHENTICATE XOAUTH2 against the sandbox's own tokens, with the challenge that Gmail has for a refused one.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::connection::{Connection, Next};
use crate::faults::{Scene, Stage};
use crate::xoauth2::{Claim, TOKEN_PROBLEM};

const REFUSED: &str = "[AUTHENTICATIONFAILED] Invalid credentials (Failure)";

impl Connection {
    pub(super) async fn authenticate(&mut self, tag: &str, arguments: &[String]) -> io::Result<Next> {
        let (mechanism, initial) = match arguments {
            [mechanism] => (mechanism, None),
            [mechanism, initial] => (mechanism, Some(initial.clone())),
            _ => return Ok(self.bad(tag)),
        };
        if self.account.is_some() || !mechanism.eq_ignore_ascii_case("XOAUTH2") {
            return Ok(self.bad(tag));
        }
        let response = match initial {
            Some(response) => response,
            None => {
                self.wire.say("+ ");
                let Some(response) = self.wire.line().await? else { return Ok(Next::Cut) };
                response
            }
        };
        match Claim::read(&response) {
            Some(claim) => self.log_in(tag, claim).await,
            None => Ok(self.refuse_login(tag, "Invalid SASL argument. (Failure)")),
        }
    }

    async fn log_in(&mut self, tag: &str, claim: Claim) -> io::Result<Next> {
        let scene = Scene { account: Some(&claim.account), ..Scene::default() };
        match self.meet(Stage::ImapLogin, &scene).await? {
            Ok(None) => {}
            Ok(Some(text)) => return Ok(self.refuse_login(tag, &text)),
            Err(next) => return Ok(next),
        }
        if self.state.tokens.check(&claim.account, &claim.token).is_none() {
            self.wire.say(&format!("+ {}", STANDARD.encode(TOKEN_PROBLEM)));
            if self.wire.line().await?.is_none() {
                return Ok(Next::Cut);
            }
            return Ok(self.refuse_login(tag, REFUSED));
        }
        self.state.counters.imap_logins_ok.fetch_add(1, Relaxed);
        self.state.counters.account(&claim.account).imap_logins_ok.fetch_add(1, Relaxed);
        let account = claim.account.clone();
        self.account = Some(claim.account);
        let capabilities = self.capabilities();
        self.wire.say(&format!("* CAPABILITY {capabilities}"));
        Ok(self.ok(tag, &format!("{account} authenticated (Success)")))
    }

    fn refuse_login(&mut self, tag: &str, text: &str) -> Next {
        self.state.counters.imap_logins_refused.fetch_add(1, Relaxed);
        self.no(tag, text)
    }
}
