//! Several mails under one idempotency key.
//!
//! The same key with the same mails has the same answer for 24 hours: after a crash between any two steps, and whichever
//! producer is asked. With other mails it is refused before any of them is stored.

use postroom_shared::mail::Mail;
use postroom_shared::store::StoreError;

use crate::client::{SendError, Sent};
use crate::direct::DirectClient;
use crate::door::Refusal;
use crate::draft::Draft;
use crate::fingerprint;

/// Before the keys of test mode, so that they never meet those of live mails. No app can choose such a key: it has a line end.
const OF_TEST_MODE: &str = "test\n";

impl DirectClient {
    /// Hands several mails over as one request; the answers stand in their order. With a `key`, handing the same mails over
    /// again under it stores nothing twice and has the same ids for an answer; a mail with an idempotency key of its own
    /// keeps that. With `all_or_nothing`, nothing is stored if any of the mails cannot be sent as it is: the others are told
    /// as [`SendError::OthersRefused`]. Else a bad mail does not keep the others.
    ///
    /// # Errors
    /// If none of them was stored, for a reason that concerns all.
    pub async fn send_batch<D: Into<Draft>>(
        &self,
        key: Option<&str>,
        mails: Vec<D>,
        all_or_nothing: bool,
    ) -> Result<Vec<Result<Sent, SendError>>, SendError> {
        let mut drafts: Vec<Draft> = mails.into_iter().map(Into::into).collect();
        let request = match key {
            Some(key) => {
                let mut key = Mail::check_idempotency_key(key).map_err(Refusal::from)?;
                if drafts.iter().any(Draft::is_test) {
                    key.insert_str(0, OF_TEST_MODE);
                }
                Some((key, fingerprint::of_request(&drafts, all_or_nothing)))
            }
            None => None,
        };
        if let Some((key, print)) = &request {
            drafts = drafts.into_iter().enumerate().map(|(place, draft)| draft.in_request(key, print, place)).collect();
        }
        let admitted = self.admit(drafts).await.map_err(|error| SendError::NotStored(error.to_string()))?;
        if all_or_nothing && admitted.iter().any(Result::is_err) {
            return Ok(admitted.into_iter().map(|one| Err(one.err().unwrap_or(SendError::OthersRefused))).collect());
        }
        if let Some((key, print)) = request.filter(|_| admitted.iter().any(Result::is_ok)) {
            match self.queue().claim_request(&key, &print).await {
                Ok(true) => {}
                Ok(false) => return Err(SendError::KeyUsed),
                Err(error @ StoreError::Full(_)) => return Err(SendError::Full(error.to_string())),
                Err(StoreError::Wrong(why)) => return Err(SendError::Wrong(why)),
                // The key may be claimed, but no mail is stored.
                Err(StoreError::NotStored(why) | StoreError::Unknown(why)) => return Err(SendError::NotStored(why)),
            }
        }
        Ok(self.push_admitted(admitted).await)
    }
}
