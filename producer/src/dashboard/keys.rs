//! The API keys, for admins: which there are, a new one (its text is shown once), and the end of one.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use postroom_shared::account::AccountId;
use postroom_shared::api_keys::{ApiKey, Mode, NewKey, Scope};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;

use super::Dashboard;
use super::bits::{options, when};
use super::find::named;
use super::form::Form;
use super::layout::{Page, Tab};
use super::overview::seen;
use super::told::{Done, Told};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::watch::Snapshot;
use crate::serve::{make_key, revoke_key, visible_keys};

const MODES: [(&str, &str); 2] = [("live", "live: its mails really go"), ("test", "test: never to Gmail")];
const ENDS: [(&str, &str, u64); 4] =
    [("", "never", 0), ("30", "in 30 days", 30), ("90", "in 90 days", 90), ("365", "in a year", 365)];
const DAY: Duration = Duration::from_secs(86_400);

/// All of them.
pub(super) async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    visitor.demand(Role::Admin)?;
    let snapshot = dashboard.watch.snapshot().await?;
    let keys = visible_keys(&dashboard.app, &visitor.caller).await?;
    let now = Millis::now();
    let body = html! {
        h1 { "API keys" }
        div.card { table {
            thead { tr { th scope="col" { "Name" } th scope="col" { "May" } th scope="col" { "Mode" } th scope="col" { "Accounts" }
                th scope="col" { "Made" } th scope="col" { "Last used" } th scope="col" { "State" } th scope="col" { span.hidden { "Actions" } } } }
            tbody { @for key in &keys { (row(key, &visitor, now)) } }
        } }
        @if visitor.may(Role::Admin) { section aria-labelledby="new" { h2 #new { "A new key" } (fields(&visitor, &snapshot)) } }
    };
    let told = Told::read(&Form::of_query(query));
    Ok(Page { visitor: &visitor, tab: Tab::Keys, title: "API keys", live: None, told, body }.html())
}

fn row(key: &ApiKey, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        tr {
            td { (key.name) " " code.soft { (key.id) } }
            td { (key.scopes) } td { (key.mode) }
            td.cut { @if key.accounts.is_empty() { "all" } @for id in &key.accounts { (visitor.account(id)) " " } }
            td.nowrap { (when(key.created_at, now)) }
            td.nowrap { @match key.last_used_at { Some(at) => (when(at.min(now), now)), None => "never" } }
            td.nowrap { @if let Some(at) = key.revoked_at { span.state.dead { "revoked" } " " (when(at, now)) }
                @else if let Some(at) = key.expires_at { @if at <= now { span.state.dead { "expired" } " " } @else { "ends " } (when(at, now)) }
                @else { "valid" } }
            td { @if key.is_valid(now) && visitor.may(Role::Admin) {
                form method="post" action={ "/dashboard/keys/" (key.id) "/revoke" } {
                    button.danger type="submit" aria-label={ "Revoke the key " (key.name) } { "Revoke" } }
            } }
        }
    }
}

fn fields(visitor: &Visitor, snapshot: &Snapshot) -> Markup {
    html! {
        form.filter method="post" action="/dashboard/keys" {
            label { "Name" input type="text" name="name" required maxlength="50" placeholder="shop"; }
            fieldset { legend { "It may" }
                @for scope in Scope::ALL { label { input type="checkbox" name="scope" value=(scope.as_str())
                    checked[scope == Scope::Send || scope == Scope::Read]; (scope.as_str()) } } }
            label { "Mode" select name="mode" { (options(MODES, Some(visitor.caller.key.mode.as_str()))) } }
            label { "Ends" select name="ends" { (options(ENDS.map(|(value, words, _)| (value, words)), None)) } }
            label { "Accounts (none: as yours)" select name="account" multiple size="3" {
                @for standing in seen(snapshot, visitor).filter(|standing| !standing.account.id.is_test()) {
                    option value=(standing.account.id.hashed()) { (visitor.account(&standing.account.id)) } } } }
            button.main type="submit" { "Make the key" }
        }
    }
}

/// Makes one. The page with its text is the answer itself and is kept nowhere.
pub(super) async fn create(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Result<Html<String>, Trouble> {
    visitor.demand(Role::Admin)?;
    let form = Form::read(request, &dashboard.app).await?;
    let snapshot = dashboard.watch.snapshot().await?;
    let accounts =
        form.all("account").map(|hash| named(hash, &visitor, &snapshot)).collect::<Result<Vec<AccountId>, _>>()?;
    let scopes = form.all("scope").map(str::parse::<Scope>).collect::<Result<_, _>>().map_err(Trouble::invalid)?;
    let days = form
        .get("ends")
        .and_then(|ends| ENDS.iter().find(|(value, ..)| *value == ends))
        .map_or(0, |(_, _, days)| *days);
    let new = NewKey {
        name: form.get("name").unwrap_or_default().to_owned(),
        mode: if form.get("mode") == Some("live") { Mode::Live } else { Mode::Test },
        scopes,
        accounts: if accounts.is_empty() { visitor.caller.key.accounts.clone() } else { accounts },
        expires_at: (days > 0).then(|| Millis::now().after(DAY * u32::try_from(days).unwrap_or(0))),
        rate: None,
    };
    let (key, secret) = make_key(&dashboard.app, &visitor.caller, new).await?;
    dashboard.note(&visitor, Action::KeyCreate, Subject::Key(key.id.clone())).await;
    let body = html! {
        h1 { "The key " (key.name) }
        p { "Copy it now: it is not shown again." }
        pre tabindex="0" { (secret.reveal()) }
        p.soft { "A " (key.mode) " key that may " (key.scopes) "." }
        p { a.button href="/dashboard/keys" { "All keys" } }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Keys, title: "A new key", live: None, told: None, body }.html())
}

/// Revokes one, for good. Whoever is logged in with it is out.
pub(super) async fn revoke(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    visitor.demand(Role::Admin)?;
    revoke_key(&dashboard.app, &visitor.caller, &id).await?;
    Ok(Redirect::to(&Told::one(Done::Revoked).at("/dashboard/keys")))
}
