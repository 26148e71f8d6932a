//! One mail: where it stands, all that happened to it with the server's words and what they mean, and what it says.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{MailState, MailStatus};

use super::bits::{account, bytes, exact, prose, reason, state, when};
use super::form::Form;
use super::layout::{Page, Tab};
use super::told::{Done, Told};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::watch::mark;
use super::{Dashboard, content, find, timeline};

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    let mail = find::mail(&dashboard, &visitor, &id).await?;
    let content = content::section(&dashboard, &visitor, &mail).await?;
    let now = Millis::now();
    let subject = mail.subject.as_deref().filter(|subject| !subject.trim().is_empty()).unwrap_or("(no subject)");
    let subject = visitor.text(subject);
    let body = html! {
        div #part {
            h1 { (subject) }
            p.row { (state(mail.state)) (reason(mail.reason)) span.soft { (mail.priority.as_str()) }
                @if mail.test { span.word title="Nothing of it is sent" { "test mail" } } }
            (timeline::last_words(&mail, &visitor))
            (outlook(&mail, &visitor, now))
            (actions(&mail, &visitor))
            section aria-labelledby="what" {
                h2 #what { "What happened" }
                (timeline::list(&dashboard, &visitor, &mail, now))
            }
            section aria-labelledby="who" { h2 #who { "The mail" } (facts(&mail, &visitor, now)) }
            (content)
        }
    };
    let told = Told::read(&Form::of_query(query));
    let live = Some(format!("page=mail&id={}&mark={}", mail.id, mark(mail.state, mail.reason)));
    Ok(Page { visitor: &visitor, tab: Tab::Mails, title: &subject, live, told, body }.html())
}

/// When it will go, or why it does not.
fn outlook(mail: &MailStatus, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        @if let Some(outlook) = &mail.outlook {
            p.notice.bad[outlook.likely_at.is_none() || outlook.too_late] {
                @match outlook.likely_at {
                    Some(at) if at > now => { "Goes about " (when(at, now)) ". " }
                    Some(_) => { "Goes now. " }
                    None => { "Does not go before a person acts. " }
                }
                (prose(&visitor.text(&outlook.note)))
                @if outlook.too_late { " That is after its deadline: it would expire." }
            }
        }
        @if mail.may_double {
            p.notice.bad { "The server may have taken it all the same: a retry may send it a second time." }
        }
    }
}

fn actions(mail: &MailStatus, visitor: &Visitor) -> Markup {
    let waits = match mail.state {
        MailState::Scheduled | MailState::Ready | MailState::Retry => true,
        MailState::Sending | MailState::Sent | MailState::Dead | MailState::Cancelled | MailState::Discarded => false,
    };
    html! {
        @if visitor.may(Role::Operator) && (waits || mail.state == MailState::Dead) {
            div.actions {
                @if waits { form method="post" action={ "/dashboard/mails/" (mail.id) "/cancel" } { button type="submit" { "Cancel it" } } }
                @if mail.state == MailState::Dead {
                    form method="post" action="/dashboard/dead/retry" {
                        input type="hidden" name="id" value=(mail.id);
                        label { "New deadline in " input type="text" name="ttl" value="24h" size="5"; }
                        button.main type="submit" { "Retry it" }
                    }
                    form method="post" action="/dashboard/dead/discard" {
                        input type="hidden" name="id" value=(mail.id);
                        button.danger type="submit" { "Discard it" }
                    }
                }
            }
        }
    }
}

fn facts(mail: &MailStatus, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        div.card { table.pairs { tbody {
            tr { th scope="row" { "Id" } td { code { (mail.id) } } }
            tr { th scope="row" { "Account" } td { (account(&mail.account, visitor))
                @if let Some(pool) = &mail.pool { span.soft { " of the pool " (pool.as_str()) } } } }
            tr { th scope="row" { "From" } td { @if let Some(from) = &mail.from { (visitor.address(from)) } } }
            tr { th scope="row" { "Recipients" } td { (recipients(mail, visitor)) } }
            tr { th scope="row" { "Handed over" } td { (exact(mail.queued_at)) ", " (when(mail.queued_at, now)) } }
            tr { th scope="row" { "Deadline" } td { (exact(mail.deadline)) ", " (when(mail.deadline, now)) } }
            tr { th scope="row" { "Attempts" } td { (mail.attempts)
                @if mail.leases_lost > 0 { span.soft { ", and " (mail.leases_lost) " leases were lost" } } } }
            @if let Some(id) = &mail.message_id { tr { th scope="row" { "Message-ID" } td { code { (visitor.text(id)) } } } }
            @if !mail.tags.is_empty() { tr { th scope="row" { "Tags" } td { @for tag in &mail.tags {
                span.tag { (visitor.text(&tag.name)) @if !tag.value.is_empty() { "=" (visitor.text(&tag.value)) } } " "
            } } } }
            @if let Some(size) = mail.bytes { tr { th scope="row" { "In Redis" } td { (bytes(size)) } } }
        } } }
    }
}

fn recipients(mail: &MailStatus, visitor: &Visitor) -> Markup {
    html! {
        ul.plain { @for one in &mail.recipients { li {
            span.soft { (one.kind.as_str()) " " } (visitor.address(&one.address)) " " span.word { (one.fate) }
            @if let Some(reply) = &one.reply { " " q { (visitor.text(&reply.words())) } }
        } } }
    }
}

/// Cancels it, if no worker has it yet.
pub(super) async fn cancel(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Redirect, Trouble> {
    visitor.demand(Role::Operator)?;
    let mail = find::mail(&dashboard, &visitor, &id).await?;
    let done = match dashboard.app.client.queue().cancel(mail.id).await? {
        Some(Ok(())) => Done::Cancelled,
        Some(Err(_)) => Done::TooLate,
        None => return Err(Trouble::missing("mail")),
    };
    dashboard.watch.forget();
    if done == Done::Cancelled {
        dashboard.note(&visitor, Action::MailCancel, Subject::Mail(mail.id)).await;
    }
    Ok(Redirect::to(&Told::one(done).at(&format!("/dashboard/mails/{}", mail.id))))
}
