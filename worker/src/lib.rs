//! The worker: claims mails, sends them through Gmail's SMTP, decides and settles.
//!
//! The way of one mail, read downwards: [`turns`] claim it, [`backend`] hands it to apalis, [`layers`] guard it,
//! [`handler`] sends it over a connection of [`lanes`], [`verdict`] says what the reply means, [`next_step`] what
//! follows, [`holder`] holds the account if need be, and [`turns`] store the mail's end. [`program`] starts it all.
//! Nothing in here ever meets the producer.

pub mod attempt_trace;
pub mod attempted;
pub mod backend;
pub mod begins;
pub mod by_shard;
pub mod doubt;
pub mod flight;
pub mod handler;
pub mod holder;
pub mod keeper;
pub mod lanes;
pub mod layers;
pub mod login;
pub mod next_step;
pub mod pace;
pub mod probes;
pub mod program;
pub mod retry;
pub mod run;
pub mod sent;
pub mod settings;
pub mod split;
pub mod stand_in;
pub mod turns;
pub mod verdict;

pub use run::run;
