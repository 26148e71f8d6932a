//! `postroom account add`: seals the credentials, then makes the account known, so that no worker finds one without.
//!
//! A secret is never printed, not even in part.

use std::path::Path;

use postroom::settings::CredentialSettings;
use postroom_shared::account::{Account, AccountKind};
use postroom_shared::tokens::credentials::{self, Credentials};
use postroom_shared::tokens::{CredentialsError, SealError, Sealer};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Add, key_file};
use crate::cli::{Context, Failure, prompt};

pub(super) async fn run(add: Add, context: &mut Context) -> Result<(), Failure> {
    let known = context.queue().account(&add.which.id).await?;
    if add.keep_credentials {
        return change(add, known, context).await;
    }
    let sealer = Sealer::from_settings(&context.settings.tokens)?;
    let credentials = match &add.service_account {
        Some(path) => by_service_account(path, &add, known.as_ref())?,
        None => complete(CredentialSettings::from_process()?)?,
    };
    credentials::save(context.queue().store(), &sealer, &add.which.id, &credentials).await?;
    let account = wanted(add, known.as_ref(), Some(credentials.client().to_string()));
    context.queue().put_account(&account).await?;
    let done = match known {
        None => "added",
        Some(known) if known.holds.is_empty() => "renewed",
        Some(_) => "renewed, and its hold ended",
    };
    told(&account, done, context)
}

/// No service account acts for a consumer's mailbox: whoever gives one means a mailbox of a Workspace domain.
fn by_service_account(path: &Path, add: &Add, known: Option<&Account>) -> Result<Credentials, Failure> {
    if kind(add, known) == AccountKind::Consumer {
        return Err(Failure::failed(
            "a service account acts only for users of a Workspace domain, and this account's kind is consumer: give \
             --kind workspace if it is one",
        ));
    }
    Ok(Credentials::ServiceAccount { service: key_file::read(path)?, user: add.which.id.clone() })
}

fn kind(add: &Add, known: Option<&Account>) -> AccountKind {
    let usual = if add.service_account.is_some() { AccountKind::Workspace } else { AccountKind::default() };
    add.kind.or(known.map(|known| known.kind)).unwrap_or(usual)
}

/// Changes what is known of an account. Its hold stays: nothing that led to it has changed.
async fn change(add: Add, known: Option<Account>, context: &mut Context) -> Result<(), Failure> {
    let Some(known) = known else {
        return Err(Failure::failed("there is no such account yet: add it without --keep-credentials"));
    };
    let account = wanted(add, Some(&known), None);
    context.queue().change_account(&account).await?;
    told(&account, "changed", context)
}

pub(super) fn told(account: &Account, done: &str, context: &mut Context) -> Result<(), Failure> {
    context.out.line(format!("{} ({}) {done}", account.id.reveal(), account.kind.as_str()))
}

/// The account as it shall be: what is not given stays as it was.
fn wanted(add: Add, known: Option<&Account>, client: Option<String>) -> Account {
    let kind = kind(&add, known);
    let aliases = match known {
        Some(known) if add.aliases.is_empty() && !add.no_alias => known.aliases.clone(),
        Some(_) | None => add.aliases,
    };
    Account {
        id: add.which.id,
        kind,
        aliases,
        connections: add.connections.or(known.and_then(|known| known.connections)),
        limit: add.limit.or(known.and_then(|known| known.limit)),
        recipients: add.recipients.or(known.and_then(|known| known.recipients)),
        urgent_share: add.urgent_share.or(known.map(|known| known.urgent_share)).unwrap_or(0),
        rate: add.rate.or(known.and_then(|known| known.rate)),
        burst: add.burst.or(known.and_then(|known| known.burst)),
        client: client.or(known.and_then(|known| known.client.clone())),
        consented: None,
        fewer: None,
        holds: Vec::new(),
    }
}

/// Asks for what is not set.
fn complete(settings: CredentialSettings) -> Result<Credentials, Failure> {
    let CredentialSettings { client_id, client_secret, refresh_token } = settings;
    prompt::demand(&[
        ("POSTROOM_CLIENT_ID", client_id.is_none()),
        ("POSTROOM_CLIENT_SECRET", client_secret.is_none()),
        ("POSTROOM_REFRESH_TOKEN", refresh_token.is_none()),
    ])?;
    let client_id = match client_id {
        Some(id) => id.expose_secret().trim().to_owned(),
        None => prompt::word("OAuth2 client id")?,
    };
    let or_ask = |value: Option<SecretString>, question| value.map_or_else(|| prompt::secret(question), Ok);
    let client_secret = or_ask(client_secret, "OAuth2 client secret")?;
    let refresh_token = or_ask(refresh_token, "Refresh token")?;
    if client_id.is_empty() || refresh_token.expose_secret().is_empty() {
        return Err(Failure::failed("an account needs a client id and a refresh token: neither may be empty"));
    }
    Ok(Credentials::Consent { client_id, client_secret, refresh_token })
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<CredentialsError> for Failure {
    fn from(error: CredentialsError) -> Self {
        Self::Failed(error.to_string())
    }
}
