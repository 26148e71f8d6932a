//! The dashboard as a person sees it, in a real browser: `make test-dashboard`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what failed by failing")]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

#[path = "../browser/driver.rs"]
mod driver;
mod hostile;
mod stage;
mod walk;
mod window;
