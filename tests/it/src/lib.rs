//! The harness of the tests, the demonstration and the benchmarks: real processes on free loopback ports.
//!
//! Whatever it starts it stops, by its child handle. Nothing in here decides what a test expects.

mod api;
mod collector;
mod dashboard;
mod dns_server;
mod exposition;
mod finder;
mod frozen;
mod gate;
mod http;
mod login;
mod processes;
mod redis_server;
mod rig;
mod splitmix;
mod token;

pub use api::{Answer, Api, client, start_serve};
pub use collector::{Collector, Span};
pub use dashboard::{PageAnswer, Visitor};
pub use dns_server::DnsServer;
pub use exposition::{Exposition, probe_of};
pub use finder::Finder;
pub use frozen::frozen;
pub use gate::Gate;
pub use http::{HttpAnswer, http};
pub use login::{Login, secrets_in};
pub use processes::{Finished, Process, binary, run};
pub use redis_server::{Persistence, RedisServer, redis_program};
pub use rig::{OTHER_SECRET_KEY, Rig, RigOptions, SECRET_KEY, mail_json};
pub use splitmix::Splitmix;
pub use token::access_token;

use std::time::Duration;

/// The bound of everything that must happen: against hanging, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again, with short pauses, until there is an answer.
///
/// # Errors
/// If there is none within `patience`; the text says what was waited for.
pub async fn until<T, F>(what: &str, patience: Duration, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let began = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(began.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
