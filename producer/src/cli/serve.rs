//! `postroom serve`: the HTTP API, until it is told to stop.

use clap::Args;
use postroom::DirectClient;
use postroom::serve::{App, Opening, ServeSettings, Server};
use postroom::settings::Settings;
use postroom_shared::settings::{RedisSettings, Source, TlsSettings};
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

const HELP: &str = "\
Listens at POSTROOM_LISTEN (default 127.0.0.1:8025); docs/api.md tells what can be
asked, and /docs of the running server has a page to read and try it (any name,
an API key as password). The first key: postroom key create ops --admin

POSTROOM_PROBE_LISTEN (default 127.0.0.1:9465) answers /livez, /readyz, /metrics.

While Redis is away it waits. SIGTERM or SIGINT: requests under way come to their end, exit 0.";

/// `postroom serve`
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Serve {}

pub(crate) async fn run(_: &Serve, common: Settings) -> Result<(), Failure> {
    let mut source = Source::from_process();
    let settings = ServeSettings::read(&mut source);
    let tls = TlsSettings::read(&mut source);
    source.finish()?;
    let (mut terminate, mut interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    // Redis gets no more time than our callers do.
    let redis = RedisSettings { answer_within: settings.timeout, ..common.redis };
    let opening = Opening::start(&settings).await.map_err(Failure::Failed)?;
    let queue = tokio::select! {
        queue = opening.reach(&redis, common.limits) => queue?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let app = App::start(opening, DirectClient::over(queue), &settings, &tls).map_err(Failure::Failed)?;
    let server = Server::bind(app, &settings).map_err(Failure::Failed)?;
    tracing::info!(http.listen = %server.address(), tls = settings.tls.is_some(), "serving");
    server
        .serve(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping: requests under way come to their end");
        })
        .await;
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed(format!("signals cannot be heard: {error}")))
}
