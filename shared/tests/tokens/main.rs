//! Access tokens over a real Redis and a token endpoint that counts what it is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fleet;
mod refusals;
mod reseal;
mod sealed;
mod stage;
mod storm;
mod trouble;
