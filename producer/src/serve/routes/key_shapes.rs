//! The shapes of requests and answers about keys.

use postroom_shared::account::AccountId;
use postroom_shared::api_keys::{ApiKey, KeyId, Mode, Scope, SecretKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::serve::emails::shape::time;

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many, 1 to 100; all if neither this nor a place is given, 20 with a place.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    pub(super) limit: Option<String>,
    /// Those that follow the key with this id: older ones.
    pub(super) after: Option<String>,
    /// Those before the key with this id: newer ones.
    pub(super) before: Option<String>,
}

/// Whether a key's mails really go.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyMode {
    /// They go out through Gmail.
    Live,
    /// They go the whole way through the queue, but never to Gmail.
    Test,
}

impl From<KeyMode> for Mode {
    fn from(mode: KeyMode) -> Self {
        match mode {
            KeyMode::Live => Self::Live,
            KeyMode::Test => Self::Test,
        }
    }
}

impl From<Mode> for KeyMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Live => Self::Live,
            Mode::Test => Self::Test,
        }
    }
}

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum KeyScope {
    /// Hand mail over, and change or cancel it before it goes.
    Send,
    /// Look at mails, dead letters, accounts and the queue.
    Read,
    /// Look, and act: hold and resume accounts, retry and discard dead letters.
    Operate,
    /// Everything, also keys and templates.
    Admin,
}

impl From<KeyScope> for Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Send => Self::Send,
            KeyScope::Read => Self::Read,
            KeyScope::Operate => Self::Operate,
            KeyScope::Admin => Self::Admin,
        }
    }
}

impl From<Scope> for KeyScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Send => Self::Send,
            Scope::Read => Self::Read,
            Scope::Operate => Self::Operate,
            Scope::Admin => Self::Admin,
        }
    }
}

/// A key that shall be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequest {
    /// What people call it.
    #[schema(min_length = 1, max_length = 50, example = "shop")]
    pub(super) name: String,
    /// Whether its mails really go. Default: as the key that makes it.
    pub(super) mode: Option<KeyMode>,
    /// What it may do.
    #[schema(min_items = 1)]
    pub(super) scopes: Vec<KeyScope>,
    /// The accounts that it is bound to; empty: all. Default: those of the key that makes it.
    #[schema(max_items = 100)]
    pub(super) accounts: Option<Vec<String>>,
    /// From when on it is refused, RFC 3339. Default: never.
    #[schema(format = DateTime)]
    pub(super) expires_at: Option<String>,
    /// Requests a second that it may make of one server; 0: any number. Default: what the server lets all.
    #[schema(maximum = 100_000)]
    pub(super) rate: Option<u32>,
}

/// A key, without its text.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyBody {
    /// Always `api_key`.
    object: &'static str,
    /// Its id.
    #[schema(example = "7fK2mQx0aB9c")]
    id: String,
    /// What people call it.
    name: String,
    /// Whether its mails really go.
    mode: KeyMode,
    /// What it may do.
    scopes: Vec<KeyScope>,
    /// The accounts that it is bound to; empty: all.
    accounts: Vec<String>,
    /// Requests a second that it may make of one server; 0: any number; null: what the server lets all.
    rate: Option<u32>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it is refused; null: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was used last, give or take a minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

impl From<&ApiKey> for KeyBody {
    fn from(key: &ApiKey) -> Self {
        Self {
            object: "api_key",
            id: key.id.to_string(),
            name: key.name.clone(),
            mode: key.mode.into(),
            scopes: key.scopes.iter().map(KeyScope::from).collect(),
            accounts: key.accounts.iter().map(AccountId::reveal).map(str::to_owned).collect(),
            rate: key.rate,
            created_at: time(key.created_at),
            expires_at: key.expires_at.map(time),
            last_used_at: key.last_used_at.map(time),
            revoked_at: key.revoked_at.map(time),
        }
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeKey {
    /// The key itself: not shown again.
    token: String,
    #[serde(flatten)]
    key: KeyBody,
}

impl MadeKey {
    pub(super) fn new(key: &ApiKey, secret: &SecretKey) -> Self {
        Self { token: secret.reveal().to_owned(), key: KeyBody::from(key) }
    }
}

/// Keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyList {
    /// Always `list`.
    object: &'static str,
    /// Whether there are more beyond these.
    has_more: bool,
    /// The newest first.
    data: Vec<KeyBody>,
}

impl KeyList {
    pub(super) fn new(keys: &[ApiKey], has_more: bool) -> Self {
        Self { object: "list", has_more, data: keys.iter().map(KeyBody::from).collect() }
    }
}

/// What a key of Resend's may do.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Permission {
    /// Everything.
    #[default]
    FullAccess,
    /// Hand mail over, and nothing else.
    SendingAccess,
}

/// A key that shall be made, in Resend's form.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyRequest {
    /// What people call it.
    #[schema(min_length = 1, max_length = 50, example = "shop")]
    pub(super) name: String,
    /// What it may do. Default: `full_access`.
    pub(super) permission: Option<Permission>,
    /// Refused: Postroom binds keys to accounts.
    #[schema(value_type = Option<String>)]
    pub(super) domain_id: Option<Value>,
}

/// A key that was just made, in Resend's form.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeApiKey {
    /// Its id.
    id: String,
    /// The key itself: not shown again.
    token: String,
}

impl MadeApiKey {
    pub(super) fn new(key: &ApiKey, secret: &SecretKey) -> Self {
        Self { id: key.id.to_string(), token: secret.reveal().to_owned() }
    }
}

/// A key in Resend's form.
#[derive(Serialize, ToSchema)]
struct ApiKeyBody {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was used last, give or take a minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
}

/// Keys in Resend's form.
#[derive(Serialize, ToSchema)]
pub(super) struct ApiKeyList {
    /// Always `list`.
    object: &'static str,
    /// Whether there are more beyond these.
    has_more: bool,
    /// The newest first.
    data: Vec<ApiKeyBody>,
}

impl ApiKeyList {
    pub(super) fn new(keys: &[ApiKey], has_more: bool) -> Self {
        let body = |key: &ApiKey| ApiKeyBody {
            id: key.id.to_string(),
            name: key.name.clone(),
            created_at: time(key.created_at),
            last_used_at: key.last_used_at.map(time),
        };
        Self { object: "list", has_more, data: keys.iter().map(body).collect() }
    }
}

/// A key that was revoked.
#[derive(Serialize, ToSchema)]
pub(super) struct RemovedKey {
    /// Always `api_key`.
    object: &'static str,
    /// Its id.
    id: String,
    /// Always true.
    deleted: bool,
}

impl RemovedKey {
    pub(super) fn new(id: &KeyId) -> Self {
        Self { object: "api_key", id: id.to_string(), deleted: true }
    }
}
