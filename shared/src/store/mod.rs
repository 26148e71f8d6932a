//! Redis: the connection, and the one file in which every key is named.

mod connection;
mod eviction;
pub mod keys;
mod script;
mod vitals;
mod wait;

pub use connection::{Store, StoreError};
pub use script::Script;
pub use vitals::{Told, Vitals};
pub use wait::pauses;
