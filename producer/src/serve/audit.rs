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
        self.note_as(caller, &caller.key.scopes.to_string(), action, subject).await;
    }

    /// The same of something that apps do with their own mail: it is told of whoever may do more than that.
    pub(super) async fn note_operator(&self, caller: &Caller, action: Action, subject: Subject) {
        if caller.key.allows(Scope::Operate) {
            self.note(caller, action, subject).await;
        }
    }

    /// This caller did something in this role.
    pub(crate) async fn note_as(&self, caller: &Caller, role: &str, action: Action, subject: Subject) {
        let actor = Actor::of_key(&caller.key, role);
        if let Err(error) = self.audit.record(&actor, action, &subject, Outcome::Done).await {
            tracing::warn!(action = action.as_str(), subject = %subject, key.id = caller.key_id(), %error,
                "the audit log could not be written");
        }
    }
}
