//! What Redis says of itself, for `postroom doctor`: read only, and what it refuses to say is told as refused.
//!
//! Nothing in here judges. Only named settings are asked for: `CONFIG GET *` would answer with passwords.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::connection::{Store, StoreError};
use crate::clock::Millis;

/// The settings that decide whether mail is kept.
const SETTINGS: [&str; 5] = ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save"];
/// The sections of `INFO`, asked one by one: an older Redis takes only one at a time.
const SECTIONS: [&str; 5] = ["server", "memory", "persistence", "replication", "cluster"];
const PINGS: usize = 20;

/// What was seen of a Redis.
#[derive(Debug, Clone, Default)]
pub struct Vitals {
    /// The fields of `INFO`; or why they were not told.
    pub info: Told,
    /// The settings of `CONFIG GET`; or why they were not told.
    pub config: Told,
    /// Whether it is spoken to as to a Cluster.
    pub as_cluster: bool,
    /// How long each `PING` took, the shortest first.
    pub pings: Vec<Duration>,
    /// Redis' own clock, and this machine's at the same time.
    pub clocks: Option<(Millis, Millis)>,
}

/// Fields by name, and the refusal if there was one.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// What was told.
    pub fields: BTreeMap<String, String>,
    /// The first refusal, in Redis' words.
    pub refused: Option<String>,
}

impl Told {
    /// One field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// One field as a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    fn refuse(&mut self, error: redis::RedisError) {
        let text = StoreError::from(error).to_string();
        self.refused.get_or_insert(text);
    }
}

impl Store {
    /// What Redis says of itself. Whatever fails is left out, or told as refused.
    pub async fn vitals(&self) -> Vitals {
        let mut vitals = Vitals { as_cluster: self.is_cluster(), ..Vitals::default() };
        let mut connection = self.connection();
        for section in SECTIONS {
            match self.info(section).await {
                // Of a Cluster's servers the first stands for all.
                Ok(texts) => vitals.info.fields.extend(texts.first().into_iter().flat_map(|text| parse_info(text))),
                Err(error) => vitals.info.refuse(error),
            }
        }
        for setting in SETTINGS {
            let ask = redis::cmd("CONFIG").arg("GET").arg(setting).to_owned();
            match ask.query_async::<HashMap<_, _>>(&mut connection).await {
                Ok(fields) => vitals.config.fields.extend(fields),
                Err(error) => vitals.config.refuse(error),
            }
        }
        for _ in 0..PINGS {
            let began = Instant::now();
            if redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok() {
                vitals.pings.push(began.elapsed());
            }
        }
        vitals.pings.sort();
        let before = Millis::of_machine();
        if let Ok((seconds, micros)) = redis::cmd("TIME").query_async::<(u64, u64)>(&mut connection).await {
            let own = before.after(Millis::of_machine().since(before) / 2);
            vitals.clocks = Some((Millis(seconds * 1_000 + micros / 1_000), own));
        }
        vitals
    }
}

pub(super) fn parse_info(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_by_field() {
        let fields: BTreeMap<_, _> = parse_info("# Server\r\nredis_version:7.0.15\r\nos:Linux 6:1\r\n\r\n").collect();
        assert_eq!((fields["redis_version"].as_str(), fields["os"].as_str()), ("7.0.15", "Linux 6:1"));
        assert_eq!(fields.len(), 2);
    }
}
