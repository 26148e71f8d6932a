//! Finding mails by their marks, among the newest: the branch `search` has indexes in place of this file, with the same interface.

use super::dead::TagFilter;
use super::mails::MailStatus;
use super::page::MOST_ON_PAGE;
use super::{Page, PageQuery, Queue};
use crate::address::Address;
use crate::reason::Reason;
use crate::store::StoreError;

/// Mails that are looked at, the newest.
const LOOKED_AT: usize = 2_000;

/// Which mails: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct FindQuery {
    /// Which page, in which state, of which accounts.
    pub page: PageQuery,
    /// Only mails with this `Message-ID`.
    pub message_id: Option<String>,
    /// Only the mail that was handed over with this idempotency key: none is found here.
    pub idempotency_key: Option<String>,
    /// Only mails to this recipient.
    pub recipient: Option<Address>,
    /// Only mails with this tag.
    pub tag: Option<TagFilter>,
    /// Only mails that wait or died for this reason.
    pub reason: Option<Reason>,
}

impl FindQuery {
    fn is_page(&self) -> bool {
        let marks = [self.message_id.is_some(), self.idempotency_key.is_some(), self.recipient.is_some()];
        !marks.contains(&true) && self.tag.is_none() && self.reason.is_none()
    }

    fn fits(&self, mail: &MailStatus) -> bool {
        let is_to = |wanted: &Address| {
            mail.recipients.iter().any(|one| one.address.reveal().eq_ignore_ascii_case(wanted.reveal()))
        };
        let has = |wanted: &TagFilter| {
            let is = |value: &String| wanted.value.as_ref().is_none_or(|wanted| wanted == value);
            mail.tags.iter().any(|tag| tag.name == wanted.name && is(&tag.value))
        };
        self.idempotency_key.is_none()
            && self.message_id.as_ref().is_none_or(|id| mail.message_id.as_ref() == Some(id))
            && self.recipient.as_ref().is_none_or(is_to)
            && self.tag.as_ref().is_none_or(has)
            && self.reason.is_none_or(|reason| mail.reason == Some(reason))
    }
}

impl Queue {
    /// One page of the mails that fit, the newest first.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn find(&self, query: &FindQuery) -> Result<Page, StoreError> {
        if query.is_page() {
            return self.page(&query.page).await;
        }
        let mut found = Page::default();
        let mut asked = PageQuery { limit: MOST_ON_PAGE, ..query.page.clone() };
        let mut looked = 0;
        while looked < LOOKED_AT && found.mails.len() < query.page.limit {
            let page = self.page(&asked).await?;
            looked += page.mails.len();
            found.mails.extend(page.mails.into_iter().filter(|mail| query.fits(mail)));
            asked.after = page.next;
            if !page.has_more {
                break;
            }
        }
        found.mails.truncate(query.page.limit);
        Ok(found)
    }
}
