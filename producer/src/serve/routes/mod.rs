//! What one can ask of the API beside mails: one file a group.

pub(super) mod accounts;
pub(super) mod dead;
pub(super) mod health;
mod key_shapes;
pub(super) mod keys;
pub(super) mod queue;
mod template_shapes;
pub(super) mod templates;
