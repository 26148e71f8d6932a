//! An attack on `postroom serve` while an honest client hands mails over: it must be served in time, and the server's memory
//! must stay under its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use postroom_it::{Api, PATIENCE, Rig};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const SHOP: &str = "shop@example.com";
/// The longest that the honest client may wait for one answer. (Most come within milliseconds; these tests share the machine.)
const BOUND: Duration = Duration::from_secs(5);
/// What `docs/api.md` promises: the bodies' memory, what each connection may take, and the process itself.
const OF_PROCESS_KIB: u64 = 96 << 10;
const OF_CONNECTION_KIB: u64 = 96;

/// What the server under attack is set to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub memory_mib: u64,
    pub body_mib: u64,
    pub connections: u64,
    pub timeout: Duration,
    /// What the system's allocator may keep of large answers that are written already.
    pub kept_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mib: 48, body_mib: 8, connections: 1_000, timeout: Duration::from_secs(2), kept_mib: 0 }
    }
}

impl Limits {
    fn bound_kib(&self) -> u64 {
        OF_PROCESS_KIB + ((self.memory_mib + self.kept_mib) << 10) + self.connections * OF_CONNECTION_KIB
    }
}

/// A server, and somebody who asks it honestly.
pub struct Siege {
    pub api: Api,
    pub address: String,
    pub limits: Limits,
    honest: Client,
    url: String,
    _rig: Rig,
}

/// How the honest client fared.
#[derive(Debug, Default)]
struct Served {
    count: u64,
    slowest: Duration,
}

impl Siege {
    pub async fn lay(limits: Limits) -> Self {
        Self::lay_with(limits, &[]).await
    }

    pub async fn lay_with(limits: Limits, further: &[(&str, &str)]) -> Self {
        let rig = Rig::start().await.unwrap();
        rig.add_account(SHOP).await.unwrap();
        let (memory, body) = (format!("{}MiB", limits.memory_mib), format!("{}MiB", limits.body_mib));
        let (connections, timeout) = (limits.connections.to_string(), format!("{}ms", limits.timeout.as_millis()));
        let mut settings = vec![
            ("POSTROOM_API_MEMORY", memory.as_str()),
            ("POSTROOM_API_BODY_LIMIT", &body),
            ("POSTROOM_API_CONNECTIONS", &connections),
            ("POSTROOM_API_TIMEOUT", &timeout),
            ("POSTROOM_API_RATE", "0"),
            ("POSTROOM_LOG", "info"),
        ];
        settings.extend(further);
        let api = rig.serve(&settings).await.unwrap();
        let address = api.base.strip_prefix("http://").unwrap().to_owned();
        // Each request comes over a connection of its own: it must find a place in the crowd.
        let builder = Client::builder().pool_max_idle_per_host(0).timeout(BOUND * 4).no_proxy();
        let honest = builder.danger_accept_invalid_certs(true).build().unwrap();
        let scheme = if further.iter().any(|(name, _)| *name == "POSTROOM_LISTEN_TLS_CERT") { "https" } else { "http" };
        let url = format!("{scheme}://{address}/emails");
        Self { api, address, limits, honest, url, _rig: rig }
    }

    /// Carries the attack out while the honest client hands mails over.
    pub async fn under<T>(&self, what: &str, attack: impl Future<Output = T>) -> T {
        self.hand_over().await; // The server is warm: what is measured is the attack.
        let over = Arc::new(AtomicBool::new(false));
        let honest = async {
            let mut served = Served::default();
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                self.hand_over().await;
                served.slowest = served.slowest.max(begun.elapsed());
                served.count += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            served
        };
        let (came_to, served) = tokio::join!(
            async {
                let came_to = attack.await;
                over.store(true, Ordering::Relaxed);
                came_to
            },
            honest
        );
        self.hand_over().await;
        let (peak, bound) = (self.api.process.peak_resident_kib().unwrap(), self.limits.bound_kib());
        println!(
            "{what}: {} honest requests served, the slowest in {:.0?}; {} MiB resident at most, bound {} MiB",
            served.count,
            served.slowest,
            peak >> 10,
            bound >> 10
        );
        assert!(served.count > 0 && served.slowest < BOUND, "{what}: {served:?}");
        assert!(peak < bound, "{what}: {peak} KiB resident, bound {bound} KiB");
        came_to
    }

    async fn hand_over(&self) {
        let mail = mail().to_string();
        let asked = self.honest.post(&self.url).bearer_auth(&self.api.key).body(mail).send().await;
        let answer = asked.unwrap_or_else(|error| panic!("{error:?}\n{}", self.api.process.log()));
        assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.text().await);
    }

    /// A connection, raw.
    pub async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The head of a hand-over with the server's key and further headers.
    pub fn head(&self, further: &str) -> String {
        format!("POST /emails HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{further}\r\n", self.api.key)
    }

    /// Sends a whole hand-over with this body; answers the status.
    pub async fn post(&self, body: &[u8]) -> u16 {
        let mut stream = self.connect().await;
        let head = self.head(&format!("Connection: close\r\nContent-Length: {}\r\n", body.len()));
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await; // It may be refused before it has come whole.
        status(&read_to_end(&mut stream).await)
    }
}

pub fn mail() -> Value {
    json!({ "from": SHOP, "to": ["ann@example.org"], "subject": "Your order", "text": "Thank you. ".repeat(180) })
}

/// What comes until the connection ends, however it ends.
pub async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(4 * PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the server never ended the connection");
    answer
}

/// The status of the first answer; 0: there is none.
pub fn status(answer: &[u8]) -> u16 {
    String::from_utf8_lossy(answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
