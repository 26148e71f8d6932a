//! The dashboard in `postroom serve`: the queue on pages, from what waits to the server's words about one mail, and what an
//! operator does about it.
//!
//! Every page is made on the server; what comes from outside is escaped by the macro that makes it, and no page holds a script or
//! a style. Nothing in here reads Redis for a page that changes by itself but `watch`. Nothing is open without a login, and no
//! change is taken from another site's page. docs/dashboard.md tells how to use it.
//!
//! | read | for |
//! |---|---|
//! | `settings`, `guard`, `login`, `session`, `visitor` | whether there is a dashboard, who gets in, what they may do and see |
//! | `layout`, `bits`, `chart`, `assets`, `form`, `told`, `trouble` | what pages are made of |
//! | `watch`, `events` | pages that change by themselves |
//! | `overview`, `mails` with `find`, `mail` with `timeline` and `content`, `dead`, `dead_change`, `accounts`, `templates`, `workers`, `keys`, `audit` | a page each |

mod accounts;
mod assets;
mod audit;
mod bits;
mod chart;
mod content;
mod dead;
mod dead_change;
mod events;
mod find;
mod form;
mod guard;
mod keys;
mod layout;
mod login;
mod mail;
mod mails;
mod overview;
mod session;
mod settings;
mod templates;
mod timeline;
mod told;
mod trouble;
mod visitor;
mod watch;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use postroom_shared::replies::Table;
use postroom_shared::tokens::Sealer;

pub use self::settings::{Access, DashboardSettings};
use self::watch::Watch;
use crate::serve::App;

/// What all pages share.
struct Dashboard {
    app: Arc<App>,
    access: Access,
    sealer: Arc<Sealer>,
    /// What replies mean.
    replies: Option<&'static Table>,
    /// Where traces are shown.
    trace_url: Option<String>,
    watch: Arc<Watch>,
}

/// The pages below `/dashboard`; `None`: there is no dashboard.
pub(crate) fn routes(app: &Arc<App>, settings: &DashboardSettings) -> Option<Router> {
    let sealer = settings.sealer.clone().filter(|_| settings.access != Access::Off)?;
    let dashboard = Arc::new(Dashboard {
        app: Arc::clone(app),
        access: settings.access,
        sealer,
        replies: settings.replies,
        trace_url: settings.trace_url.clone(),
        watch: Watch::new(app.client.queue().clone()),
    });
    let open = Router::new()
        .route("/dashboard/login", get(login::show).post(login::log_in))
        .route("/dashboard/logout", post(login::log_out))
        .route("/dashboard/assets/{version}/{name}", get(assets::show));
    let pages = pages()
        .route("/dashboard/{*path}", get(trouble::nowhere).post(trouble::nowhere))
        .layer(from_fn_with_state(Arc::clone(&dashboard), guard::demand_session));
    Some(open.merge(pages).layer(from_fn(guard::from_here)).layer(from_fn(guard::with_headers)).with_state(dashboard))
}

fn pages() -> Router<Arc<Dashboard>> {
    Router::new()
        .route("/dashboard", get(overview::show))
        .route("/dashboard/", get(overview::show))
        .route("/dashboard/events", get(events::show))
        .route("/dashboard/mails", get(mails::show))
        .route("/dashboard/mails/{id}", get(mail::show))
        .route("/dashboard/mails/{id}/cancel", post(mail::cancel))
        .route("/dashboard/mails/{id}/preview", get(content::preview))
        .route("/dashboard/mails/{id}/source", get(content::source))
        .route("/dashboard/dead", get(dead::show))
        .route("/dashboard/dead/retry", get(dead_change::ask).post(dead_change::apply))
        .route("/dashboard/dead/discard", get(dead_change::ask).post(dead_change::apply))
        .route("/dashboard/accounts", get(accounts::list))
        .route("/dashboard/accounts/{hash}", get(accounts::show))
        .route("/dashboard/accounts/{hash}/hold", post(accounts::hold))
        .route("/dashboard/accounts/{hash}/resume", post(accounts::resume))
        .route("/dashboard/templates", get(templates::list))
        .route("/dashboard/templates/{name}", get(templates::show))
        .route("/dashboard/templates/{name}/preview", get(templates::preview))
        .route("/dashboard/workers", get(workers::show))
        .route("/dashboard/audit", get(audit::show))
        .route("/dashboard/keys", get(keys::list).post(keys::create))
        .route("/dashboard/keys/{id}/revoke", post(keys::revoke))
}
