//! The protocol of leases, doubts and settlements, as a model that a checker walks through state by state.
//!
//! `redis.rs` is what Redis holds of a mail and what each script does to it; `state.rs` the sessions, their jobs and the
//! world outside; `step.rs` every step that may come next, faults too; `property.rs` what must hold; `progress.rs` that a
//! mail always comes to an end; `check.rs` runs all of it. docs/protocol.md tells it in words.

mod check;
mod config;
mod progress;
mod property;
mod redis;
mod state;
mod step;
mod world;

pub use check::{Verdict, check, shortest};
pub use config::{AtDeadline, Config, Counting, Faults, Flaw, Imap};
pub use progress::{Progress, progress};
pub use property::names;
pub use redis::{Mail, Outcome, Place, Reason};
pub use state::{Copy, Job, Mode, Phase, Session, State, Truth};
pub use step::{Protocol, Step};
