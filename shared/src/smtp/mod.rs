//! The SMTP dialogue with Gmail: dial, log in with a token, hand over mails, each reply with the stage it answers.
//!
//! Read `transaction` for one mail's way, `connection` for a connection's life. Nothing in here decides what a reply
//! means, retries anything, or logs; and a connection that was left in mid-dialogue is never used again.

mod connection;
mod content;
mod dial;
mod exchange;
mod offers;
mod replies;
mod settings;
mod stream;
mod tally;
mod transaction;

pub use connection::Connection;
pub use dial::Dialer;
pub use offers::Offers;
pub use settings::SmtpSettings;
pub use stream::Transport;
pub use transaction::{End, Envelope, Outcome, Outgoing};
