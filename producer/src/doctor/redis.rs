//! What Redis' own words mean for a queue that must not lose mail. Pure.

use std::time::Duration;

use postroom_shared::store::{REPLICAS_WANTED, Vitals};

use super::finding::{Finding, Severity};
use super::ids::Id;

/// Commands that the scripts use came with it (`GETEX` and others).
const LEAST_VERSION: (u32, u32) = (6, 2);
/// The middle one of the answers to `PING`.
const SLOW: Duration = Duration::from_millis(20);

/// Everything that is to be said of a Redis that answers.
pub(crate) fn judge(vitals: &Vitals) -> Vec<Finding> {
    let parts = [
        version(vitals),
        cluster(vitals),
        replica(vitals),
        replication(vitals),
        eviction(vitals),
        persistence(vitals),
        disk(vitals),
        memory(vitals),
        latency(&vitals.pings),
        silent(vitals),
    ];
    parts.into_iter().flatten().collect()
}

/// What keeps it from being used at all.
pub(crate) fn unreachable(error: &str) -> Finding {
    let finding = Finding::error(Id::RedisUnreachable, error);
    if error.contains("READONLY") {
        return finding.mended_by(Id::RedisReplica.mend());
    }
    finding
}

fn version(vitals: &Vitals) -> Option<Finding> {
    let valkey = vitals.info.get("valkey_version");
    let version = vitals.info.get("redis_version")?;
    let mut numbers = version.split('.').map(str::parse);
    let mut number = || numbers.next().and_then(Result::ok);
    let Some(read) = number().zip(number()) else {
        return Some(Finding::note(Id::RedisVersion, format!("Redis {version}: a version that doctor does not know")));
    };
    let name = valkey.map_or_else(|| format!("Redis {version}"), |valkey| format!("Valkey {valkey}"));
    Some(if read < LEAST_VERSION {
        Finding::error(Id::RedisVersion, format!("{name} is older than 6.2"))
    } else {
        Finding::ok(Id::RedisVersion, name)
    })
}

fn cluster(vitals: &Vitals) -> Option<Finding> {
    let mistaken = vitals.info.get("cluster_enabled") == Some("1") && !vitals.as_cluster;
    mistaken.then(|| Finding::error(Id::RedisCluster, "cluster-enabled yes"))
}

fn replica(vitals: &Vitals) -> Option<Finding> {
    let is_replica = vitals.info.get("role") == Some("slave");
    let of = vitals.info.get("master_host").unwrap_or("another Redis");
    is_replica.then(|| Finding::error(Id::RedisReplica, format!("it is a replica of {of}")))
}

/// Of a Redis that has replicas; one without has nobody to wait for.
fn replication(vitals: &Vitals) -> Option<Finding> {
    let replicas = vitals.info.number("connected_slaves").filter(|replicas| *replicas > 0)?;
    Some(if vitals.info.get(REPLICAS_WANTED).is_some() {
        Finding::ok(Id::RedisReplication, format!("min-replicas-to-write is set; {replicas} replicas are connected"))
    } else {
        let says = format!("{replicas} replicas are connected, and min-replicas-to-write is 0");
        Finding::warning(Id::RedisReplication, says)
    })
}

fn eviction(vitals: &Vitals) -> Option<Finding> {
    // INFO tells it too, where CONFIG is refused.
    let policy = vitals.config.get("maxmemory-policy").or_else(|| vitals.info.get("maxmemory_policy"))?;
    Some(match policy {
        "noeviction" => Finding::ok(Id::RedisEviction, "maxmemory-policy noeviction"),
        other => Finding::error(Id::RedisEviction, format!("maxmemory-policy is {other}")),
    })
}

fn persistence(vitals: &Vitals) -> Option<Finding> {
    let id = Id::RedisPersistence;
    let log = match (vitals.config.get("appendonly"), vitals.info.get("aof_enabled")) {
        (Some(word), _) => word == "yes",
        (None, Some(word)) => word == "1",
        (None, None) => return None,
    };
    if log {
        return Some(match vitals.config.get("appendfsync") {
            Some("no") => Finding::warning(id, "appendonly yes, but appendfsync no: the system decides when to write"),
            Some(other) => Finding::ok(id, format!("appendonly yes, appendfsync {other}")),
            None => Finding::ok(id, "appendonly yes"),
        });
    }
    Some(match vitals.config.get("save") {
        Some("") => Finding::error(id, "it keeps nothing: appendonly no, and no save points"),
        Some(points) => {
            Finding::warning(id, format!("only snapshots (save {points}): what came since the last one would be lost"))
        }
        None => Finding::warning(id, "appendonly no; whether there are snapshots is not told"),
    })
}

fn disk(vitals: &Vitals) -> Option<Finding> {
    let failed = |field: &str| vitals.info.get(field).is_some_and(|status| status != "ok");
    let failed: Vec<_> = ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"]
        .into_iter()
        .filter(|field| failed(field))
        .collect();
    (!failed.is_empty()).then(|| Finding::error(Id::RedisDisk, format!("not ok: {}", failed.join(", "))))
}

fn memory(vitals: &Vitals) -> Option<Finding> {
    let used = vitals.info.number("used_memory")?;
    let limit = vitals.info.number("maxmemory").or_else(|| vitals.config.number("maxmemory"))?;
    let mib = |bytes: u64| bytes >> 20;
    if limit == 0 {
        let what = format!("{} MiB used, without a limit", mib(used));
        return Some(
            Finding::note(Id::RedisMemory, what)
                .mended_by("Set maxmemory to what this machine can spare: a full Redis refuses new mail and says so."),
        );
    }
    let percent = used.saturating_mul(100) / limit;
    let severity = match percent {
        0..80 => Severity::Ok,
        80..95 => Severity::Warning,
        _ => Severity::Error,
    };
    let what = format!("{} of {} MiB used ({percent} %)", mib(used), mib(limit));
    Some(Finding::new(Id::RedisMemory, severity, what))
}

fn latency(pings: &[Duration]) -> Option<Finding> {
    let (middle, longest) = (pings.get(pings.len() / 2)?, pings.last()?);
    let what = format!("{} PINGs: {:.1?} in the middle, {:.1?} at most", pings.len(), middle, longest);
    let severity = if *middle >= SLOW { Severity::Warning } else { Severity::Ok };
    Some(Finding::new(Id::RedisLatency, severity, what))
}

fn silent(vitals: &Vitals) -> Option<Finding> {
    let refused = vitals.info.refused.as_ref().or(vitals.config.refused.as_ref())?;
    Some(Finding::note(Id::RedisSilent, refused.clone()))
}

/// Whether anybody works.
pub(crate) fn workers(workers: u64, waiting: u64) -> Finding {
    match (workers, waiting) {
        (0, 0) => Finding::note(Id::Workers, "no worker is running; no mail waits"),
        (0, waiting) => Finding::warning(Id::Workers, format!("no worker is running, and {waiting} mails wait")),
        (1, _) => Finding::ok(Id::Workers, "1 worker"),
        (workers, _) => Finding::ok(Id::Workers, format!("{workers} workers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postroom_shared::store::Told;

    fn told(pairs: &[(&str, &str)]) -> Told {
        Told { fields: pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(), refused: None }
    }

    fn severity(id: Id, info: &[(&str, &str)], config: &[(&str, &str)]) -> Option<Severity> {
        let vitals = Vitals { info: told(info), config: told(config), ..Vitals::default() };
        judge(&vitals).into_iter().find(|finding| finding.id == id).map(|finding| finding.severity)
    }

    #[test]
    fn versions() {
        use Severity::{Error, Note, Ok};
        for (version, expected) in
            [("7.0.15", Ok), ("6.2.0", Ok), ("10.0.0", Ok), ("6.0.20", Error), ("5.9", Error), ("unstable", Note)]
        {
            assert_eq!(severity(Id::RedisVersion, &[("redis_version", version)], &[]), Some(expected), "{version}");
        }
    }

    #[test]
    fn what_is_kept() {
        use Severity::{Error, Ok, Warning};
        let of = |config: &[(&str, &str)]| severity(Id::RedisPersistence, &[], config);
        assert_eq!(of(&[("appendonly", "yes"), ("appendfsync", "everysec"), ("save", "")]), Some(Ok));
        assert_eq!(of(&[("appendonly", "yes"), ("appendfsync", "no")]), Some(Warning));
        assert_eq!(of(&[("appendonly", "no"), ("save", "3600 1")]), Some(Warning));
        assert_eq!(of(&[("appendonly", "no"), ("save", "")]), Some(Error));
        assert_eq!(of(&[]), None);
        assert_eq!(severity(Id::RedisPersistence, &[("aof_enabled", "1")], &[]), Some(Ok));
        assert_eq!(severity(Id::RedisPersistence, &[("aof_enabled", "0")], &[]), Some(Warning));
    }

    #[test]
    fn eviction_memory_role_and_disk() {
        use Severity::{Error, Note, Ok, Warning};
        assert_eq!(severity(Id::RedisEviction, &[], &[("maxmemory-policy", "noeviction")]), Some(Ok));
        assert_eq!(severity(Id::RedisEviction, &[("maxmemory_policy", "allkeys-lru")], &[]), Some(Error));
        for (used, limit, expected) in
            [("79", "100", Ok), ("80", "100", Warning), ("95", "100", Error), ("101", "100", Error), ("5", "0", Note)]
        {
            assert_eq!(severity(Id::RedisMemory, &[("used_memory", used), ("maxmemory", limit)], &[]), Some(expected));
        }
        assert_eq!(severity(Id::RedisReplica, &[("role", "slave")], &[]), Some(Error));
        assert_eq!(severity(Id::RedisReplica, &[("role", "master")], &[]), None);
        let replicated = [("connected_slaves", "2"), (REPLICAS_WANTED, "2")];
        assert_eq!(severity(Id::RedisReplication, &replicated, &[]), Some(Ok));
        assert_eq!(severity(Id::RedisReplication, &replicated[..1], &[]), Some(Warning));
        assert_eq!(severity(Id::RedisReplication, &[("connected_slaves", "0")], &[]), None);
        assert_eq!(severity(Id::RedisCluster, &[("cluster_enabled", "1")], &[]), Some(Error));
        let spoken_to = Vitals { info: told(&[("cluster_enabled", "1")]), as_cluster: true, ..Vitals::default() };
        assert!(judge(&spoken_to).iter().all(|finding| finding.id != Id::RedisCluster));
        assert_eq!(severity(Id::RedisDisk, &[("rdb_last_bgsave_status", "err")], &[]), Some(Error));
        assert_eq!(severity(Id::RedisDisk, &[("rdb_last_bgsave_status", "ok")], &[]), None);
    }

    #[test]
    fn latency_goes_by_the_middle() {
        let of = |millis: [u64; 3]| latency(&millis.map(Duration::from_millis)).unwrap().severity;
        assert_eq!((of([1, 2, 900]), of([1, 20, 20])), (Severity::Ok, Severity::Warning));
        assert_eq!(latency(&[]), None);
    }

    #[test]
    fn what_is_refused_is_a_note() {
        let config = Told { refused: Some("NOPERM".to_owned()), ..Told::default() };
        let findings = judge(&Vitals { config, ..Vitals::default() });
        assert_eq!(findings.iter().map(|finding| finding.id).collect::<Vec<_>>(), [Id::RedisSilent]);
        assert!(unreachable("READONLY You can't write").mend().unwrap().contains("primary"));
    }
}
