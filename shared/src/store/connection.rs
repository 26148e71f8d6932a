//! The connection to Redis, which comes back by itself, and what its errors mean for a caller.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManagerConfig;
use redis::cluster::ClusterClient;
use redis::{Client, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;

use super::address::Address;
use super::confirmed::{Confirmed, is_wanted};
use super::keys::{SHARDS, ShardKeys};
use super::sentinel::Watched;
use super::way::{Connection, Way};
use crate::account::AccountId;
use crate::settings::RedisSettings;

pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Redis, with the number of shards that it was first used with. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    door: Door,
    connection: Connection,
    confirmed: Arc<OnceCell<Confirmed>>,
    settings: RedisSettings,
    shards: u16,
    keys: Arc<[ShardKeys]>,
}

/// Where somebody gets a connection of their own.
#[derive(Clone)]
enum Door {
    One(Arc<Client>),
    Sentinel(Watched),
    /// Any of these: what is published in a Cluster is heard everywhere.
    Cluster(Arc<[ConnectionInfo]>),
}

/// Why Redis did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written: Redis was not reached, or it answered with a refusal.
    #[error("Redis did not store it: {0}")]
    NotStored(String),
    /// Redis has no room left (`maxmemory` with `noeviction`). Nothing was written.
    #[error("Redis is full: raise its maxmemory or let the queue drain ({0})")]
    Full(String),
    /// The connection ended or the time ran out before an answer came: it may or may not have been written.
    #[error("Redis gave no answer in time, so it is not known whether this was stored: {0}")]
    Unknown(String),
    /// Redis holds something that this version cannot read, or the settings contradict what Redis holds.
    #[error("{0}")]
    Wrong(String),
}

impl StoreError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NotStored(_) | Self::Full(_) | Self::Unknown(_) => true,
            Self::Wrong(_) => false,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let text = describe(&error);
        if error.code() == Some("OOM") || text.contains("OOM command not allowed") {
            return Self::Full(text);
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm) => Self::Wrong(text),
            ErrorKind::Server(_)
            | ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::Extension
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::EmptySentinelList
            | ErrorKind::RESP3NotSupported => Self::NotStored(text),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Wrong(text),
            ErrorKind::Io if error.is_connection_refusal() => Self::NotStored(text),
            // The kinds of this library are an open list: what is not known for sure is told as unknown.
            ErrorKind::Io | ErrorKind::Client | _ => Self::Unknown(text),
        }
    }
}

/// The error in words, without what was sent.
pub(super) fn describe(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) if !detail.is_empty() => format!("{}: {detail}", error.category()),
        _ => error.to_string(),
    }
}

async fn open(settings: &RedisSettings) -> Result<(Door, Connection), StoreError> {
    let not_reached =
        |error| StoreError::NotStored(format!("not reached ({}): is POSTROOM_REDIS_URL right?", describe(&error)));
    let (door, way) = match Address::parse(settings.url.expose_secret())? {
        Address::One(client) => {
            let config = ConnectionManagerConfig::new()
                .set_response_timeout(Some(settings.answer_within))
                .set_connection_timeout(Some(CONNECT_WITHIN))
                .set_number_of_retries(2)
                .set_min_delay(Duration::from_millis(50))
                .set_max_delay(LONGEST_PAUSE);
            let connection = client.get_connection_manager_with_config(config).await.map_err(not_reached)?;
            (Door::One(Arc::new(client)), Way::One(connection))
        }
        Address::Sentinel { sentinels, name, node } => {
            let watched = Watched::new(sentinels, name, &node, settings.answer_within);
            (Door::Sentinel(watched.clone()), Way::Sentinel(watched))
        }
        Address::Cluster(nodes) => {
            let client = ClusterClient::builder(nodes.iter().cloned())
                .connection_timeout(CONNECT_WITHIN)
                .response_timeout(settings.answer_within)
                // See `way`: nothing is sent anew behind our back.
                .retries(0)
                .build()
                .map_err(not_reached)?;
            (Door::Cluster(nodes.into()), Way::Cluster(client.get_async_connection().await.map_err(not_reached)?))
        }
    };
    Ok((door, Connection(way)))
}

impl Store {
    /// Connects, and settles how many shards there are.
    ///
    /// # Errors
    /// If the URL is wrong, Redis is not reached, or it was first used with another number of shards.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, StoreError> {
        let (door, mut connection) = open(settings).await?;
        let shards = agree_on_shards(&mut connection, settings.shards).await?;
        let keys = (0..shards).map(ShardKeys::new).collect();
        Ok(Self { door, connection, confirmed: Arc::default(), settings: settings.clone(), shards, keys })
    }

    /// A handle for one command or script. All handles share one connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// A handle for a command whose effect a replica shall have, too, before it is answered, if Redis was told to want that
    /// (asked once). All handles share one connection, which waits for each answer in turn.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn confirmed(&self) -> Result<Confirmed, StoreError> {
        let open = || async {
            let wanted = is_wanted(&self.info("replication").await?);
            let connection = if wanted { open(&self.settings).await?.1 } else { self.connection() };
            Ok(Confirmed { connection, wanted })
        };
        self.confirmed.get_or_try_init(open).await.cloned()
    }

    /// A connection of its own for subscribing.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn subscriber(&self) -> Result<redis::aio::PubSub, StoreError> {
        match &self.door {
            Door::One(client) => Ok(client.get_async_pubsub().await?),
            Door::Sentinel(watched) => Ok(watched.client().await?.get_async_pubsub().await?),
            Door::Cluster(nodes) => {
                let mut last = StoreError::NotStored("no server of the Cluster is reached".to_owned());
                for node in nodes.iter() {
                    match Client::open(node.clone())?.get_async_pubsub().await {
                        Ok(subscriber) => return Ok(subscriber),
                        Err(error) => last = error.into(),
                    }
                }
                Err(last)
            }
        }
    }

    /// Whether it is spoken to as to a Cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.door, Door::Cluster(_))
    }

    /// What `INFO` tells in a section: of the one server, or of each master of a Cluster.
    ///
    /// # Errors
    /// If it is not told.
    pub async fn info(&self, section: &str) -> Result<Vec<String>, RedisError> {
        let mut ask = redis::cmd("INFO");
        ask.arg(section);
        match &self.door {
            Door::One(_) | Door::Sentinel(_) => Ok(vec![ask.query_async(&mut self.connection()).await?]),
            Door::Cluster(_) => {
                let told: std::collections::BTreeMap<String, String> = ask.query_async(&mut self.connection()).await?;
                Ok(told.into_values().collect())
            }
        }
    }

    /// How many shards the queue has.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The keys of one shard; an unknown number gets those of a shard that is empty.
    #[must_use]
    pub fn keys(&self, shard: u16) -> ShardKeys {
        self.keys.get(usize::from(shard)).cloned().unwrap_or_else(|| ShardKeys::new(shard))
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(redis::cmd("PING").query_async(&mut self.connection()).await?)
    }

    /// The shard of an account: fixed for ever by its id and the number of shards.
    #[must_use]
    pub fn shard_of(&self, account: &AccountId) -> u16 {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(account.reveal().as_bytes());
        let number = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        u16::try_from(number % u32::from(self.shards)).unwrap_or(0)
    }

    /// The keys of an account's shard.
    #[must_use]
    pub fn keys_of(&self, account: &AccountId) -> ShardKeys {
        self.keys(self.shard_of(account))
    }
}

async fn agree_on_shards(connection: &mut Connection, wanted: Option<u16>) -> Result<u16, StoreError> {
    // Asked first: a Redis that is full refuses every write, but what lies in it must still be worked off.
    let get = || redis::Cmd::get(SHARDS);
    let stored = match get().query_async::<Option<u16>>(connection).await? {
        Some(stored) => stored,
        None => {
            redis::cmd("SET").arg(SHARDS).arg(wanted.unwrap_or(1)).arg("NX").query_async::<()>(connection).await?;
            get().query_async(connection).await?
        }
    };
    match wanted {
        Some(number) if number != stored => Err(StoreError::Wrong(format!(
            "POSTROOM_SHARDS is {number}, but this Redis was first used with {stored}: mails would not be found. Set it to \
             {stored}, or use an empty Redis"
        ))),
        _ => Ok(stored),
    }
}
