//! Telling the audit log what a key changed.
//!
//! What was done stays done if the log cannot be written; then it stands in the process's own log.

use postroom_shared::api_keys::Scope;
use postroom_shared::audit::{Action, Actor, Outcome, Subject};

use super::app::App;
use super::auth::Caller;

impl App {
    /// This caller did something to something.
    pub(super) async fn note(&self, caller: &Caller, action: Action, subject: Subject) {
        let actor = Actor::of_key(&caller.key, caller.key.scopes.to_string());
        if let Err(error) = self.audit.record(&actor, action, &subject, Outcome::Done).await {
            tracing::warn!(action = action.as_str(), subject = %subject, key.id = caller.key_id(), %error,
                "the audit log could not be written");
        }
    }

    /// The same of something that apps do with their own mail: it is told of whoever may do more than that.
    pub(super) async fn note_operator(&self, caller: &Caller, action: Action, subject: Subject) {
        if caller.key.allows(Scope::Admin) {
            self.note(caller, action, subject).await;
        }
    }
}
