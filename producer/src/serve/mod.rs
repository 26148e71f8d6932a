//! `postroom serve`: the HTTP API.
//!
//! No handler sends a mail or decides when one goes: a mail is stored, and a worker does the rest. Without a key nothing is
//! answered but health; nothing that a caller sends can fill the memory, or keep others out.
//!
//! | read | for |
//! |---|---|
//! | `emails` | handing mails over, finding and changing them, in the dialect of Resend's API |
//! | `routes` | what else can be asked: dead letters, accounts, the queue, keys, templates, health |
//! | `auth`, `key_ring`, `rate`, `audit` | who asks, what they may do, how often, and what they changed |
//! | `answer`, `body`, `crowd`, `listen`, `open_files`, `stream`, `tls` | what a caller may send and hold: sizes, times, connections |
//! | `intake`, `estimate` | storing mails for many requests at once; when they will go |
//! | `dashboard`, beside this folder | the pages for people |
//! | `error` | what is answered when something cannot be done |
//! | `opening` | waiting for Redis at the start |
//! | `openapi`, `path` | the document and its page; paths that are no text |
//! | `watch` | what is counted and traced of requests, and the metrics of the queue |
//! | `settings` | what it reads from its surroundings |

mod answer;
mod app;
mod audit;
mod auth;
mod body;
mod crowd;
mod emails;
mod error;
mod estimate;
mod intake;
mod key_ring;
mod listen;
mod open_files;
mod openapi;
mod opening;
mod path;
mod rate;
mod routes;
mod settings;
mod stream;
mod tls;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};
use hyper::body::Body as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

pub use self::app::App;
pub use self::auth::{Caller, Denied, demand_key};
pub(crate) use self::body::Payload;
pub use self::emails::read_email;
pub use self::error::{ApiError, ErrorBody, FaultBody};
pub use self::key_ring::{KeyRing, RingSettings};
use self::listen::Listening;
pub use self::opening::Opening;
pub use self::rate::Standing;
pub(crate) use self::routes::keys::{make as make_key, revoke_one as revoke_key, visible as visible_keys};
pub use self::settings::{ServeSettings, TlsFiles};
use self::tls::TlsServer;
pub use crate::dashboard::{Access, DashboardSettings};

/// How long the last traces may take.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// The API, listening and ready to serve.
pub struct Server {
    app: Arc<App>,
    listening: Listening,
    address: SocketAddr,
}

impl Server {
    /// Listens at the address of the settings.
    ///
    /// # Errors
    /// If the address is taken, or the certificate cannot be read.
    pub fn bind(app: Arc<App>, settings: &ServeSettings) -> Result<Self, String> {
        let tls = settings.tls.clone().map(TlsServer::new).transpose()?;
        let listen = settings.listen;
        let listener = listen::bind(listen).map_err(|error| format!("POSTROOM_LISTEN: {listen}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let listening = Listening {
            listener,
            tls,
            router: router(&app, &settings.dashboard),
            memory: app.memory.clone(),
            connections: settings.connections,
            timeout: settings.timeout,
            drain: settings.drain,
        };
        Ok(Self { app, listening, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets the requests under way come to their end.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let app = self.app;
        let told = Arc::clone(&app);
        let stop = async move {
            stop.await;
            told.stop();
        };
        self.listening.serve(stop).await;
        app.traces.stop(LAST_SPANS).await;
    }
}

/// The OpenAPI document of all that can be asked.
#[must_use]
pub fn document() -> OpenApi {
    parts().2
}

/// What needs a key, what needs none, and the document of both.
fn parts() -> (Router<Arc<App>>, Router<Arc<App>>, OpenApi) {
    let api = OpenApiRouter::with_openapi(openapi::document())
        .merge(emails::routes())
        .merge(routes::accounts::routes())
        .merge(routes::dead::routes())
        .merge(routes::keys::routes())
        .merge(routes::queue::routes())
        .merge(routes::templates::routes());
    let (open, health) = routes::health::routes().split_for_parts();
    let (router, mut document) = api.split_for_parts();
    document.merge(health);
    openapi::complete(&mut document);
    (router, open, document)
}

fn router(app: &Arc<App>, dashboard: &DashboardSettings) -> Router {
    let (api, open, document) = parts();
    let guarded = api
        .merge(openapi::routes(document))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(Arc::clone(app), with_key))
        .with_state(Arc::clone(app));
    // Without a key nobody learns what there is: whatever is not open goes to what is guarded.
    let open = open
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(Arc::clone(app), without_key))
        .with_state(Arc::clone(app));
    let pages = crate::dashboard::routes(app, dashboard).unwrap_or_default();
    let pages = pages.layer(middleware::from_fn_with_state(Arc::clone(app), page));
    open.merge(pages).fallback_service(guarded)
}

/// What stands around a request that needs a key, the innermost first. All of it is one layer: for each request axum copies
/// whatever lies beneath a layer, and anew for each layer.
async fn with_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let readable = |request| path::demand_text(request, |request| next.run(request));
    let timed = |request| in_time(&app, request, readable);
    let known = |request| demand_key(&app.keys, request, timed);
    let asked = |request| openapi::ask_browser(request, known);
    watch::watched(&app, request, asked).await
}

/// The same where none is needed.
async fn without_key(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let timed = |request| in_time(&app, request, |request| next.run(request));
    watch::watched(&app, request, timed).await
}

async fn page(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    in_time(&app, request, |request| next.run(request)).await
}

/// Answers in time whatever comes without a body, which reads or changes one thing. What has a body knows its own time
/// (`Payload::until`), and tells what may have been stored.
async fn in_time<F>(app: &App, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    if !request.body().is_end_stream() {
        return next(request).await;
    }
    let answered = tokio::time::timeout(app.timeout, next(request)).await;
    answered.unwrap_or_else(|_| ApiError::late().into_response())
}

async fn nowhere(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::not_found("The requested endpoint").said(format!("there is nothing at {path}: /docs tells what there is"))
}

async fn not_so(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    let message = format!("{method} is not allowed at {path}: /docs tells what is");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
