//! Commands that are answered once a replica has what they wrote: wherever Redis was told `min-replicas-to-write`.
//!
//! Redis answers first and tells its replicas then. A master that dies takes with it what it answered just before, and
//! `min-replicas-to-write` by itself does not change that. `WAIT` does: it follows each command on the same connection. It
//! holds up what comes behind it there, so these commands have a connection of their own.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisFuture, RedisResult, Value};

use super::vitals::parse_info;
use super::way::Connection;

/// How many replicas must have it.
const REPLICAS: u8 = 1;
/// A replica that lives has it within milliseconds, or when its disk has a bad moment.
const WITHIN: Duration = Duration::from_secs(3);
/// `INFO replication` has this field where `min-replicas-to-write` is set, and only there.
pub const REPLICAS_WANTED: &str = "min_slaves_good_slaves";

/// A handle for commands whose effect shall outlive a master.
#[derive(Clone)]
pub struct Confirmed {
    pub(super) connection: Connection,
    /// Whether a replica is waited for.
    pub(super) wanted: bool,
}

/// Whether a Redis that tells this of its replication wants replicas to have what is written.
pub(super) fn is_wanted(told: &[String]) -> bool {
    told.iter().any(|text| parse_info(text).any(|(field, _)| field == REPLICAS_WANTED))
}

impl ConnectionLike for Confirmed {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if self.wanted && !is_of_scripts(cmd) {
            Box::pin(confirm(&mut self.connection, cmd))
        } else {
            self.connection.req_packed_command(cmd)
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if !self.wanted {
            return self.connection.req_packed_commands(pipeline, offset, count);
        }
        Box::pin(async { Err((ErrorKind::Client, "only single commands are confirmed").into()) })
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

/// A script is loaded on every master, and is no data.
fn is_of_scripts(cmd: &Cmd) -> bool {
    matches!(cmd.args_iter().next(), Some(Arg::Simple(b"SCRIPT")))
}

/// What Redis answered, if a replica has it, too. Else nobody knows whether it will last, and that is what is told.
async fn confirm(connection: &mut Connection, cmd: &Cmd) -> RedisResult<Value> {
    let mut both = Pipeline::with_capacity(2);
    both.add_command(cmd.clone()).cmd("WAIT").arg(REPLICAS).arg(u64::try_from(WITHIN.as_millis()).unwrap_or(0));
    let mut answers = connection.send_together(&both, 2).await?.into_iter();
    let (Some(answer), Some(confirmed)) = (answers.next(), answers.next()) else {
        return Err((ErrorKind::UnexpectedReturnType, "fewer answers than commands").into());
    };
    let answer = answer.extract_error()?;
    let replicas: u8 = redis::from_redis_value(confirmed.extract_error()?)?;
    if replicas < REPLICAS {
        let why = format!("no replica had it within {} s", WITHIN.as_secs());
        return Err((ErrorKind::Io, "not confirmed", why).into());
    }
    Ok(answer)
}
