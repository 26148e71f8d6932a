//! Putting dead letters back into the queue, or throwing them away: one, or all that fit a filter, after a question.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::Uri;
use axum::response::{Html, Redirect};
use maud::html;
use postroom_shared::audit::{Action, Subject};
use postroom_shared::id::MailId;
use postroom_shared::mail::time_to_live;
use postroom_shared::queue::{DeadFilter, Queue};
use postroom_shared::store::StoreError;

use super::bits::count;
use super::dead::{FIELDS, filter, look};
use super::form::Form;
use super::layout::{Page, Tab};
use super::told::{Done, Told};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::{Dashboard, find};

/// Dead letters that one action changes.
const MOST: usize = 1_000;

/// What is done with them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Retry { ttl: Duration },
    Discard,
}

impl Change {
    fn read(uri: &Uri, form: &Form, queue: &Queue) -> Result<Self, Trouble> {
        if uri.path().ends_with("/discard") {
            return Ok(Self::Discard);
        }
        let ttl = form.get("ttl").map(time_to_live).transpose().map_err(|error| Trouble::invalid(error.to_string()))?;
        Ok(Self::Retry { ttl: ttl.unwrap_or(queue.limits().mail_ttl) })
    }

    fn action(self) -> Action {
        match self {
            Self::Retry { .. } => Action::DeadRetry,
            Self::Discard => Action::DeadDiscard,
        }
    }

    fn done(self) -> Done {
        match self {
            Self::Retry { .. } => Done::Retried,
            Self::Discard => Done::Discarded,
        }
    }

    /// Changes one; answers whether it was a dead letter.
    async fn apply(self, queue: &Queue, id: MailId) -> Result<bool, StoreError> {
        let answer = match self {
            Self::Retry { ttl } => queue.retry_dead(id, ttl).await,
            Self::Discard => queue.discard_dead(id).await,
        };
        match answer {
            Ok(answer) => Ok(matches!(answer, Some(Ok(())))),
            // Only what is of this one mail, such as an account that was removed, is passed over.
            Err(StoreError::Wrong(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The question before all that fit are changed.
pub(super) async fn ask(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    visitor.demand(Role::Operator)?;
    let form = Form::of_query(query);
    let snapshot = dashboard.watch.snapshot().await?;
    let list = look(&dashboard, &filter(&form, &visitor, &snapshot, 0)?).await?;
    let total = list.summary.total;
    let is_retry = Change::read(&uri, &form, dashboard.app.client.queue())? != Change::Discard;
    let (title, button, class) = if is_retry {
        ("Retry dead letters", "Put them back into the queue", "main")
    } else {
        ("Discard dead letters", "Throw them away, with their bytes", "danger")
    };
    let body = html! {
        h1 { (title) }
        p.big { @if list.is_cut { "At least " } (count(total)) " dead letters fit" }
        ul { @for (word, number) in &list.summary.by_reason { li { (word) ": " (count(*number)) } } }
        @if list.summary.may_double > 0 && is_retry {
            p.notice.bad { (count(list.summary.may_double)) " of them may have been taken by the server all the same: a retry may send them a second time." }
        }
        @if total > MOST as u64 || list.is_cut { p.soft { "One action changes " (count(MOST as u64)) " at most, the newest first; do it again for more." } }
        div.actions {
            form method="post" action=(uri.path()) {
                @for name in FIELDS { @if let Some(value) = form.get(name) { input type="hidden" name=(name) value=(value); } }
                @if is_retry { label { "New deadline in " input type="text" name="ttl" value="24h" size="5"; } }
                button class=(class) type="submit" disabled[total == 0] { (button) }
            }
            a.button href={ "/dashboard/dead?" (form.only(&FIELDS)) } { "Not now" }
        }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Dead, title, live: None, told: None, body }.html())
}

/// Does it: to the mail that is named, or to all that fit.
pub(super) async fn apply(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    request: Request,
) -> Result<Redirect, Trouble> {
    visitor.demand(Role::Operator)?;
    let form = Form::read(request, &dashboard.app).await?;
    let queue = dashboard.app.client.queue();
    let change = Change::read(&uri, &form, queue)?;
    let (ids, back) = match form.get("id") {
        Some(id) => {
            let id = find::mail(&dashboard, &visitor, id).await?.id;
            (vec![id], format!("/dashboard/mails/{id}"))
        }
        None => {
            let snapshot = dashboard.watch.snapshot().await?;
            let ids = fitting(queue, &filter(&form, &visitor, &snapshot, MOST)?).await?;
            (ids, format!("/dashboard/dead?{}", form.only(&["reason", "account", "age", "domain", "tag"])))
        }
    };
    let only = if let [id] = ids[..] { Some(id) } else { None };
    let mut told = Told { done: change.done(), changed: 0, failed: 0 };
    for id in ids {
        match change.apply(queue, id).await {
            Ok(true) => told.changed += 1,
            Ok(false) => told.failed += 1,
            // What was changed is changed; a repeat does the rest.
            Err(_) if told.changed > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    dashboard.watch.forget();
    if told.changed > 0 {
        dashboard.note(&visitor, change.action(), only.map_or(Subject::Mails(told.changed), Subject::Mail)).await;
    }
    Ok(Redirect::to(&told.at(&back)))
}

/// All are gathered before the first is changed: what dies again meanwhile is not meant.
async fn fitting(queue: &Queue, filter: &DeadFilter) -> Result<Vec<MailId>, Trouble> {
    let (mut ids, mut walk) = (Vec::new(), queue.walk_dead(filter));
    while let Some(page) = walk.next().await? {
        ids.extend(page.iter().map(|mail| mail.id));
    }
    Ok(ids)
}
