//! What a mail says: its text, its HTML in a frame that loads and runs nothing, and its source. Not for viewers: addresses and
//! contents would be in the clear.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use postroom_shared::message::{ReadMessage, read};
use postroom_shared::queue::MailStatus;

use super::bits::{bytes, empty};
use super::layout::{Page, Tab};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::{Dashboard, find};

/// What of a text or a source is shown.
const SHOWN: usize = 256 << 10;
/// A mail's HTML loads nothing, runs nothing and goes nowhere: it may only lay itself out, with images that it holds itself.
const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
                      base-uri 'none'; frame-ancestors 'self'";

/// The part of the mail's page.
pub(super) async fn section(dashboard: &Dashboard, visitor: &Visitor, mail: &MailStatus) -> Result<Markup, Trouble> {
    let inside = if visitor.sees_all() {
        match message(dashboard, mail).await? {
            Some(content) => shown(mail, &content),
            None => empty("Its bytes are deleted: they are kept until a mail is sent, cancelled or discarded."),
        }
    } else {
        empty("Contents are shown to operators only.")
    };
    Ok(html! { section aria-labelledby="content" { h2 #content { "What it says" } (inside) } })
}

fn shown(mail: &MailStatus, content: &ReadMessage) -> Markup {
    html! {
        @if content.html.is_some() {
            h3 { "HTML" }
            iframe.preview sandbox="" title="The mail's HTML" loading="lazy" src={ "/dashboard/mails/" (mail.id) "/preview" } {}
        }
        @if let Some(text) = &content.text { h3 { "Text" } pre tabindex="0" { (cut(text)) } }
        @if !content.attachments.is_empty() {
            h3 { "Attachments" }
            ul.plain { @for file in &content.attachments { li {
                (file.filename.as_deref().unwrap_or("(no name)")) " "
                span.soft { (file.content_type) ", " (bytes(file.size as u64)) }
            } } }
        }
        p { a href={ "/dashboard/mails/" (mail.id) "/source" } { "The source, as it goes out" } }
    }
}

/// A text, as much of it as is shown.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

async fn frozen(dashboard: &Dashboard, mail: &MailStatus) -> Result<Option<Vec<u8>>, Trouble> {
    // One whole mail in the memory at a time, as in the API.
    let _turn = dashboard.app.memory.turn().await;
    Ok(dashboard.app.client.queue().mail_bytes(mail.id).await?)
}

async fn message(dashboard: &Dashboard, mail: &MailStatus) -> Result<Option<ReadMessage>, Trouble> {
    Ok(frozen(dashboard, mail).await?.map(|bytes| read(&bytes)))
}

/// The mail's HTML, for the frame.
pub(super) async fn preview(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    visitor.demand(Role::Operator)?;
    let mail = find::mail(&dashboard, &visitor, &id).await?;
    let content = message(&dashboard, &mail).await?.and_then(|content| content.html);
    Ok(framed(&content.ok_or_else(|| Trouble::missing("HTML of this mail"))?))
}

/// Somebody else's HTML as a document that can do nothing.
pub(super) fn framed(html: &str) -> Response {
    let mut response = Html(harmless(html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The HTML without the elements whose effects no policy covers: a link may make a browser resolve a name, and Chromium connects
/// to where a frame or a click leads before it finds that the policy forbids it. A tag begins with `<` and its name, wherever it
/// stands, so another name makes another tag, which does nothing.
fn harmless(html: &str) -> String {
    const TAGS: [&str; 11] =
        ["a", "area", "base", "embed", "fencedframe", "form", "frame", "iframe", "link", "meta", "object"];
    let mut safe = String::with_capacity(html.len() + 64);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at + 1);
        safe.push_str(before);
        let name = tag.split(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>').next().unwrap_or_default();
        if TAGS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            safe.push_str("x-");
        }
        rest = tag;
    }
    safe.push_str(rest);
    safe
}

/// The bytes as they go out.
pub(super) async fn source(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Html<String>, Trouble> {
    visitor.demand(Role::Operator)?;
    let mail = find::mail(&dashboard, &visitor, &id).await?;
    let whole = frozen(&dashboard, &mail).await?.ok_or_else(|| Trouble::missing("source of this mail (any more)"))?;
    let some = String::from_utf8_lossy(&whole[..whole.len().min(SHOWN)]);
    let body = html! {
        h1 { "Source" }
        p { a href={ "/dashboard/mails/" (mail.id) } { "Back to the mail" }
            @if whole.len() > SHOWN { span.soft { " The first " (bytes(SHOWN as u64)) " of " (bytes(whole.len() as u64)) "." } } }
        pre tabindex="0" { (some) }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Mails, title: "Source", live: None, told: None, body }.html())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_policy_covers_becomes_another_element() {
        for (html, expected) in [
            ("<p>a < b</p>", "<p>a < b</p>"),
            ("<LiNk rel=preconnect>", "<x-LiNk rel=preconnect>"),
            ("<meta http-equiv=refresh><base href=x>", "<x-meta http-equiv=refresh><x-base href=x>"),
            ("<IFRAME src=x></iframe><frameset>", "<x-IFRAME src=x></iframe><frameset>"),
            ("<a\thref=x><a/><A><abbr><area>", "<x-a\thref=x><x-a/><x-A><abbr><x-area>"),
            ("<<link>ä<link", "<<x-link>ä<x-link"),
            ("", ""),
        ] {
            assert_eq!(harmless(html), expected);
        }
    }
}
