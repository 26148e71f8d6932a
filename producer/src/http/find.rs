//! A search for mails as a request, and its answer as a page.

use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{FindQuery, MailState, MailStatus, Page};
use postroom_shared::reason::Reason;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::answer::Answer;
use crate::client::Error;

#[derive(Deserialize)]
struct Found {
    has_more: bool,
    next: Option<MailId>,
    data: Vec<MailStatus>,
}

/// The path with all that is asked.
pub(super) fn path_of(query: &FindQuery) -> Result<String, Error> {
    let account = match query.page.accounts.as_deref() {
        None => None,
        Some([one]) => Some(one),
        Some(_) => {
            let why =
                "over HTTP a search is for the mails of one account, or of all that the key may see: name one or none";
            return Err(Error::Wrong(why.to_owned()));
        }
    };
    let tag = query.tag.as_ref().map(|tag| match &tag.value {
        Some(value) => format!("{}={value}", tag.name),
        None => tag.name.clone(),
    });
    // Where both are given, `after` wins.
    let before = query.page.before.filter(|_| query.page.after.is_none());
    let mut written = Serializer::new(String::new());
    written.append_pair("limit", &query.page.limit.clamp(1, 100).to_string());
    for (name, value) in [
        ("after", query.page.after.map(|id| id.to_string())),
        ("before", before.map(|id| id.to_string())),
        ("state", query.page.state.map(MailState::as_str).map(str::to_owned)),
        ("account", account.map(AccountId::reveal).map(str::to_owned)),
        ("recipient", query.recipient.as_ref().map(|address| address.reveal().to_owned())),
        ("tag", tag),
        ("reason", query.reason.map(Reason::as_str).map(str::to_owned)),
        ("message_id", query.message_id.clone()),
        ("idempotency_key", query.idempotency_key.clone()),
    ] {
        if let Some(value) = value {
            written.append_pair(name, &value);
        }
    }
    Ok(format!("/emails/statuses?{}", written.finish()))
}

/// The page in an answer.
pub(super) fn page_in(answer: &Answer) -> Option<Page> {
    let Found { has_more, next, data } = answer.document()?;
    Some(Page { mails: data, has_more, next })
}

#[cfg(test)]
mod tests {
    use postroom_shared::queue::PageQuery;

    use super::*;

    #[test]
    fn a_search_is_written_as_a_query() {
        let page = PageQuery { limit: 7, state: Some(MailState::Dead), ..PageQuery::default() };
        let query = FindQuery {
            page,
            recipient: Some("a+b@example.org".parse().unwrap()),
            tag: Some("kind=welcome".parse().unwrap()),
            reason: Some(Reason::Recipient),
            ..FindQuery::default()
        };
        let expected =
            "/emails/statuses?limit=7&state=dead&recipient=a%2Bb%40example.org&tag=kind%3Dwelcome&reason=recipient";
        assert_eq!(path_of(&query).unwrap(), expected);
    }

    #[test]
    fn several_accounts_are_refused() {
        let accounts = Some(vec!["a@example.com".parse().unwrap(), "b@example.com".parse().unwrap()]);
        let page = PageQuery { accounts, ..PageQuery::default() };
        assert!(path_of(&FindQuery { page, ..FindQuery::default() }).is_err());
    }
}
