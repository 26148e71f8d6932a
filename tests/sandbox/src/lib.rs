//! A stand-in for Gmail: SMTP and IMAP with XOAUTH2 over TLS, a token endpoint, scripted faults and a page with the mail it caught.
//! It never sends anything anywhere and never talks to Google; every reply it gives is simulated.
//!
//! | module | job |
//! |---|---|
//! | `config` | what a sandbox starts with, and what may change while it runs |
//! | `tls` | its own certificate authority and server certificate |
//! | `smtp` | the simulated `smtp.gmail.com` |
//! | `imap` | the simulated `imap.gmail.com`, as far as asking Sent goes |
//! | `listen` | what both do with a new connection |
//! | `xoauth2` | the login that both have |
//! | `tokens` | access tokens: issued, expired, revoked |
//! | `faults` | what goes wrong, where and how often |
//! | `store` | the mails it accepted (the accounts' Sent mailboxes) |
//! | `stats` | counters that tests assert on |
//! | `http` | token endpoint, JSON API and the page |
//! | `sandbox` | the handle that starts, steers and stops all of it |

mod config;
mod faults;
mod http;
mod imap;
mod listen;
mod sandbox;
mod smtp;
mod state;
mod stats;
mod store;
mod tls;
mod tokens;
mod xoauth2;

pub use config::{Config, ConfigChange, Keep};
pub use faults::{Action, Fault, FaultView, HttpAnswer, Reply, Stage};
pub use sandbox::Sandbox;
pub use stats::{AccountStats, Stats};
pub use store::{Doubled, Mail, MailFilter, content_hash};
pub use tokens::{CLIENT_ID, CLIENT_SECRET, REFRESH_PREFIX};
