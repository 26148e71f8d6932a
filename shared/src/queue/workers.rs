//! The workers that live: what they told of themselves, and what they have in hand.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Queue;
use crate::clock::Millis;
use crate::store::StoreError;

/// Sessions of a shard that are read, at most.
const MOST: usize = 1_000;

/// A worker with a living session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its own part of its sessions' names: random, so that two of one name are told apart.
    pub id: String,
    /// What people call it (`POSTROOM_WORKER_NAME`).
    pub name: String,
    /// Since when its session lives.
    pub since: Millis,
    /// Until when its lease lasts unless it renews it.
    pub lease_ends: Millis,
    /// Mails that it has in hand.
    pub jobs: u64,
}

impl Worker {
    /// The same worker, as another shard knows it.
    fn merge(&mut self, other: Self) {
        self.since = self.since.min(other.since);
        self.lease_ends = self.lease_ends.min(other.lease_ends);
        self.jobs += other.jobs;
    }
}

impl Queue {
    /// The workers that live, by name.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn workers(&self) -> Result<Vec<Worker>, StoreError> {
        let mut workers: BTreeMap<String, Worker> = BTreeMap::new();
        for shard in 0..self.store.shards() {
            for worker in self.workers_of(shard).await? {
                match workers.get_mut(&worker.id) {
                    Some(known) => known.merge(worker),
                    None => drop(workers.insert(worker.id.clone(), worker)),
                }
            }
        }
        let mut workers: Vec<Worker> = workers.into_values().collect();
        workers.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(workers)
    }

    async fn workers_of(&self, shard: u16) -> Result<Vec<Worker>, StoreError> {
        let keys = self.store.keys(shard);
        let sessions: Vec<(String, f64)> = redis::cmd("ZRANGEBYSCORE")
            .arg(keys.sessions())
            .arg(Millis::now().0)
            .arg("+inf")
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(MOST)
            .query_async(&mut self.store.connection())
            .await?;
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for (session, _) in &sessions {
            pipe.cmd("HMGET").arg(keys.session(session)).arg("name").arg("since");
            pipe.cmd("HLEN").arg(keys.jobs(session));
        }
        let values: Vec<redis::Value> = pipe.query_async(&mut self.store.connection()).await?;
        let mut workers = Vec::with_capacity(sessions.len());
        for ((session, ends), values) in sessions.into_iter().zip(values.chunks(2)) {
            let rows: ((Option<String>, Option<u64>), u64) =
                redis::from_redis_value(redis::Value::Array(values.to_vec())).map_err(super::session::wrong)?;
            let ((name, since), jobs) = rows;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
            let lease_ends = Millis(ends as u64);
            let id = session.split(':').next().unwrap_or_default().to_owned();
            workers.push(Worker {
                id,
                name: name.unwrap_or_default(),
                since: Millis(since.unwrap_or(0)),
                lease_ends,
                jobs,
            });
        }
        Ok(workers)
    }
}
