//! What `POSTROOM_REDIS_URL` says: one Redis, one that Sentinels watch over, or a Cluster.

use redis::{Client, ConnectionInfo, IntoConnectionInfo as _};

use super::connection::StoreError;

const HOW: &str = "write redis://[user:password@]host[:port][/number], redis+sentinel://[user:password@]sentinel[:port],…/name[/number] \
                   or redis+cluster://[user:password@]host[:port],… (rediss for TLS)";

/// How Redis is reached.
pub(super) enum Address {
    /// One server, or whatever lies behind one address.
    One(Client),
    /// The master of that name, wherever it is.
    Sentinel { sentinels: Vec<ConnectionInfo>, name: String, node: ConnectionInfo },
    /// Some servers of a Cluster, which know the others.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = url.split_once("://") else { return Err(unusable("no scheme")) };
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        match (scheme, kind) {
            ("redis" | "rediss", "sentinel") => {
                let (user, hosts, path) = parts(rest);
                let (name, number) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(unusable("the master's name is missing"));
                }
                // Their own port, and nobody's password.
                let sentinels = each(hosts, |host| {
                    let port =
                        if host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']')) { "" } else { ":26379" };
                    format!("{scheme}://{host}{port}")
                })?;
                let node = info(&format!("{scheme}://{user}master/{number}"))?;
                Ok(Self::Sentinel { sentinels, name: name.to_owned(), node })
            }
            ("redis" | "rediss", "cluster") => {
                let (user, hosts, path) = parts(rest);
                if !path.is_empty() {
                    return Err(unusable("a Cluster has no numbered databases"));
                }
                Ok(Self::Cluster(each(hosts, |host| format!("{scheme}://{user}{host}"))?))
            }
            (_, "") => Client::open(url).map(Self::One).map_err(|error| unusable(error.category())),
            _ => Err(unusable("an unknown scheme")),
        }
    }
}

/// User and password with their `@`, the hosts, and what follows.
fn parts(rest: &str) -> (&str, &str, &str) {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    (user, hosts, path)
}

fn each(hosts: &str, url: impl Fn(&str) -> String) -> Result<Vec<ConnectionInfo>, StoreError> {
    hosts.split(',').map(|host| info(&url(host))).collect()
}

fn info(url: &str) -> Result<ConnectionInfo, StoreError> {
    url.into_connection_info().map_err(|error| unusable(error.category()))
}

/// Without the URL, which may hold a password.
fn unusable(why: &str) -> StoreError {
    StoreError::Wrong(format!("POSTROOM_REDIS_URL is not usable ({why}): {HOW}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(infos: &[ConnectionInfo]) -> Vec<String> {
        infos.iter().map(|info| info.addr().to_string()).collect()
    }

    #[test]
    fn each_kind_is_read() {
        assert!(matches!(Address::parse("redis://127.0.0.1:6379/1"), Ok(Address::One(_))));
        let Ok(Address::Sentinel { sentinels, name, node }) =
            Address::parse("redis+sentinel://post:p%40ss@one,two:5000/mymaster/3")
        else {
            panic!("no Sentinels")
        };
        assert_eq!(addresses(&sentinels), ["one:26379", "two:5000"]);
        assert!(sentinels.iter().all(|info| info.redis_settings().password().is_none()));
        let of_node = node.redis_settings();
        assert_eq!((name.as_str(), of_node.db(), of_node.password()), ("mymaster", 3, Some("p@ss")));
        let Ok(Address::Cluster(nodes)) = Address::parse("rediss+cluster://:secret@one:7000,two:7001") else {
            panic!("no Cluster")
        };
        assert_eq!(addresses(&nodes), ["one:7000", "two:7001"]);
        assert!(nodes.iter().all(|info| info.redis_settings().password() == Some("secret")));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for url in [
            "127.0.0.1:6379",
            "http://:geheim@x",
            "redis+sentinel://:geheim@one,two",
            "redis+cluster://:geheim@one/1",
            "redis+shards://:geheim@one",
            "redis+cluster://:geheim@one,",
        ] {
            let error = Address::parse(url).err().expect(url).to_string();
            assert!(error.contains("POSTROOM_REDIS_URL") && !error.contains("geheim"), "{error}");
        }
    }
}
