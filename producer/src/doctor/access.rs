//! Whether an account gets a token and can log in with it. Honours holds, forces nothing, and changes nothing, unless a
//! person says `--try`.
//!
//! One login counts like any other; it is not made where the workers' own connections show already that it works.

use std::sync::Arc;

use postroom_shared::account::{Account, AccountId};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{Queue, Standing};
use postroom_shared::reason::Reason;
use postroom_shared::reply::{Reply, Stage};
use postroom_shared::smtp::{Connection, Dialer};
use postroom_shared::tokens::consent::SCOPE;
use postroom_shared::tokens::{AccessToken, AfterRefusal, Sealer, TokenError, Tokens};

use super::accounts::consent_gone;
use super::finding::Finding;
use super::ids::Id;
use super::settings::DoctorSettings;

/// What is needed to get tokens and to log in.
pub(crate) struct Access {
    queue: Queue,
    tokens: Tokens,
    dialer: Dialer,
    /// Ask even where a hold, or a token that lives, speaks against it.
    pub(crate) insist: bool,
}

/// A token, and whether it was fetched just now.
struct Got {
    token: AccessToken,
    is_new: bool,
}

impl Access {
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub(crate) fn new(
        queue: &Queue,
        sealer: &Arc<Sealer>,
        settings: &DoctorSettings,
        insist: bool,
    ) -> Result<Self, String> {
        let tokens = Tokens::new(queue.store().clone(), Arc::clone(sealer), &settings.base.tokens, &settings.tls())?;
        Ok(Self { queue: queue.clone(), tokens, dialer: Dialer::new(settings.smtp.clone())?, insist })
    }

    /// Token, scope and login of an account whose credentials open.
    pub(crate) async fn check(&self, standing: &Standing, all: &[Account]) -> Vec<Finding> {
        let account = &standing.account;
        let id = &account.id;
        if let Some(reason) = self.held_for(account, &[Reason::Consent, Reason::Client]) {
            let what = format!("it is held: {}", reason.as_str());
            return vec![Finding::note(Id::TokenNotAsked, what)];
        }
        let got = match self.token(id).await {
            Ok(got) => got,
            Err(error) => return vec![no_token(&error, standing, all)],
        };
        let new = if got.is_new { "fetched now" } else { "shared by the fleet" };
        let mut findings = vec![Finding::ok(Id::Token, format!("{new}, until {}", got.token.expires()))];
        let scope = scope(got.token.scope());
        let can_log_in = scope.id != Id::ScopeMissing;
        findings.push(scope);
        if can_log_in {
            findings.push(self.login(standing, all, got).await);
        }
        findings
    }

    /// The first of these reasons for which the account is held, unless a person insists.
    fn held_for(&self, account: &Account, reasons: &[Reason]) -> Option<Reason> {
        let held = account.holds.iter().map(|hold| hold.reason).find(|reason| reasons.contains(reason));
        held.filter(|_| !self.insist)
    }

    /// The token that the fleet shares if it lives, else a new one.
    async fn token(&self, id: &AccountId) -> Result<Got, TokenError> {
        if let Some(token) = self.tokens.shared(id).await? {
            return Ok(Got { token, is_new: false });
        }
        Ok(Got { token: self.tokens.access(id).await?, is_new: true })
    }

    async fn login(&self, standing: &Standing, all: &[Account], got: Got) -> Finding {
        if let Some(why) = self.why_not(standing).await {
            return Finding::note(Id::LoginNotTried, why);
        }
        let id = &standing.account.id;
        let Err(reply) = self.log_in(id, &got.token).await else {
            return Finding::ok(Id::Login, "it logs in by XOAUTH2");
        };
        if reply.code() != Some(535) || got.is_new || !self.insist {
            return refused(&reply, got.is_new);
        }
        match self.tokens.after_refusal(id, &got.token).await {
            Ok(AfterRefusal::FreshRefused) => refused(&reply, true),
            Ok(AfterRefusal::Try(token)) => match self.log_in(id, &token).await {
                Ok(()) => Finding::ok(Id::Login, "it logs in by XOAUTH2, with a new token"),
                Err(reply) => refused(&reply, true),
            },
            Err(error) => no_token(&error, standing, all),
        }
    }

    /// Why no login is tried, if none is.
    async fn why_not(&self, standing: &Standing) -> Option<String> {
        if self.insist {
            return None;
        }
        let account = &standing.account;
        if let Some(reason) = self.held_for(account, &[Reason::LoginLimit, Reason::Reputation]) {
            return Some(format!("the account is held: {}", reason.as_str()));
        }
        if standing.permits >= u64::from(standing.connections) {
            return Some("workers hold all of its connections, which shows that it can log in".to_owned());
        }
        match self.queue.may_log_in(&account.id).await {
            Ok(None) => None,
            Ok(Some(pause)) => Some(format!("its logins are used up for {} s", pause.as_secs() + 1)),
            Err(error) => Some(error.to_string()),
        }
    }

    async fn log_in(&self, id: &AccountId, token: &AccessToken) -> Result<(), Reply> {
        Connection::open(&self.dialer, id, token).await?.quit().await;
        Ok(())
    }
}

/// Why there is no token.
fn no_token(error: &TokenError, standing: &Standing, all: &[Account]) -> Finding {
    match error {
        TokenError::Consent { error, description } => {
            let what = format!("the token endpoint says {error}: {description}");
            consent_gone(standing, all, Millis::now(), error, description, what)
        }
        TokenError::Client { error, description } => {
            Finding::error(Id::ClientRefused, format!("the token endpoint says {error}: {description}"))
        }
        TokenError::Service(refusal) => Finding::error(Id::ServiceRefused, refusal.to_string()),
        TokenError::Passing { what, .. } => Finding::error(Id::TokenUnavailable, what.clone()),
        TokenError::NoCredentials => Finding::error(Id::CredentialsMissing, error.to_string()),
        TokenError::Sealed(sealed) => Finding::error(Id::CredentialsDamaged, sealed.to_string()),
    }
}

fn scope(scope: Option<&str>) -> Finding {
    match scope {
        None => Finding::note(Id::Scope, "the token endpoint did not say; a login shows it"),
        Some(scopes) if scopes.split(' ').any(|scope| scope == SCOPE) => Finding::ok(Id::Scope, SCOPE),
        Some(scopes) => Finding::error(Id::ScopeMissing, format!("its scope is {scopes}")),
    }
}

/// What a login that did not succeed means.
fn refused(reply: &Reply, is_new: bool) -> Finding {
    let words = reply.to_string();
    let at_login = reply.stage == Stage::Auth;
    match reply.code() {
        Some(504) if at_login => Finding::note(Id::LoginNotTried, words),
        Some(535) if is_new => Finding::error(Id::LoginMailbox, words),
        Some(500..) if at_login => Finding::error(Id::LoginRefused, words),
        Some(_) | None => Finding::warning(Id::LoginFailed, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postroom_shared::reply::Silence;

    #[test]
    fn scopes() {
        assert_eq!(scope(Some("openid https://mail.google.com/")).id, Id::Scope);
        assert_eq!(scope(Some("https://www.googleapis.com/auth/gmail.send")).id, Id::ScopeMissing);
        assert_eq!(scope(None).id, Id::Scope);
    }

    #[test]
    fn refused_logins() {
        let at = |code| Reply::new(Stage::Auth, code, None, "words");
        assert_eq!(refused(&at(535), true).id, Id::LoginMailbox);
        assert_eq!(refused(&at(535), false).id, Id::LoginRefused);
        assert_eq!(refused(&at(534), true).id, Id::LoginRefused);
        assert_eq!(refused(&at(454), true).id, Id::LoginFailed);
        assert_eq!(refused(&at(504), true).id, Id::LoginNotTried);
        assert_eq!(refused(&Reply::silence(Stage::Connect, Silence::Tls, "x"), false).id, Id::LoginFailed);
        assert_eq!(refused(&Reply::new(Stage::Greeting, 554, None, "x"), true).id, Id::LoginFailed);
    }
}
