//! `GET /livez` and `GET /readyz`: the only things that are answered without a key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::serve::app::App;
use crate::serve::error::{ApiError, ErrorBody};

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// A sign of life.
#[derive(Serialize, ToSchema)]
struct HealthBody {
    /// Always `ok`; anything else is an error.
    status: &'static str,
}

/// Whether this process lives
///
/// Never asks Redis: a process that cannot reach it must not be killed for that.
#[utoipa::path(get, path = "/livez", tag = "health", operation_id = "livez", security(()),
    responses((status = 200, description = "It lives.", body = HealthBody)))]
async fn live() -> Json<HealthBody> {
    Json(HealthBody { status: "ok" })
}

/// Whether this process takes mail
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "Redis answers.", body = HealthBody),
        (status = 503, description = "Redis does not answer, or the process is stopping.", body = ErrorBody),
    ))]
async fn ready(State(app): State<Arc<App>>) -> Result<Json<HealthBody>, ApiError> {
    if app.is_stopping() {
        return Err(ApiError::unavailable("Postroom is stopping"));
    }
    app.client.queue().store().ping().await?;
    Ok(Json(HealthBody { status: "ok" }))
}
