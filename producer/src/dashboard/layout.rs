//! The frame of every page: head, the way to the other pages, search, and what the last action came to.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

use super::assets::{HTMX, ICON, LIVE, STYLE};
use super::audit;
use super::told::Told;
use super::visitor::{Role, Visitor};

/// htmx without what the content security policy forbids: styles and scripts of its own, and other servers.
const HTMX_CONFIG: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,"historyCacheSize":0}"#;

/// The pages that one gets to from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Mails,
    Dead,
    Accounts,
    Templates,
    Workers,
    Keys,
    Audit,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Overview, "/dashboard", "Overview"),
        (Self::Mails, "/dashboard/mails", "Mails"),
        (Self::Dead, "/dashboard/dead", "Dead letters"),
        (Self::Accounts, "/dashboard/accounts", "Accounts"),
        (Self::Templates, "/dashboard/templates", "Templates"),
        (Self::Workers, "/dashboard/workers", "Workers"),
        (Self::Keys, "/dashboard/keys", "Keys"),
        (Self::Audit, "/dashboard/audit", "Audit"),
    ];

    fn is_for(self, visitor: &Visitor) -> bool {
        match self {
            Self::Keys => visitor.role >= Role::Admin,
            Self::Audit => audit::is_for(visitor),
            Self::Overview | Self::Mails | Self::Dead | Self::Accounts | Self::Templates | Self::Workers => true,
        }
    }
}

/// A page that is to be framed.
pub(super) struct Page<'a> {
    pub(super) visitor: &'a Visitor,
    pub(super) tab: Tab,
    pub(super) title: &'a str,
    /// What its stream of events tells, as a query; `None`: it has none.
    pub(super) live: Option<String>,
    /// What the last action came to.
    pub(super) told: Option<Told>,
    pub(super) body: Markup,
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn html(self) -> Html<String> {
        let live = self.live.as_ref().map(|query| format!("/dashboard/events?{query}"));
        let body = html! {
            (top(self.visitor, self.tab))
            main #main tabindex="-1" {
                @if let Some(told) = &self.told {
                    p.notice.bad[told.is_bad()] role="status" { (told.sentence()) }
                }
                p.notice #news hidden { "The queue has changed since this page was made. " a href="" { "Show it as it is now" } }
                (self.body)
            }
            footer {
                span { "Postroom " (env!("CARGO_PKG_VERSION")) }
                @if live.is_some() { span #live role="status" { "not live" } }
                span { kbd { "/" } " searches" }
            }
        };
        Html(document(self.title, live.as_deref(), &body).into_string())
    }
}

fn top(visitor: &Visitor, current: Tab) -> Markup {
    html! {
        a.skip href="#main" { "Skip to the content" }
        header.top {
            a.brand href="/dashboard" { img src=(ICON) alt="" width="22" height="22"; "Postroom" }
            nav aria-label="Pages" {
                @for (tab, path, words) in Tab::ALL {
                    @if tab.is_for(visitor) {
                        a href=(path) aria-current=[(tab == current).then_some("page")] {
                            (words)
                            @if tab == Tab::Dead { span.badge data-number="dead" {} }
                        }
                    }
                }
            }
            form.search role="search" method="get" action="/dashboard/mails" {
                label.hidden for="q" { "Find a mail" }
                input #q type="search" name="q" placeholder="Find a mail: id, key, recipient, tag…" spellcheck="false"
                    autocomplete="off";
            }
            form.who method="post" action="/dashboard/logout" {
                span title={ "Logged in with the key " (visitor.caller.key.name) } {
                    (visitor.role.as_str())
                    @if visitor.read_only { ", read-only" }
                }
                button type="submit" { "Log out" }
            }
        }
    }
}

/// A page without a frame, for whoever is not logged in or lost.
pub(super) fn bare(title: &str, body: &Markup) -> Markup {
    document(title, None, body)
}

fn document(title: &str, live: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                meta name="htmx-config" content=(HTMX_CONFIG);
                title { (title) " · Postroom" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE);
                script src=(HTMX) defer {}
                script src=(LIVE) defer {}
            }
            body data-events=[live] { (body) }
        }
    }
}
