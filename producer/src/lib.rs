//! Postroom's client: hand mail over, ask where it is, cancel it. The worker sends it through Gmail.
//!
//! An app knows Redis, or the address of `postroom serve` and a key, and its own mail, no more. Nothing in here sends a mail, and nothing but [`consent`] needs a Gmail
//! credential or opens an SMTP connection: to find out whether an account can log in.
//!
//! ```no_run
//! use postroom::{Client, NewMail, SendError};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("redis://127.0.0.1:6379").await?; // or "http://:pr_live_…@127.0.0.1:8025"
//! let mail = NewMail {
//!     from: "Shop <shop@example.com>".into(),
//!     to: vec!["ann@example.org".into()],
//!     subject: "Your order 1001".into(),
//!     text: Some("Thank you.".into()),
//!     idempotency_key: Some("order-1001".into()),
//!     ..NewMail::default()
//! };
//! match client.send(mail).await {
//!     Ok(sent) => println!("handed over as {}", sent.id),
//!     Err(SendError::Refused(refusal)) => eprintln!("not a mail that can be sent: {refusal}"),
//!     Err(error) => eprintln!("{error}"), // says whether it may be handed over again
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | read | for |
//! |---|---|
//! | [`client`] | the client itself, and what can go wrong with it |
//! | [`mailer`] | what both ways to Postroom can do: [`direct`] to Redis, or over [`http`] |
//! | [`draft`], [`new_mail`] | the forms in which an app may give a mail |
//! | [`door`] | what happens to a mail before it is stored: parse, choose the account, freeze |
//! | [`directory`] | which account may send as which address, and the pools |
//! | `templates` | what an app's mails are made of, with the feature `templates` |
//! | [`consent`] | logging an account in by a person's consent in a browser |
//! | [`settings`] | what the program `postroom` reads from its surroundings; the client reads nothing |
//! | `program` | that program, with the feature `program` |

// The command line calls what an app may call by the name by which an app does.
#[cfg(feature = "program")]
extern crate self as postroom;

mod batch;
#[cfg(feature = "program")]
mod cli;
pub mod client;
pub mod consent;
#[cfg(feature = "serve")]
mod dashboard;
pub mod direct;
pub mod directory;
#[cfg(feature = "program")]
mod doctor;
pub mod door;
pub mod draft;
mod fingerprint;
pub mod http;
pub mod mailer;
pub mod new_mail;
#[cfg(feature = "program")]
pub mod program;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settings;
mod shards;
mod templated;
#[cfg(feature = "templates")]
pub mod templates;

pub use client::{Cancelled, Client, Error, Rescheduled, SendError, Sent};
pub use direct::DirectClient;
pub use door::Refusal;
pub use draft::Draft;
pub use http::HttpClient;
pub use mailer::Mailer;
pub use new_mail::{NewAttachment, NewMail};
pub use postroom_shared::account::AccountId;
pub use postroom_shared::clock::Millis;
pub use postroom_shared::id::MailId;
pub use postroom_shared::mail::{Fault, Mail, Priority};
pub use postroom_shared::pool::PoolName;
pub use postroom_shared::queue::{
    FindQuery, MailState, MailStatus, Outlook, Page, PageQuery, Place, RescheduleError, TagFilter, Why,
};
pub use postroom_shared::reason::Reason;
/// Why Redis did not do what was asked.
pub use postroom_shared::store::StoreError;
