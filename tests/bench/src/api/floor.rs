//! The floor of the API: axum, one handler, one SET of the request's bytes. No key, no checks, no queue.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use redis::aio::ConnectionManager;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::out;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Serves until it is told to stop.
pub(crate) async fn serve(redis: &str) -> anyhow::Result<()> {
    let connection = ConnectionManager::new(redis::Client::open(redis)?).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut terminate = signal(SignalKind::terminate())?;
    out::say(&format!("listening on http://{}", listener.local_addr()?));
    let router = Router::new().route("/emails", post(store)).with_state(connection);
    let stop = async move {
        terminate.recv().await;
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stop).await?)
}

async fn store(State(mut connection): State<ConnectionManager>, body: Bytes) -> Result<String, StatusCode> {
    let id = NUMBER.fetch_add(1, Ordering::Relaxed);
    let stored: Result<(), _> =
        redis::cmd("SET").arg(format!("mail:{id}")).arg(body.as_ref()).query_async(&mut connection).await;
    stored.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(format!("{{\"id\":\"{id}\"}}"))
}
