//! `GET /emails/{id}/status`, `GET /emails/statuses` and `POST /emails/outlooks`: mails in Postroom's own form, as the Rust
//! client and the command line know them. Times are milliseconds since 1970.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailStatus, Page, Place};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::find::{ListQuery, found, seen};
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::error::{ApiError, ErrorBody};

/// Mails in one question.
const MOST: usize = 1_000;

/// All that is known of a mail, as `postroom mail show --json` tells it.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(super) struct StatusBody(MailStatus);

/// Which mails.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutlooksRequest {
    /// Their ids, at most 1,000, in the order in which they were handed over.
    #[schema(max_items = 1000)]
    ids: Vec<String>,
}

/// Where mails stand.
#[derive(Serialize, ToSchema)]
pub(super) struct OutlooksBody {
    /// In the order of the ids; null: there is no such mail (any more).
    data: Vec<Option<PlaceBody>>,
}

/// Where a mail stands, and when it will probably go.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
struct PlaceBody(Place);

/// One mail in Postroom's own form
///
/// For `postroom`'s Rust client: all that is known, times in milliseconds since 1970.
#[utoipa::path(
    get,
    path = "/emails/{id}/status",
    tag = "emails",
    operation_id = "getStatus",
    params(("id" = String, Path, description = "The mail's id")),
    responses(
        (status = 200, description = "The mail.", body = StatusBody),
        (status = 404, description = "There is no such mail (any more).", body = ErrorBody),
    ),
)]
pub(super) async fn status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
) -> Result<Json<StatusBody>, ApiError> {
    caller.demand(Scope::Read)?;
    Ok(Json(StatusBody(seen(&app, &caller, &id).await?)))
}

/// Mails that fit, in Postroom's own form.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusesBody {
    /// There are more in the same direction, or there may be.
    has_more: bool,
    /// Where the next page in the same direction begins.
    next: Option<String>,
    /// The mails, the newest first, without their timelines.
    data: Vec<StatusBody>,
}

/// The mails that fit in Postroom's own form
///
/// For `postroom`'s Rust client: what `GET /emails` finds, times in milliseconds since 1970.
#[utoipa::path(
    get,
    path = "/emails/statuses",
    tag = "emails",
    operation_id = "findStatuses",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of mails.", body = StatusesBody),
        (status = 422, description = "A parameter cannot be read.", body = ErrorBody),
    ),
)]
pub(super) async fn statuses(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<StatusesBody>, ApiError> {
    let Page { mails, has_more, next } = found(&app, &caller, query).await?;
    let data = mails.into_iter().map(StatusBody).collect();
    Ok(Json(StatusesBody { has_more, next: next.map(|next| next.to_string()), data }))
}

/// When many mails will probably go
///
/// For `postroom`'s Rust client: times in milliseconds since 1970. Mails that wait in the same account are taken to have been
/// handed over in this order, just now.
#[utoipa::path(
    post,
    path = "/emails/outlooks",
    tag = "emails",
    operation_id = "getOutlooks",
    request_body = OutlooksRequest,
    responses(
        (status = 200, description = "Where they stand.", body = OutlooksBody),
        (status = 422, description = "There are too many, or one is no id.", body = ErrorBody),
    ),
)]
pub(super) async fn outlooks(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<Json<OutlooksBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let OutlooksRequest { ids } = payload.json()?;
    if ids.len() > MOST {
        return Err(ApiError::invalid(format!("ids: {} ids: give {MOST} at most, ask several times", ids.len())));
    }
    let read = |(place, id): (usize, &String)| {
        id.parse::<MailId>().map_err(|_| ApiError::invalid(format!("ids[{place}]: give the id of a mail")))
    };
    let ids = ids.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    let places = app.client.outlooks(&ids).await?;
    // A mail of somebody else's is as good as none.
    let mine = |place: Option<Place>| place.filter(|place| caller.sees_mail_of(&place.account)).map(PlaceBody);
    Ok(Json(OutlooksBody { data: places.into_iter().map(mine).collect() }))
}
