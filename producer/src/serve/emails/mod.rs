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

use postroom_shared::clock::Millis;
use postroom_shared::mail::{Faults, Mail, read_json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use crate::door::Refusal;

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
        .routes(routes!(own::statuses))
        .routes(routes!(own::outlooks))
}

/// What the API reads out of one mail's JSON before it asks who may send it. For fuzzing: it needs no server.
///
/// # Errors
/// All faults of it, by the names that stand in the JSON.
pub fn read_email(body: &[u8], now: Millis) -> Result<Mail, Refusal> {
    let (mail, mut faults) = dialect::translate(read_json(body)?);
    let parsed = Mail::from_json(&mail, now).map_err(|found| faults.extend(found.as_slice().iter().cloned()));
    match (parsed, Refusal::unless_empty(faults)) {
        (Ok(mail), None) => Ok(mail),
        (Ok(_), Some(refusal)) => Err(refusal),
        (Err(()), refusal) => {
            Err(refusal.map_or_else(|| Faults::one("", "not a mail").into(), |refusal| dialect::told(&refusal)))
        }
    }
}
