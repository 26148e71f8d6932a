//! The circuit of an OAuth2 client: one request finds out that it is wrong, and none of its accounts asks after that.
//!
//! Never keeps a refresh waiting for long: if nobody says soon what the client is worth, each finds out by itself.

use std::time::Duration;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::credentials::Credentials;
use super::error::TokenError;
use super::pauses::Pauses;
use crate::clock::millis;
use crate::store::{Script, Store, StoreError};

/// A first request takes as long at most.
const FIRST: Duration = Duration::from_secs(20);
/// A client that was refused is asked with again after so long, or when a person resumed an account of it.
const BAD: Duration = Duration::from_secs(60);
/// A client that was taken need not prove itself again for so long.
const GOOD: Duration = Duration::from_secs(3_600);

pub(super) struct Clients {
    store: Store,
    turn: Script,
    told: Script,
}

/// The leave to ask with a client; to be given back with what was heard.
pub(super) struct Leave {
    hash: String,
    tag: String,
    owner: String,
    is_first: bool,
}

impl Clients {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            turn: Script::new(&[include_str!("client_turn.lua")]),
            told: Script::new(&[include_str!("client_told.lua")]),
        }
    }

    /// The leave to ask with a client, or its refusal if that is known.
    pub(super) async fn turn(&self, credentials: &Credentials, owner: &str) -> Result<Leave, TokenError> {
        let hash = credentials.client().to_string();
        let mut leave = Leave { hash, tag: tag(credentials), owner: owner.to_owned(), is_first: false };
        let mut pauses = Pauses::of_waiting_for_a_client();
        let keys = self.store.keys(0);
        loop {
            let mut call = self.turn.call(&keys);
            call.key(keys.token_client(&leave.hash)).arg(&leave.tag).arg(&leave.owner).arg(millis(FIRST));
            let known: String = call.invoke_async(&mut self.store.connection()).await.map_err(StoreError::from)?;
            if let Some(word) = known.strip_prefix("bad ") {
                let description = "found out by another of its accounts moments ago".to_owned();
                return Err(TokenError::Client { error: word.to_owned(), description });
            }
            leave.is_first = known == "first";
            match pauses.next() {
                Some(pause) if known == "busy" => tokio::time::sleep(pause).await,
                _ => return Ok(leave),
            }
        }
    }

    /// Notes what a request with the client told of it.
    pub(super) async fn told<T>(&self, leave: Leave, asked: Result<T, &TokenError>) {
        let (state, word, held) = match asked {
            Err(TokenError::Client { error, .. }) => ("bad", error.as_str(), BAD),
            // A refused consent is the answer to a client that was taken.
            Ok(_) | Err(TokenError::Consent { .. }) => ("good", "", GOOD),
            // What a service account is refused may concern one of its users only: it is told account by account.
            Err(
                TokenError::Passing { .. } | TokenError::Service(_) | TokenError::NoCredentials | TokenError::Sealed(_),
            ) => ("nothing", "", Duration::ZERO),
        };
        if !leave.is_first && state != "bad" {
            return;
        }
        let keys = self.store.keys(0);
        let mut call = self.told.call(&keys);
        call.key(keys.token_client(&leave.hash)).arg(&leave.tag).arg(&leave.owner).arg(state).arg(word);
        let noted = call.arg(millis(held)).invoke_async::<()>(&mut self.store.connection()).await;
        if let Err(error) = noted.map_err(StoreError::from) {
            tracing::debug!(%error, "what a refresh told of its OAuth2 client is not shared");
        }
    }
}

/// Stands for id and secret, or service account and key, together: a corrected one makes another client of it.
fn tag(credentials: &Credentials) -> String {
    let mut digest = Sha256::new();
    match credentials {
        Credentials::Consent { client_id, client_secret, .. } => {
            digest.update(client_id.as_bytes());
            digest.update([0]);
            digest.update(client_secret.expose_secret().as_bytes());
        }
        Credentials::ServiceAccount { service, .. } => {
            digest.update(service.email().reveal().as_bytes());
            digest.update([0]);
            digest.update(service.key_id().as_bytes());
        }
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
