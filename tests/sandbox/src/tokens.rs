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

/// One access token. Shared with the session that logged in with it.
#[derive(Debug)]
pub(crate) struct Issued {
    account: String,
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
}

impl Tokens {
    /// Makes an access token of about 200 characters, as long as Google's.
    pub(crate) fn issue(&self, account: &str, life: Duration) -> Result<String, getrandom::Error> {
        let mut random = [0_u8; 140];
        getrandom::fill(&mut random)?;
        let token = format!("sandbox-access.{}", URL_SAFE_NO_PAD.encode(random));
        let issued = Issued { account: account.to_owned(), born: Instant::now(), life, ended: AtomicBool::new(false) };
        lock(&self.issued).insert(token.clone(), Arc::new(issued));
        Ok(token)
    }

    /// The token, if it was issued to this account and has neither expired nor been revoked.
    pub(crate) fn check(&self, account: &str, token: &str) -> Option<Arc<Issued>> {
        let issued = lock(&self.issued).get(token).cloned()?;
        (issued.account == account && !issued.expired()).then_some(issued)
    }

    /// Whose token it is and how long it lives, if it is one that has neither expired nor been revoked.
    pub(crate) fn owner(&self, token: &str) -> Option<(String, Duration)> {
        let issued = lock(&self.issued).get(token).cloned().filter(|issued| !issued.expired())?;
        Some((issued.account.clone(), issued.deadline().saturating_duration_since(Instant::now())))
    }

    /// Every token that was ever issued, in that order.
    pub(crate) fn issued(&self) -> Vec<IssuedToken> {
        let issued = lock(&self.issued);
        let mut all: Vec<_> = issued.iter().collect();
        all.sort_by_key(|(_, issued)| issued.born);
        let told = |(token, issued): (&String, &Arc<Issued>)| IssuedToken {
            account: issued.account.clone(),
            token: token.clone(),
            ended: issued.expired(),
        };
        all.into_iter().map(told).collect()
    }

    /// Ends the access tokens of one account, or of all.
    pub(crate) fn expire(&self, account: Option<&str>) {
        for issued in lock(&self.issued).values() {
            if account.is_none_or(|account| issued.account == account) {
                issued.ended.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Takes back the account's consent: no refresh from now on, and its access tokens end.
    pub(crate) fn revoke(&self, account: &str) {
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
pub(crate) fn account_of(refresh_token: &str) -> Option<String> {
    let address = refresh_token.strip_prefix(REFRESH_PREFIX)?;
    let (local, domain) = address.split_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then(|| fold(address))
}

/// Gmail's accounts do not tell capitals apart, so neither do ours.
pub(crate) fn fold(address: &str) -> String {
    address.to_ascii_lowercase()
}
