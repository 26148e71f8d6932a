//! The pages' routes: list of mails, one mail, one attachment.
//! Every answer carries a policy under which a mail's HTML can run nothing and load nothing.

use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{Html, IntoResponse as _, Response};
use mail_parser::{MessageParser, MimeHeaders as _};
use serde::Deserialize;

use super::html::{escape, page, size, time};
use super::mail_page::{self, address_line};
use crate::state::State;
use crate::store::{Mail, MailFilter};

/// Styles of a mail are its look, so inline ones are let through; everything that could run or load is not.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Mails on one page of the list.
const PAGE: usize = 100;

type App = Shared<Arc<State>>;

#[derive(Deserialize)]
pub(super) struct Window {
    #[serde(default)]
    skip: usize,
}

pub(super) async fn list(Shared(state): App, Query(window): Query<Window>) -> Response {
    let total = state.store.len();
    let end = total.saturating_sub(window.skip);
    let start = end.saturating_sub(PAGE);
    let filter = MailFilter { offset: Some(start), limit: Some(end - start), ..MailFilter::default() };
    let (mails, _) = state.store.list(&filter);
    let rows: String = mails.iter().rev().map(|mail| row(&state, mail)).collect();
    let body = if rows.is_empty() {
        "<h1>No mail yet</h1><p class=\"soft\">What is sent through the sandbox appears here.</p>".to_owned()
    } else {
        format!(
            "<h1>{total} caught mail{plural}</h1><div class=\"card\"><table><thead><tr><th>Time (UTC)<th>Account<th>From\
             <th>To<th>Subject<th>Size</tr></thead><tbody>{rows}</tbody></table></div>{older}",
            plural = if total == 1 { "" } else { "s" },
            older = if start > 0 {
                format!("<nav><a href=\"/?skip={}\">Older</a></nav>", window.skip + PAGE)
            } else {
                String::new()
            },
        )
    };
    answer(&page("Mails", &body))
}

fn row(state: &State, mail: &Mail) -> String {
    let bytes = state.store.get(mail.n).and_then(|(_, bytes)| bytes);
    let parsed = bytes.as_deref().and_then(|bytes| MessageParser::default().parse_headers(bytes));
    let from = parsed.as_ref().and_then(|parsed| address_line(parsed.from())).unwrap_or_else(|| mail.from.clone());
    let subject = match &parsed {
        Some(parsed) => parsed.subject().unwrap_or("(no subject)").to_owned(),
        None => mail.message_id.clone().unwrap_or_else(|| "(not kept)".to_owned()),
    };
    let time = time(mail.received_ms);
    format!(
        "<tr><td class=\"narrow soft\" title=\"{time}\">{clock}<td>{account}<td>{from}<td>{to}<td><a href=\"/mails/{n}\">{subject}</a>\
         <td class=\"narrow\">{size}</tr>",
        clock = time.get(11..23).unwrap_or_default(),
        account = escape(&mail.account),
        from = escape(&from),
        to = escape(&mail.recipients.join(", ")),
        n = mail.n,
        subject = escape(&subject),
        size = size(mail.size),
    )
}

pub(super) async fn show(Shared(state): App, Path(n): Path<u64>) -> Response {
    match state.store.get(n) {
        Some((mail, bytes)) => answer(&mail_page::show(&mail, bytes.as_deref())),
        None => (StatusCode::NOT_FOUND, answer(&page("Not found", "<h1>No mail of this number</h1>"))).into_response(),
    }
}

pub(super) async fn attachment(Shared(state): App, Path((n, index)): Path<(u64, u32)>) -> Response {
    let bytes = state.store.get(n).and_then(|(_, bytes)| bytes);
    let parsed = bytes.as_deref().and_then(|bytes| MessageParser::default().parse(bytes));
    let Some(part) = parsed.as_ref().and_then(|mail| mail.attachment(index)) else {
        return (StatusCode::NOT_FOUND, answer(&page("Not found", "<h1>No such attachment</h1>"))).into_response();
    };
    // Never the type that the mail claims: a browser would show an HTML attachment with our origin.
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file_name(part.attachment_name(), index))),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, part.contents().to_vec()).into_response()
}

/// A name that can break neither the header nor a file system.
fn file_name(given: Option<&str>, index: u32) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
    let name: String = given.unwrap_or_default().chars().map(|c| if keep(c) { c } else { '_' }).take(120).collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { format!("attachment-{index}") } else { name.to_owned() }
}

fn answer(html: &str) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(html.to_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_harmless() {
        assert_eq!(file_name(Some("../a\"\r\nb.pdf"), 0), "_a___b.pdf");
        assert_eq!(file_name(Some("..."), 3), "attachment-3");
        assert_eq!(file_name(None, 1), "attachment-1");
    }
}
