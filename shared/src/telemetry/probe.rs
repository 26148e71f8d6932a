//! What a program answers on its probe's port: `/livez`, `/readyz`, `/metrics`. Plain HTTP without a key: listen on loopback or
//! inside the cluster only.
//!
//! `/livez` never asks Redis: a process that cannot reach it must not be killed for that.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::metrics::OPENMETRICS;
use crate::settings::Source;
use crate::store::Store;

/// Connections at once: a scraper, a kubelet, a person.
const CONNECTIONS: usize = 64;
/// For a request's head to come.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// A connection that is not used any more is closed.
const CONNECTION_LASTS: Duration = Duration::from_secs(300);
/// Whoever asks whether we are ready does not wait longer: a Redis that is so slow is as good as none.
const REDIS_WITHIN: Duration = Duration::from_secs(2);
/// How long nothing is accepted after the system refused to.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Where a program's probes listen.
#[derive(Debug, Clone, Copy)]
pub struct ProbeSettings {
    /// `POSTROOM_PROBE_LISTEN`: address and port, or `off`. Default `127.0.0.1:9464` for the worker and `127.0.0.1:9465` for
    /// `postroom serve`: nothing is open to others unless it is said so.
    pub listen: Option<SocketAddr>,
    /// Whether somebody said so: a default that is taken is no reason not to start.
    pub is_set: bool,
}

impl ProbeSettings {
    /// Reads the group.
    pub fn read(source: &mut Source, port: u16) -> Self {
        const NAME: &str = "POSTROOM_PROBE_LISTEN";
        let default = SocketAddr::from(([127, 0, 0, 1], port));
        match source.text(NAME).as_deref() {
            None => Self { listen: Some(default), is_set: false },
            Some("off") => Self { listen: None, is_set: true },
            Some(_) => Self { listen: Some(source.parse(NAME, default)), is_set: true },
        }
    }
}

/// What the probes know of their program.
#[derive(Clone, Default)]
pub struct Health(Arc<State>);

#[derive(Default)]
struct State {
    store: OnceLock<Store>,
    draining: AtomicBool,
}

impl Health {
    /// Redis was reached.
    pub fn connected(&self, store: &Store) {
        let _ = self.0.store.set(store.clone());
    }

    /// The program was told to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    async fn ready(&self) -> Answer {
        if self.0.draining.load(Ordering::Relaxed) {
            return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining: it was told to stop");
        }
        let Some(store) = self.0.store.get() else {
            return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "Redis has not been reached yet");
        };
        match tokio::time::timeout(REDIS_WITHIN, store.ping()).await {
            Ok(Ok(())) => Answer::text(StatusCode::OK, "ok"),
            Ok(Err(error)) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
            Err(_) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "Redis does not answer"),
        }
    }
}

/// Makes the text of `/metrics`.
pub type Show = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: StatusCode, body: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{body}\n") }
    }

    fn response(self) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(self.kind));
        response
    }
}

/// Listens, and answers until the process ends. A task that nobody need wait for.
///
/// # Errors
/// If the address was asked for and cannot be had; the text says why.
pub async fn start(settings: ProbeSettings, health: Health, show: Show) -> Result<(), String> {
    let Some(listen) = settings.listen else { return Ok(()) };
    match TcpListener::bind(listen).await {
        Ok(listener) => {
            let address = listener.local_addr().unwrap_or(listen);
            info!(probe.listen = %address, "probes and metrics are answered");
            tokio::spawn(accept(listener, health, show));
            Ok(())
        }
        Err(error) if settings.is_set => Err(format!("POSTROOM_PROBE_LISTEN: {listen}: {error}")),
        Err(error) => {
            warn!(probe.listen = %listen, %error, "no probes and no metrics: set POSTROOM_PROBE_LISTEN to a free address, or to off");
            Ok(())
        }
    }
}

async fn accept(listener: TcpListener, health: Health, show: Show) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (health, show) = (health.clone(), Arc::clone(&show));
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION_LASTS, connection(stream, health, show)).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "no connection to the probes can be accepted for now");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, health: Health, show: Show) {
    let answer = |request: Request<Incoming>| {
        let (health, show) = (health.clone(), Arc::clone(&show));
        async move { Ok::<_, Infallible>(respond(&request, &health, &show).await.response()) }
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(8 << 10)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // How it ended is the caller's affair.
    let _ = served.await;
}

async fn respond(request: &Request<Incoming>, health: &Health, show: &Show) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    match request.uri().path() {
        "/livez" => Answer::text(StatusCode::OK, "ok"),
        "/readyz" => health.ready().await,
        "/metrics" => Answer { status: StatusCode::OK, kind: OPENMETRICS, body: show().await },
        _ => Answer::text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics"),
    }
}
