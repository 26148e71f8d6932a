//! What `postroom serve` reads beyond what every command reads. All faults are told at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use postroom_shared::api_keys::MOST_RATE;
use postroom_shared::settings::Source;
use postroom_shared::telemetry::TraceSettings;
use postroom_shared::telemetry::probe::ProbeSettings;

/// Where nobody says otherwise: so much that no app meets it by sending mail (an account sends 2,000 a day, and a batch is
/// one request), and so little that one key does not take all of a server.
const RATE: u32 = 1_000;

/// How the HTTP API listens, and what it bears.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// `POSTROOM_LISTEN`: address and port. Default `127.0.0.1:8025`: nothing is open to others unless it is said so.
    pub listen: SocketAddr,
    /// `POSTROOM_LISTEN_TLS_CERT` and `POSTROOM_LISTEN_TLS_KEY`: PEM files with the certificate chain and its key. Default
    /// none: plain HTTP, for a loopback address or behind a proxy that speaks TLS.
    pub tls: Option<TlsFiles>,
    /// `POSTROOM_API_BODY_LIMIT`: bytes of one request's body. Default 50 MiB: the largest message that Gmail takes, with
    /// its attachments in base64.
    pub body_limit: u64,
    /// `POSTROOM_API_MEMORY`: bytes that the bodies of all requests under way may have together; beyond it a request is
    /// answered with 503. Default 256 MiB.
    pub memory: u64,
    /// `POSTROOM_API_TIMEOUT`: for a request's head to come, for each further piece of its body, and for Redis. Default 15 s.
    pub timeout: Duration,
    /// `POSTROOM_API_CONNECTIONS`: connections open at once; beyond it the one that has been silent for longest makes room.
    /// Default 4,096.
    pub connections: usize,
    /// `POSTROOM_API_RATE`: requests a second that a key may make of one server, unless it has a rate of its own; 0: any
    /// number. Default 1,000.
    pub rate: u32,
    /// `POSTROOM_DRAIN_SECONDS`: for how long requests under way may go on after it was told to stop. Default 25 s.
    pub drain: Duration,
    /// Where probes and metrics are answered.
    pub probe: ProbeSettings,
    /// Where traces go.
    pub traces: TraceSettings,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl ServeSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let memory = source.bytes("POSTROOM_API_MEMORY", 256 << 20, 1 << 20, 1 << 40);
        let body_limit = source.bytes("POSTROOM_API_BODY_LIMIT", 50 << 20, 1 << 10, 1 << 30);
        if body_limit > memory {
            source.fault("POSTROOM_API_BODY_LIMIT", "is more than POSTROOM_API_MEMORY: such a body would never fit");
        }
        Self {
            listen: source.parse("POSTROOM_LISTEN", SocketAddr::from(([127, 0, 0, 1], 8025))),
            tls: tls(source),
            body_limit,
            memory,
            timeout: source.span(
                "POSTROOM_API_TIMEOUT",
                Duration::from_secs(15),
                Duration::from_millis(100),
                Duration::from_secs(600),
            ),
            connections: source.number("POSTROOM_API_CONNECTIONS", 4_096, 1, 1_000_000) as usize,
            rate: source.number("POSTROOM_API_RATE", RATE, 0, MOST_RATE),
            drain: source.span(
                "POSTROOM_DRAIN_SECONDS",
                Duration::from_secs(25),
                Duration::ZERO,
                Duration::from_secs(3_600),
            ),
            probe: ProbeSettings::read(source, 9465),
            traces: TraceSettings::read(source),
        }
    }
}

fn tls(source: &mut Source) -> Option<TlsFiles> {
    let [certificate, key] = ["POSTROOM_LISTEN_TLS_CERT", "POSTROOM_LISTEN_TLS_KEY"].map(|name| source.text(name));
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            source.fault("POSTROOM_LISTEN_TLS_KEY", "is missing, while POSTROOM_LISTEN_TLS_CERT is set");
            None
        }
        (None, Some(_)) => {
            source.fault("POSTROOM_LISTEN_TLS_CERT", "is missing, while POSTROOM_LISTEN_TLS_KEY is set");
            None
        }
    }
}
