//! Where a server is, as a setting tells it: `smtps://host:port` or `imaps://host:port`, if need be with
//! `?connect=HOST:PORT`. Only TLS from the start is known: a token never travels in the clear.

use rustls::pki_types::ServerName;

/// A server: the name that its certificate must carry, and what is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name that the server's certificate must carry.
    pub host: String,
    /// The host and port that are dialled: those of the URL, or of its `?connect=`.
    pub connect: (String, u16),
}

/// The beginning of a URL and what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `smtps://`, port 465.
    Smtps,
    /// `imaps://`, port 993.
    Imaps,
}

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Self::Smtps => "smtps://",
            Self::Imaps => "imaps://",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Smtps => 465,
            Self::Imaps => 993,
        }
    }
}

impl Server {
    /// A server under its own name, at the scheme's port.
    #[must_use]
    pub fn named(scheme: Scheme, host: &str) -> Self {
        Self { host: host.to_owned(), connect: (host.to_owned(), scheme.port()) }
    }

    /// Reads a URL of this scheme.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with its name.
    pub fn parse(scheme: Scheme, text: &str) -> Result<Self, String> {
        let prefix = scheme.prefix();
        let rest = text.strip_prefix(prefix).ok_or_else(|| format!("must begin with {prefix} (implicit TLS)"))?;
        let (server, query) = rest.split_once('?').map_or((rest, None), |(server, query)| (server, Some(query)));
        let server = server.strip_suffix('/').unwrap_or(server);
        if server.contains(['/', '@']) {
            return Err("may hold a host and a port only".to_owned());
        }
        let (host, port) = host_and_port(server, Some(scheme.port())).ok_or("names no host")?;
        if ServerName::try_from(host.as_str()).is_err() {
            return Err("names no host that a certificate could carry".to_owned());
        }
        let connect = match query {
            None | Some("") => (host.clone(), port),
            Some(query) => {
                let dial = query.strip_prefix("connect=").ok_or("has a parameter other than connect")?;
                host_and_port(dial, None).ok_or("has a connect that is not HOST:PORT")?
            }
        };
        Ok(Self { host, connect })
    }
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn host_and_port(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default?,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}
