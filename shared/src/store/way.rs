//! A command's way to Redis: to the one that there is, to the master that Sentinels know, or to the master that has its slot.
//!
//! No way ever sends a command twice that may have been carried out: what is not known is told as not known, and who asked
//! decides.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use futures::future::try_join_all;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value};

use super::sentinel::Watched;
use super::wait::pauses;

/// For how long a command to a Cluster is tried anew that surely did nothing, while its slot moves to another server.
const MOVES_WITHIN: Duration = Duration::from_secs(2);

/// A handle for commands and scripts. All handles of a store share their connections.
#[derive(Clone)]
pub struct Connection(pub(super) Way);

#[derive(Clone)]
pub(super) enum Way {
    One(ConnectionManager),
    Sentinel(Watched),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Commands that go to one server on one connection, one behind the other: to the server of the first key in them.
    pub(super) async fn send_together(&mut self, pipeline: &Pipeline, count: usize) -> RedisResult<Vec<Value>> {
        match &mut self.0 {
            Way::One(connection) => connection.req_packed_commands(pipeline, 0, count).await,
            Way::Sentinel(watched) => watched.send_all(pipeline, 0, count).await,
            Way::Cluster(connection) => {
                anew(|| {
                    let mut connection = connection.clone();
                    async move { connection.req_packed_commands(pipeline, 0, count).await }
                })
                .await
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match &mut self.0 {
            Way::One(connection) => connection.req_packed_command(cmd),
            Way::Sentinel(watched) => Box::pin(watched.send(cmd)),
            Way::Cluster(connection) => Box::pin(send(connection.clone(), cmd)),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match &mut self.0 {
            Way::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Way::Sentinel(watched) => Box::pin(watched.send_all(pipeline, offset, count)),
            Way::Cluster(connection) => {
                // In a transaction all keys belong together. Else each command goes where its key lies.
                if offset > 0 {
                    return connection.req_packed_commands(pipeline, offset, count);
                }
                Box::pin(try_join_all(pipeline.cmd_iter().map(|cmd| send(connection.clone(), cmd))))
            }
        }
    }

    fn get_db(&self) -> i64 {
        match &self.0 {
            Way::One(connection) => connection.get_db(),
            Way::Sentinel(_) | Way::Cluster(_) => 0,
        }
    }
}

async fn send(connection: ClusterConnection, cmd: &Cmd) -> RedisResult<Value> {
    anew(|| {
        let mut connection = connection.clone();
        async move { connection.req_packed_command(cmd).await }
    })
    .await
}

/// Asks a Cluster, and again while it surely did nothing. The library itself tries nothing anew: it would also do so when an
/// answer was lost.
async fn anew<T, F: Future<Output = RedisResult<T>>>(mut ask: impl FnMut() -> F) -> RedisResult<T> {
    let (mut pauses, began) = (pauses(), std::time::Instant::now());
    loop {
        match ask().await {
            Err(error) if did_nothing(&error) && began.elapsed() < MOVES_WITHIN => {
                tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
            }
            ended => return ended,
        }
    }
}

/// Refused by a server that is not, or not yet, the one for that key; or there is none at the moment.
fn did_nothing(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::Moved
                    | ServerErrorKind::Ask
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
            )
    ) || error.is_connection_refusal()
}
