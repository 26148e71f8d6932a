//! `GET /queue`: what waits where.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use postroom_shared::queue::{LaneStats, QueueStats};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accounts::HoldBody;
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::error::ApiError;

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(queue))
}

/// The queue at a glance.
#[derive(Serialize, ToSchema)]
struct QueueBody {
    /// Mails by state. For `sent`, `cancelled` and `discarded`: since the queue was first used.
    states: BTreeMap<String, u64>,
    /// Mails known to have gone out twice, since the queue was first used.
    doubled: u64,
    /// Leases that ran out, since the queue was first used.
    leases_lost: u64,
    /// What the records of all dead letters take in Redis, in bytes.
    dead_bytes: u64,
    /// Dead letters thrown away for want of room.
    dead_dropped: u64,
    /// Dead letters thrown away for their age.
    dead_expired: u64,
    /// Workers that live.
    workers: u64,
    /// Each account's lane.
    lanes: Vec<LaneBody>,
}

/// One account's lane.
#[derive(Serialize, ToSchema)]
struct LaneBody {
    /// The account.
    account: String,
    /// Mails that wait, by priority.
    waiting: BTreeMap<String, u64>,
    /// Connections that workers hold.
    permits: u64,
    /// Why it may not send now.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HoldBody>,
}

/// The queue at a glance
#[utoipa::path(get, path = "/queue", tag = "queue", operation_id = "getQueue",
    responses((status = 200, description = "What waits where.", body = QueueBody)))]
async fn queue(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<QueueBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let stats = app.client.queue().stats().await?;
    Ok(Json(body(stats, &caller)))
}

fn body(stats: QueueStats, caller: &Caller) -> QueueBody {
    let lane = |lane: LaneStats| LaneBody {
        account: lane.account.id.reveal().to_owned(),
        held: lane.account.hold().map(HoldBody::from),
        waiting: lane.waiting,
        permits: lane.permits,
    };
    QueueBody {
        states: stats.states,
        doubled: stats.doubled,
        leases_lost: stats.leases_lost,
        dead_bytes: stats.dead_bytes,
        dead_dropped: stats.dead_dropped,
        dead_expired: stats.dead_expired,
        workers: stats.workers,
        lanes: stats.lanes.into_iter().filter(|lane| caller.sees(&lane.account.id)).map(lane).collect(),
    }
}
