//! What somebody types to find a mail: which of a mail's marks it is, if they do not say.

use std::sync::Arc;

use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{FindQuery, MailState, Page, PageQuery, Queue};
use postroom_shared::reason::Reason;

use super::form::Form;
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::watch::Snapshot;

/// Mails on a page.
const ON_PAGE: usize = 50;

/// What may be looked for, each with its word in a query and its name.
pub(super) const KINDS: [(&str, &str); 6] = [
    ("", "any of its marks"),
    ("id", "its id"),
    ("key", "its idempotency key"),
    ("message-id", "its Message-ID"),
    ("recipient", "a recipient"),
    ("tag", "a tag"),
];

/// What was found.
pub(super) enum Found {
    /// This very mail.
    One(MailId),
    /// A page of mails.
    Page(Page),
}

/// What is asked for.
pub(super) struct Asked {
    text: Option<String>,
    kind: String,
    pub(super) state: Option<MailState>,
    pub(super) reason: Option<Reason>,
    /// The hash of an account.
    pub(super) account: Option<String>,
    page: PageQuery,
}

impl Asked {
    pub(super) fn read(form: &Form, visitor: &Visitor, snapshot: &Snapshot) -> Result<Self, Trouble> {
        let id = |name| {
            form.get(name)
                .map(str::parse::<MailId>)
                .transpose()
                .map_err(|_| Trouble::invalid("The page's place is no mail's id."))
        };
        let state = form.get("state").map(str::parse::<MailState>).transpose().map_err(Trouble::invalid)?;
        let account = form.get("account").map(|hash| named(hash, visitor, snapshot)).transpose()?;
        let accounts = visitor.caller.narrowed_to(account).map_err(Trouble::from)?;
        Ok(Self {
            text: form.get("q").map(str::to_owned),
            kind: form.get("by").unwrap_or_default().to_owned(),
            state,
            reason: form.get("reason").map(str::parse::<Reason>).transpose().map_err(Trouble::invalid)?,
            account: form.get("account").map(str::to_owned),
            page: PageQuery { limit: ON_PAGE, after: id("after")?, before: id("before")?, state, accounts },
        })
    }

    /// Whether anything narrows the listing.
    pub(super) fn is_narrow(&self) -> bool {
        self.text.is_some() || self.state.is_some() || self.reason.is_some() || self.account.is_some()
    }

    pub(super) async fn find(&self, queue: &Queue) -> Result<Found, Trouble> {
        let Some(text) = self.text.as_deref() else {
            return Ok(Found::Page(queue.find(&self.query()).await?));
        };
        if let ("" | "id", Ok(id)) = (self.kind.as_str(), text.parse::<MailId>()) {
            return Ok(Found::One(id));
        }
        let mut last = Page::default();
        for query in self.queries(text)? {
            last = queue.find(&query).await?;
            if !last.mails.is_empty() {
                break;
            }
        }
        Ok(Found::Page(last))
    }

    fn query(&self) -> FindQuery {
        FindQuery { page: self.page.clone(), reason: self.reason, ..FindQuery::default() }
    }

    /// What the text may mean, the likeliest first.
    fn queries(&self, text: &str) -> Result<Vec<FindQuery>, Trouble> {
        let any = self.kind.is_empty();
        let is = |kind: &str| any || self.kind == kind;
        let mut queries = Vec::new();
        let recipient = text.parse().ok();
        if is("recipient") && recipient.is_some() {
            queries.push(FindQuery { recipient, ..self.query() });
        }
        if self.kind == "message-id" || (any && text.contains('@')) {
            queries.push(FindQuery { message_id: Some(text.to_owned()), ..self.query() });
        }
        if is("key") {
            queries.push(FindQuery { idempotency_key: Some(text.to_owned()), ..self.query() });
        }
        let tag = text.parse().ok();
        if is("tag") && tag.is_some() && !text.contains('@') {
            queries.push(FindQuery { tag, ..self.query() });
        }
        if queries.is_empty() {
            return Err(Trouble::invalid("What you look for does not have the form of what you chose."));
        }
        Ok(queries)
    }
}

/// The account of a hash, if the visitor may know of it.
pub(super) fn named(hash: &str, visitor: &Visitor, snapshot: &Snapshot) -> Result<AccountId, Trouble> {
    let account = snapshot.standing(hash).map(|standing| standing.account.id.clone());
    account.filter(|account| visitor.caller.sees_mail_of(account)).ok_or_else(|| Trouble::missing("account"))
}

/// A mail that the visitor may see.
pub(super) async fn mail(
    dashboard: &Arc<super::Dashboard>,
    visitor: &Visitor,
    id: &str,
) -> Result<postroom_shared::queue::MailStatus, Trouble> {
    let missing = || Trouble::missing("mail");
    let id: MailId = id.parse().map_err(|_| missing())?;
    let status = dashboard.app.client.status(id).await?.ok_or_else(missing)?;
    // A mail of somebody else's is as good as none.
    if visitor.caller.sees_mail(&status) { Ok(status) } else { Err(missing()) }
}
