//! Simulated OAuth2 tokens: which access tokens were issued, to whom and until when, and whose consent is revoked.
//! Keeps everything in memory; none of these tokens opens anything outside the sandbox.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::state::lock;

/// The only OAuth2 client that the token endpoint knows.
pub const CLIENT_ID: &str = "sandbox-client";
/// The secret of [`CLIENT_ID`].
pub const CLIENT_SECRET: &str = "sandbox-secret";
/// A refresh token is this prefix and the account's address: valid for any address that is not revoked.
pub const REFRESH_PREFIX: &str = "sandbox-refresh:";

/// The one scope that opens a mailbox.
pub(crate) const MAIL_SCOPE: &str = "https://mail.google.com/";
/// What is left of a consent whose box of the mail scope was not ticked; opens nothing.
pub(crate) const OTHER_SCOPE: &str = "openid";

/// What somebody consented to: whose mailbox it is, and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) account: String,
    /// Whether the mail scope is part of it.
    pub(crate) mail: bool,
}

impl Grant {
    /// As the token endpoint names it.
    pub(crate) fn scope(&self) -> &'static str {
        if self.mail { MAIL_SCOPE } else { OTHER_SCOPE }
    }
}

/// One access token. Shared with the session that logged in with it.
#[derive(Debug)]
pub(crate) struct Issued {
    grant: Grant,
    born: Instant,
    life: Duration,
    ended: AtomicBool,
}

impl Issued {
    pub(crate) fn expired(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.born.elapsed() >= self.life
    }

    /// When it expires of itself.
    pub(crate) fn deadline(&self) -> Instant {
        self.born + self.life
    }
}

/// An access token that was issued, as tests ask for it that look for leaks. No real server tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IssuedToken {
    /// The account it logs in, in lower case.
    pub account: String,
    /// The token.
    pub token: String,
    /// Whether it is past its end, or was taken back.
    pub ended: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: Mutex<HashMap<String, Arc<Issued>>>,
    revoked: Mutex<HashSet<String>>,
    /// Refresh tokens that came from a consent.
    given: Mutex<HashMap<String, Grant>>,
}

impl Tokens {
    /// Makes an access token of about 200 characters, as long as Google's.
    pub(crate) fn issue(&self, grant: &Grant, life: Duration) -> Result<String, getrandom::Error> {
        let token = format!("sandbox-access.{}", random_text::<140>()?);
        let issued = Issued { grant: grant.clone(), born: Instant::now(), life, ended: AtomicBool::new(false) };
        lock(&self.issued).insert(token.clone(), Arc::new(issued));
        Ok(token)
    }

    /// The token, if it was issued to this account for its mail and has neither expired nor been revoked.
    pub(crate) fn check(&self, account: &str, token: &str) -> Option<Arc<Issued>> {
        let issued = lock(&self.issued).get(token).cloned()?;
        (issued.grant.account == account && issued.grant.mail && !issued.expired()).then_some(issued)
    }

    /// What a token is good for and how long it lives, if it is one that has neither expired nor been revoked.
    pub(crate) fn owner(&self, token: &str) -> Option<(Grant, Duration)> {
        let issued = lock(&self.issued).get(token).cloned().filter(|issued| !issued.expired())?;
        Some((issued.grant.clone(), issued.deadline().saturating_duration_since(Instant::now())))
    }

    /// Every token that was ever issued, in that order.
    pub(crate) fn issued(&self) -> Vec<IssuedToken> {
        let issued = lock(&self.issued);
        let mut all: Vec<_> = issued.iter().collect();
        all.sort_by_key(|(_, issued)| issued.born);
        let told = |(token, issued): (&String, &Arc<Issued>)| IssuedToken {
            account: issued.grant.account.clone(),
            token: token.clone(),
            ended: issued.expired(),
        };
        all.into_iter().map(told).collect()
    }

    /// Ends the access tokens of one account, or of all.
    pub(crate) fn expire(&self, account: Option<&str>) {
        for issued in lock(&self.issued).values() {
            if account.is_none_or(|account| issued.grant.account == account) {
                issued.ended.store(true, Ordering::Relaxed);
            }
        }
    }

    /// A refresh token for what somebody has just consented to, which also makes good a consent that was taken back.
    pub(crate) fn give(&self, grant: &Grant) -> Result<String, getrandom::Error> {
        let token = format!("sandbox-consent.{}", random_text::<40>()?);
        lock(&self.given).insert(token.clone(), grant.clone());
        self.restore(&grant.account);
        Ok(token)
    }

    /// Whether a refresh token that came from a consent speaks for the account.
    pub(crate) fn has_given(&self, account: &str) -> bool {
        lock(&self.given).values().any(|grant| grant.account == account)
    }

    /// What a refresh token stands for: one that came from a consent, or one of the sandbox's form, good for any address.
    pub(crate) fn grant_of(&self, refresh_token: &str) -> Option<Grant> {
        let given = lock(&self.given).get(refresh_token).cloned();
        given.or_else(|| Some(Grant { account: account_of(refresh_token)?, mail: true }))
    }

    /// Takes back the account's consent: no refresh from now on, its access tokens end, and what its consents gave is gone.
    pub(crate) fn revoke(&self, account: &str) {
        lock(&self.given).retain(|_, grant| grant.account != account);
        lock(&self.revoked).insert(account.to_owned());
        self.expire(Some(account));
    }

    pub(crate) fn restore(&self, account: &str) {
        lock(&self.revoked).remove(account);
    }

    pub(crate) fn restore_all(&self) {
        lock(&self.revoked).clear();
    }

    pub(crate) fn is_revoked(&self, account: &str) -> bool {
        lock(&self.revoked).contains(account)
    }
}

/// The account that a refresh token speaks for, if it has the sandbox's form.
fn account_of(refresh_token: &str) -> Option<String> {
    mailbox(refresh_token.strip_prefix(REFRESH_PREFIX)?)
}

/// The account of an address, if it looks like one.
pub(crate) fn mailbox(address: &str) -> Option<String> {
    let (local, domain) = address.split_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then(|| fold(address))
}

/// Random bytes as text that may stand in an address.
pub(crate) fn random_text<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; BYTES];
    getrandom::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Gmail's accounts do not tell capitals apart, so neither do ours.
pub(crate) fn fold(address: &str) -> String {
    address.to_ascii_lowercase()
}
