//! What one can ask of the API beside mails: one file a group.

pub(super) mod accounts;
pub(super) mod dead;
pub(super) mod health;
pub(super) mod queue;
