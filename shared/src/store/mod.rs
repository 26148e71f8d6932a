//! Redis: the connection, and the one file in which every key is named.

mod address;
mod confirmed;
mod connection;
mod eviction;
pub mod keys;
mod script;
mod sentinel;
mod vitals;
mod wait;
mod way;

pub use confirmed::{Confirmed, REPLICAS_WANTED};
pub use connection::{Store, StoreError};
pub use script::Script;
pub use vitals::{Told, Vitals};
pub use wait::pauses;
pub use way::Connection;
