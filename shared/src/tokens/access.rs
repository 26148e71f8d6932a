//! An access token, and how old it is. Its secret prints masked, and `secret()` is the one way to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::clock::Millis;
use crate::secret;

/// The margins before a token's end (docs/tokens.md). The first one is up to twice as long, by account.
const COMFORTABLE: Duration = Duration::from_secs(300);
const HARD: Duration = Duration::from_secs(60);
const CONNECTION: Duration = Duration::from_secs(300);
/// A token that lives shorter has margins in proportion. They take at most a twentieth of its life, so that one refresh a
/// lifetime stays one.
const FULL_MARGINS_FROM: Duration = Duration::from_secs(1_800);

/// An access token. Cheap to clone.
#[derive(Clone)]
pub struct AccessToken(Arc<Parts>);

struct Parts {
    secret: SecretString,
    issued: Millis,
    expires: Millis,
    fence: u64,
    scope: Option<String>,
}

/// How old a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Nothing to do.
    Fresh,
    /// Good, but somebody should fetch the next one.
    Ageing,
    /// So near its end that it is better to wait for the next one.
    Ending,
    /// Past its end.
    Over,
}

/// As it lies inside its seal.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    token: std::borrow::Cow<'a, str>,
    issued: Millis,
    expires: Millis,
    fence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<std::borrow::Cow<'a, str>>,
}

impl AccessToken {
    /// A token that was asked for at `issued` and ends at `expires`, by this machine's clock.
    #[must_use]
    pub fn new(secret: SecretString, issued: Millis, expires: Millis, fence: u64) -> Self {
        Self(Arc::new(Parts { secret, issued, expires, fence, scope: None }))
    }

    /// The same with what it may be used for, as the token endpoint said.
    #[must_use]
    pub fn with_scope(mut self, scope: Option<String>) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.scope = scope;
        }
        self
    }

    /// What it may be used for, words parted by blanks; `None`: the token endpoint did not say.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.scope.as_deref()
    }

    /// The token itself: for `AUTH` only.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0.secret
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Millis {
        self.0.expires
    }

    /// When it was asked for.
    #[must_use]
    pub fn issued(&self) -> Millis {
        self.0.issued
    }

    /// Higher than that of every token of this account that was fetched before.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.0.fence
    }

    /// From its issue to its end.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.0.expires.since(self.0.issued)
    }

    /// How old it is. The first margin differs from account to account, so that a fleet does not refresh all at once.
    #[must_use]
    pub fn age(&self, account: &AccountId, now: Millis) -> Age {
        let (comfortable, hard) = if self.has_full_margins() {
            (COMFORTABLE + jitter_of(account), HARD)
        } else {
            (self.lifetime() / 20, self.lifetime() / 30)
        };
        let left = self.0.expires.since(now);
        if left.is_zero() {
            Age::Over
        } else if left <= hard {
            Age::Ending
        } else if left <= comfortable {
            Age::Ageing
        } else {
            Age::Fresh
        }
    }

    /// When a connection that was opened with it is closed: before the server would do it.
    #[must_use]
    pub fn connection_ends(&self) -> Millis {
        let margin = if self.has_full_margins() { CONNECTION } else { self.lifetime() / 50 };
        Millis(self.0.expires.0.saturating_sub(u64::try_from(margin.as_millis()).unwrap_or(u64::MAX)))
    }

    fn has_full_margins(&self) -> bool {
        self.lifetime() >= FULL_MARGINS_FROM
    }

    /// Whether this is a newer token than `other`, and another one.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.0.fence > other.0.fence && !self.has_same_secret(other)
    }

    pub(super) fn has_same_secret(&self, other: &Self) -> bool {
        self.0.secret.expose_secret() == other.0.secret.expose_secret()
    }

    pub(super) fn to_stored(&self) -> Option<Zeroizing<Vec<u8>>> {
        let stored = Stored {
            token: self.0.secret.expose_secret().into(),
            issued: self.0.issued,
            expires: self.0.expires,
            fence: self.0.fence,
            scope: self.scope().map(Into::into),
        };
        secret::json(&stored).ok()
    }

    pub(super) fn from_stored(bytes: &[u8]) -> Option<Self> {
        let stored: Stored<'_> = serde_json::from_slice(bytes).ok()?;
        Some(
            Self::new(stored.token.into_owned().into(), stored.issued, stored.expires, stored.fence)
                .with_scope(stored.scope.map(std::borrow::Cow::into_owned)),
        )
    }
}

/// Up to one comfortable margin more, always the same for an account.
fn jitter_of(account: &AccountId) -> Duration {
    let hash = u64::from_str_radix(&account.hashed(), 16).unwrap_or(0);
    Duration::from_secs(hash % COMFORTABLE.as_secs())
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(***, until {}, fence {})", self.0.expires, self.0.fence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(lifetime: u64) -> AccessToken {
        AccessToken::new("ya29.secret".to_owned().into(), Millis(1_000_000), Millis(1_000_000 + lifetime), 7)
    }

    #[test]
    fn margins_shrink_with_the_lifetime() {
        let account: AccountId = "alice@example.com".parse().unwrap();
        let hour = 3_600_000;
        for (lifetime, left, age) in [
            (hour, hour, Age::Fresh),
            (hour, 600_001, Age::Fresh),
            (hour, 300_000, Age::Ageing),
            (hour, 60_001, Age::Ageing),
            (hour, 60_000, Age::Ending),
            (hour, 1, Age::Ending),
            (hour, 0, Age::Over),
            (1_800_000, 600_001, Age::Fresh),
            (1_800_000, 300_000, Age::Ageing),
            (1_200_000, 60_001, Age::Fresh),
            (1_200_000, 60_000, Age::Ageing),
            (1_200_000, 40_000, Age::Ending),
            (5_000, 251, Age::Fresh),
            (5_000, 250, Age::Ageing),
            (5_000, 167, Age::Ageing),
            (5_000, 166, Age::Ending),
            (0, 0, Age::Over),
        ] {
            let now = Millis(1_000_000 + lifetime - left);
            assert_eq!(token(lifetime).age(&account, now), age, "{lifetime} {left}");
        }
    }

    #[test]
    fn a_connection_ends_before_its_token() {
        let left = |lifetime: u64| token(lifetime).expires().since(token(lifetime).connection_ends()).as_millis();
        assert_eq!([3_600_000, 1_800_000, 1_200_000, 5_000, 0].map(left), [300_000, 300_000, 24_000, 100, 0]);
    }

    #[test]
    fn the_margin_lies_between_five_and_ten_minutes_and_differs_by_account() {
        let margin = |name: &str| {
            let account: AccountId = name.parse().unwrap();
            let end = Millis(1_000_000 + 3_600_000);
            let is_fresh = |left: u64| token(3_600_000).age(&account, Millis(end.0 - left * 1_000)) == Age::Fresh;
            (1..3_600).find(|left| is_fresh(*left)).unwrap() - 1
        };
        let margins: Vec<_> = ["a@x.org", "b@x.org", "c@x.org"].map(margin).into();
        assert!(margins.iter().all(|margin| (300..600).contains(margin)), "{margins:?}");
        assert!(margins.windows(2).any(|pair| pair[0] != pair[1]), "{margins:?}");
    }

    #[test]
    fn debug_hides_the_secret_and_the_stored_form_returns() {
        let token = token(10).with_scope(Some("https://mail.google.com/".to_owned()));
        assert!(!format!("{token:?}").contains("secret"));
        let again = AccessToken::from_stored(&token.to_stored().unwrap()).unwrap();
        assert!(again.has_same_secret(&token) && again.fence() == 7 && again.expires() == token.expires());
        assert_eq!(again.scope(), Some("https://mail.google.com/"));
    }
}
