//! Who looks at a page, what they may do, and which addresses they see.

use std::borrow::Cow;
use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::address::{Address, mask_addresses};
use postroom_shared::api_keys::Scope;

use super::trouble::Trouble;
use crate::serve::Caller;

/// What somebody may do: each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Looks; addresses are masked, and contents are not shown.
    Viewer,
    /// Acts: holds and resumes accounts, retries and discards dead letters, cancels mails.
    Operator,
    /// Makes and revokes keys, too.
    Admin,
}

impl Role {
    /// By what the key may do; `None`: it may not even look.
    fn of(caller: &Caller) -> Option<Self> {
        let roles = [(Scope::Admin, Self::Admin), (Scope::Operate, Self::Operator), (Scope::Read, Self::Viewer)];
        roles.into_iter().find(|(scope, _)| caller.key.allows(*scope)).map(|(_, role)| role)
    }

    /// The word on the page.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) caller: Arc<Caller>,
    pub(super) role: Role,
    /// Nobody changes anything here.
    pub(super) read_only: bool,
}

impl Visitor {
    /// Whoever has this key; `None`: it may not even look.
    pub(super) fn new(caller: Arc<Caller>, read_only: bool) -> Option<Self> {
        let role = Role::of(&caller)?;
        Some(Self { caller, role, read_only })
    }

    /// Whether a page offers what needs this role.
    pub(super) fn may(&self, role: Role) -> bool {
        !self.read_only && self.role >= role
    }

    /// Refuses what needs a role that the visitor does not have.
    pub(super) fn demand(&self, role: Role) -> Result<(), Trouble> {
        if self.role >= role {
            return Ok(());
        }
        let what =
            format!("This needs the role {}, and your key gives you the role {}.", role.as_str(), self.role.as_str());
        Err(Trouble::forbidden(what, "Log in with another key, or ask somebody who has one."))
    }

    /// Whether addresses and contents are shown in the clear.
    pub(super) fn sees_all(&self) -> bool {
        self.role >= Role::Operator
    }

    pub(super) fn address(&self, address: &Address) -> String {
        if self.sees_all() { address.reveal().to_owned() } else { address.to_string() }
    }

    pub(super) fn account(&self, account: &AccountId) -> String {
        self.text(account.reveal()).into_owned()
    }

    /// A text that others wrote, such as a subject or a server's reply.
    pub(super) fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.sees_all() { text.into() } else { mask_addresses(text).into() }
    }
}
