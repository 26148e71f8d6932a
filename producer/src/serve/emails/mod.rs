//! `/emails`: handing mails over, finding them, changing them, in the dialect of Resend's API.

mod batch;
mod change;
mod dialect;
mod find;
pub(super) mod found;
mod own;
mod send;
pub(super) mod shape;
mod tolerance;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;

pub(in crate::serve) use self::find::visible;

/// The routes of this group.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(send::send, find::list))
        .routes(routes!(batch::batch))
        .routes(routes!(find::show, change::reschedule))
        .routes(routes!(change::cancel))
        .routes(routes!(find::timeline))
        .routes(routes!(own::status))
        .routes(routes!(own::outlooks))
}
