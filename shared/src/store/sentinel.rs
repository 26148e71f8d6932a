//! A Redis that Sentinels watch over: where its master is is asked when there is no connection, and one that fails is dropped.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult,
    ServerErrorKind, TlsMode, Value,
};
use tokio::sync::Mutex;

use super::connection::CONNECT_WITHIN;

/// The connection to the master, whichever that is. Cheap to clone.
#[derive(Clone)]
pub(super) struct Watched(Arc<Inner>);

struct Inner {
    sentinels: Vec<ConnectionInfo>,
    name: String,
    node: SentinelNodeConnectionInfo,
    answer_within: Duration,
    master: Mutex<Master>,
}

#[derive(Default)]
struct Master {
    connection: Option<MultiplexedConnection>,
    /// Counts the connections, so that none is dropped for what another did.
    number: u64,
}

impl Watched {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        name: String,
        node: &ConnectionInfo,
        answer_within: Duration,
    ) -> Self {
        let info = SentinelNodeConnectionInfo::default().set_redis_connection_info(node.redis_settings().clone());
        let with_tls = matches!(node.addr(), ConnectionAddr::TcpTls { .. });
        let node = if with_tls { info.set_tls_mode(TlsMode::Secure) } else { info };
        Self(Arc::new(Inner { sentinels, name, node, answer_within, master: Mutex::default() }))
    }

    /// The way to the master for a connection of one's own.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        let ask = async {
            let mut sentinels = Sentinel::build(self.0.sentinels.clone())?;
            sentinels.async_master_for(&self.0.name, Some(&self.0.node)).await
        };
        within(ask).await.map_err(|error| {
            let why = format!("{}: {}", self.0.name, super::connection::describe(&error));
            (ErrorKind::MasterNameNotFoundBySentinel, "no master is found", why).into()
        })
    }

    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let (mut connection, number) = self.master().await?;
        let ended = connection.req_packed_command(cmd).await.and_then(Value::extract_error);
        self.judge(number, ended.as_ref().err()).await;
        ended
    }

    pub(super) async fn send_all(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let (mut connection, number) = self.master().await?;
        let ended = connection.req_packed_commands(pipeline, offset, count).await;
        // A refusal of one of them stands among the answers.
        let refused = ended.as_ref().ok().and_then(|answers| answers.iter().find_map(refusal));
        self.judge(number, ended.as_ref().err().or(refused.as_ref())).await;
        ended
    }

    /// One asks the Sentinels, whoever else has something to send waits for it.
    async fn master(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut master = self.0.master.lock().await;
        if let Some(connection) = &master.connection {
            return Ok((connection.clone(), master.number));
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(self.0.answer_within));
        let client = self.client().await?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        master.number += 1;
        master.connection = Some(connection.clone());
        Ok((connection, master.number))
    }

    async fn judge(&self, number: u64, error: Option<&RedisError>) {
        if error.is_some_and(is_no_master) {
            let mut master = self.0.master.lock().await;
            if master.number == number {
                master.connection = None;
            }
        }
    }
}

fn refusal(answer: &Value) -> Option<RedisError> {
    if let Value::ServerError(error) = answer { Some(error.clone().into()) } else { None }
}

/// Gone, silent, or a master no more.
fn is_no_master(error: &RedisError) -> bool {
    let kinds = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown, ServerErrorKind::BusyLoading];
    error.is_io_error() || kinds.iter().any(|kind| error.kind() == ErrorKind::Server(*kind))
}

async fn within<T>(ask: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match tokio::time::timeout(CONNECT_WITHIN, ask).await {
        Ok(ended) => ended,
        Err(_) => Err((ErrorKind::Io, "the Sentinels gave no answer in time").into()),
    }
}
