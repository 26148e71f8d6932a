//! The worker: claims mails, sends them through Gmail's SMTP, decides and settles.
//!
//! The way of one mail, read downwards: [`fetcher`] claims it, [`backend`] hands it to apalis, [`layers`] guard it,
//! [`handler`] sends it over a connection of [`lanes`], [`verdict`] says what the reply means, [`next_step`] what
//! follows, and [`settler`] stores that. Nothing in here ever meets the producer.

pub mod backend;
pub mod begins;
pub mod dial;
pub mod fetcher;
pub mod flight;
pub mod handler;
pub mod keeper;
pub mod lanes;
pub mod layers;
pub mod next_step;
pub mod retry;
pub mod run;
pub mod sent;
pub mod settings;
pub mod settler;
pub mod smtp;
pub mod verdict;
mod xoauth2;

pub use run::run;
