//! Keys in Redis: make, list, look up, revoke, note a use; and hear at once of each change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;

use super::id::KeyId;
use super::key::ApiKey;
use super::new_key::NewKey;
use super::secret_key::SecretKey;
use super::stored;
use crate::clock::{Millis, millis};
use crate::mail::Faults;
use crate::store::keys::{API_KEYS_CHANNEL, SERVICE_SHARD, ShardKeys};
use crate::store::{Script, Store, StoreError};

/// Keys that there may be, those counted that are revoked or expired and still listed.
pub const MOST_KEYS: usize = 10_000;
/// For how long a revoked or expired key is still listed: whoever wonders why an app is refused finds it there, with its last
/// use, and its id is surely not given again while somebody may present it.
const LISTED_FOR: Duration = Duration::from_secs(30 * 86_400);
/// A use is noted once in so long.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// Keys that are read at once.
const SLICE: usize = 200;
/// How often a subscription that is silent is asked whether it lives, and how long it has for the answer.
const PING_EVERY: Duration = Duration::from_secs(1);
const PING_WITHIN: Duration = Duration::from_secs(1);

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    store: Store,
    scripts: Arc<Scripts>,
}

struct Scripts {
    create: Script,
    revoke: Script,
    touch: Script,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something is wrong with what was asked.
    #[error("{0}")]
    Faults(Faults),
    /// There are too many.
    #[error("there are {MOST_KEYS} API keys already: revoke some; revoked ones are forgotten after 30 days")]
    TooMany,
    /// The system has no random numbers.
    #[error("the system gave no random numbers: {0}")]
    Random(String),
    /// Redis did not do it. If it is not known whether it did: an unused key in the list is that one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<redis::RedisError> for KeyError {
    fn from(error: redis::RedisError) -> Self {
        Self::Store(error.into())
    }
}

impl ApiKeys {
    /// The keys in this Redis.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        let scripts = Scripts {
            create: Script::new(&[include_str!("create.lua")]),
            revoke: Script::new(&[include_str!("revoke.lua")]),
            touch: Script::new(&[include_str!("touch.lua")]),
        };
        Self { store: store.clone(), scripts: Arc::new(scripts) }
    }

    fn shard(&self) -> ShardKeys {
        self.store.keys(SERVICE_SHARD)
    }

    /// Makes a key. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// If something is wrong with it, there are too many, or Redis did not store it.
    pub async fn create(&self, new: NewKey, now: Millis) -> Result<(ApiKey, SecretKey), KeyError> {
        new.check(now).map_err(KeyError::Faults)?;
        let random = |error: getrandom::Error| KeyError::Random(error.to_string());
        loop {
            let secret = KeyId::random().and_then(|id| SecretKey::random(new.mode, id)).map_err(random)?;
            let key = key_of(&new, &secret, now);
            let ends = key.expires_at.map_or_else(|| "inf".to_owned(), |end| end.after(LISTED_FOR).0.to_string());
            let script = &self.scripts.create;
            let answer: String = script
                .call(&self.shard())
                .arg(now.0)
                .arg(key.id.as_str())
                .arg(stored::write(&key)?)
                .arg(ends)
                .arg(MOST_KEYS)
                .arg(API_KEYS_CHANNEL)
                .invoke_async(&mut self.store.connection())
                .await?;
            match answer.as_str() {
                "made" => return Ok((key, secret)),
                "full" => return Err(KeyError::TooMany),
                // Two random ids that are the same: never seen, and harmless.
                _ => {}
            }
        }
    }

    /// One key, also a revoked or expired one; `None`: there is none (any more).
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn get(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.shard().api_key(id.as_str()));
        let fields: HashMap<String, String> = command.query_async(&mut self.store.connection()).await?;
        stored::read(id, &fields)
    }

    /// All keys, the newest first, with those that were revoked or expired in the last 30 days.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let (mut connection, shard) = (self.store.connection(), self.shard());
        let ids = self.ids().await?;
        let mut keys = Vec::with_capacity(ids.len());
        for slice in ids.chunks(SLICE) {
            let mut pipe = redis::pipe();
            slice.iter().for_each(|id| {
                pipe.cmd("HGETALL").arg(shard.api_key(id.as_str()));
            });
            let rows: Vec<HashMap<String, String>> = pipe.query_async(&mut connection).await?;
            for (id, fields) in slice.iter().zip(&rows) {
                keys.extend(stored::read(id, fields)?);
            }
        }
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(keys)
    }

    /// The ids of all keys, in no order.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn ids(&self) -> Result<Vec<KeyId>, StoreError> {
        let mut command = redis::cmd("ZRANGE");
        command.arg(self.shard().api_keys()).arg(0).arg(MOST_KEYS);
        let ids: Vec<String> = command.query_async(&mut self.store.connection()).await?;
        // What does not read as an id was not stored by us.
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Revokes a key, for good: every server refuses it at once. Answers whether there is such a key; doing it again does no
    /// harm.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn revoke(&self, id: &KeyId, now: Millis) -> Result<bool, StoreError> {
        let answer: String = self
            .scripts
            .revoke
            .call(&self.shard())
            .arg(id.as_str())
            .arg(now.0)
            .arg(now.after(LISTED_FOR).0)
            .arg(API_KEYS_CHANNEL)
            .invoke_async(&mut self.store.connection())
            .await?;
        Ok(answer != "unknown")
    }

    /// Notes that a key was used. Written at most once a minute, however many servers tell it.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn touch(&self, id: &KeyId, now: Millis) -> Result<(), StoreError> {
        let mut call = self.scripts.touch.call(&self.shard());
        call.arg(id.as_str()).arg(now.0).arg(millis(NOTED_EVERY));
        Ok(call.invoke_async::<()>(&mut self.store.connection()).await?)
    }

    /// Begins to hear of changes. Whatever is read after this answered is heard of when it changes.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn changes(&self) -> Result<KeyChanges, StoreError> {
        let mut subscriber = self.store.subscriber().await?;
        subscriber.subscribe(API_KEYS_CHANNEL).await?;
        let (sink, stream) = subscriber.split();
        Ok(KeyChanges { sink, stream })
    }
}

fn key_of(new: &NewKey, secret: &SecretKey, now: Millis) -> ApiKey {
    let mut accounts = new.accounts.clone();
    accounts.sort();
    accounts.dedup();
    ApiKey {
        id: secret.id().clone(),
        name: new.name.trim().to_owned(),
        mode: new.mode,
        scopes: new.scopes.clone(),
        accounts,
        rate: new.rate,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
        hash: secret.hash(),
    }
}

/// A subscription to the changes of keys.
pub struct KeyChanges {
    sink: redis::aio::PubSubSink,
    stream: redis::aio::PubSubStream,
}

impl KeyChanges {
    /// The next key that was made or revoked; `None`: the subscription has ended, or Redis did not answer it for a second, so
    /// that something may have been missed.
    pub async fn next(&mut self) -> Option<KeyId> {
        loop {
            let silent = async {
                tokio::time::sleep(PING_EVERY).await;
                matches!(tokio::time::timeout(PING_WITHIN, self.sink.ping::<redis::Value>()).await, Ok(Ok(_)))
            };
            tokio::select! {
                biased;
                message = self.stream.next() => {
                    let payload: String = message?.get_payload().ok()?;
                    if let Ok(id) = payload.parse() {
                        return Some(id);
                    }
                }
                alive = silent => if !alive { return None },
            }
        }
    }
}
