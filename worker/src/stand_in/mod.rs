//! The stand-in: a simulated Gmail inside the worker, at which test mails end. It sends nothing, stores nothing, and listens
//! nowhere.
//!
//! It speaks SMTP over a pipe in memory, so that a test mail goes through the same dialogue, verdict and settlement as any
//! other. What it answers follows from the recipient's name and the number of the attempt alone: it remembers nothing, for
//! the next attempt may come from another worker. That is why a connection to it is made for one attempt.

mod dialogue;
mod replies;

use std::time::Duration;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reply::Reply;
use postroom_shared::smtp::{Connection, SmtpSettings};
use postroom_shared::tokens::AccessToken;

/// What may lie in the pipe in each direction.
const ROOM: usize = 64 * 1024;
/// Nobody asked for it and it opens nothing: the dialogue has a place for one.
const NO_TOKEN: &str = "test-mode";

/// A connection to the stand-in for one attempt, counted from 1, logged in.
///
/// # Errors
/// The stand-in's reply if the dialogue does not begin as it should, which would be a fault of Postroom's own.
pub async fn connect(settings: &SmtpSettings, account: &AccountId, attempt: u32) -> Result<Connection, Reply> {
    let (ours, theirs) = tokio::io::duplex(ROOM);
    // Ends when our end of the pipe is closed.
    tokio::spawn(dialogue::answer(theirs, attempt));
    let now = Millis::now();
    let token = AccessToken::new(NO_TOKEN.to_owned().into(), now, now.after(Duration::from_secs(3_600)), 0);
    Connection::start(ours, None, settings, account, &token).await
}
