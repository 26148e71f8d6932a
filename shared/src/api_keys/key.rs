//! A key as it is known: all but its text.

use super::id::KeyId;
use super::scope::{Mode, Scope, Scopes};
use super::secret_key::{KeyHash, SecretKey};
use crate::account::AccountId;
use crate::clock::Millis;

/// A key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// Whether its mails really go.
    pub mode: Mode,
    /// What it may do.
    pub scopes: Scopes,
    /// The accounts that it is bound to; none: all.
    pub accounts: Vec<AccountId>,
    /// Requests a second that it may make of one process; 0: any number; `None`: as many as the server lets all.
    pub rate: Option<u32>,
    /// When it was made.
    pub created_at: Millis,
    /// From when on it is refused.
    pub expires_at: Option<Millis>,
    /// When it was used last, give or take a minute.
    pub last_used_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    pub(super) hash: KeyHash,
}

impl ApiKey {
    /// Whether the presented key is this one, and may be used at `now`.
    #[must_use]
    pub fn admits(&self, presented: &SecretKey, now: Millis) -> bool {
        // First, so that nobody who does not have the key learns how it stands.
        self.hash.fits(&presented.hash()) && self.is_valid(now)
    }

    /// Whether it is neither revoked nor expired.
    #[must_use]
    pub fn is_valid(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it may do this.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// Whether it may send through this account, or look at it.
    #[must_use]
    pub fn allows_account(&self, account: &AccountId) -> bool {
        self.accounts.is_empty() || self.accounts.contains(account)
    }

    /// Whether whoever has this key, with the scope `admin`, may manage a key of such a mode and such accounts: not one that
    /// reaches further than itself.
    #[must_use]
    pub fn may_manage(&self, mode: Mode, accounts: &[AccountId]) -> bool {
        let mode_fits = match self.mode {
            Mode::Live => true,
            Mode::Test => mode == Mode::Test,
        };
        let bound = !accounts.is_empty() && accounts.iter().all(|account| self.accounts.contains(account));
        mode_fits && (self.accounts.is_empty() || bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mode: Mode, accounts: &[&str]) -> (ApiKey, SecretKey) {
        let secret = SecretKey::random(mode, KeyId::random().unwrap()).unwrap();
        let key = ApiKey {
            id: secret.id().clone(),
            name: "shop".to_owned(),
            mode,
            scopes: [Scope::Admin].into_iter().collect(),
            accounts: accounts.iter().map(|account| account.parse().unwrap()).collect(),
            rate: None,
            created_at: Millis(1_000),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
            hash: secret.hash(),
        };
        (key, secret)
    }

    #[test]
    fn only_its_own_text_opens_it_and_only_while_it_is_valid() {
        let (mut key, secret) = self::key(Mode::Live, &[]);
        let another = SecretKey::random(Mode::Live, key.id.clone()).unwrap();
        assert!(key.admits(&secret, Millis(2_000)));
        assert!(!key.admits(&another, Millis(2_000)));
        key.expires_at = Some(Millis(3_000));
        assert!(key.admits(&secret, Millis(2_999)) && !key.admits(&secret, Millis(3_000)));
        key.revoked_at = Some(Millis(1_500));
        assert!(!key.admits(&secret, Millis(2_000)));
    }

    #[test]
    fn no_key_manages_what_reaches_further_than_itself() {
        let (live, test, bound) = (key(Mode::Live, &[]).0, key(Mode::Test, &[]).0, key(Mode::Live, &["a@b.example"]).0);
        let account = |text: &str| [text.parse().unwrap()];
        assert!(live.may_manage(Mode::Live, &[]) && live.may_manage(Mode::Test, &account("x@b.example")));
        assert!(test.may_manage(Mode::Test, &[]) && !test.may_manage(Mode::Live, &[]));
        assert!(bound.may_manage(Mode::Live, &account("a@b.example")));
        assert!(!bound.may_manage(Mode::Live, &[]) && !bound.may_manage(Mode::Test, &account("x@b.example")));
        assert!(bound.allows_account(&account("a@b.example")[0]) && !bound.allows_account(&account("x@b.example")[0]));
        assert!(live.allows_account(&account("x@b.example")[0]));
    }
}
