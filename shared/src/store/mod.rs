//! Redis: the connection, and the one file in which every key is named.

mod connection;
pub mod keys;
mod script;

pub use connection::{Store, StoreError};
pub use script::Script;
