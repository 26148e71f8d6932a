//! Finding mails by their marks. This is the interface alone, over the listing: the branch `search` has the indexes behind it.

use super::dead::TagFilter;
use super::{Page, PageQuery, Queue};
use crate::address::Address;
use crate::reason::Reason;
use crate::store::StoreError;

/// Which mails: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct FindQuery {
    /// Which page, in which state, of which accounts.
    pub page: PageQuery,
    /// Only mails with this `Message-ID`.
    pub message_id: Option<String>,
    /// Only the mail that was handed over with this idempotency key.
    pub idempotency_key: Option<String>,
    /// Only mails to this recipient.
    pub recipient: Option<Address>,
    /// Only mails with this tag.
    pub tag: Option<TagFilter>,
    /// Only mails that wait or died for this reason.
    pub reason: Option<Reason>,
}

impl Queue {
    /// One page of the mails that fit, the newest first.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn find(&self, query: &FindQuery) -> Result<Page, StoreError> {
        self.page(&query.page).await
    }
}
