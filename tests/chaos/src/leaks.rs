//! What must stand nowhere: no secret in Redis or in any output, no address in the clear in any log.
//!
//! Looks for every access token that the stand-in ever issued, the refresh tokens, the client's secret and the keys that
//! seal, whole or in part, as they are or encoded; in all that Redis keeps and ever wrote, what is compressed in it
//! unpacked; in all that workers wrote, at debug; in what the commands answer and complain of.

use postroom::{AccountId, MailState};
use postroom_it::{Finder, run};

use crate::producer::Accepted;
use crate::world::World;

/// The domain of every address of a run.
const DOMAIN: &str = "@chaos.example";
/// What stands before it where an address is masked.
const MASK: &str = "***";
/// Of each place so much is told.
const TOLD: usize = 5;

/// What was looked through.
#[derive(Default)]
pub(crate) struct Searched {
    /// Secrets that were looked for.
    pub(crate) secrets: usize,
    /// Bytes of what workers wrote.
    pub(crate) logs: usize,
    /// Bytes of what Redis keeps, its history with it, and of the records in it unpacked.
    pub(crate) redis: usize,
    /// Bytes of what commands wrote.
    pub(crate) commands: usize,
    /// What stands where it must not.
    pub(crate) found: Vec<String>,
}

/// Looks through everything, when the workers have ended.
pub(crate) async fn check(world: &World, accepted: &[Accepted]) -> anyhow::Result<Searched> {
    let secrets = world.rig.secrets(world.accounts.iter().map(AccountId::reveal));
    let mut searched = Searched { secrets: secrets.values(), ..Searched::default() };
    let mut addresses = Finder::default();
    for account in &world.accounts {
        addresses.add_encoded("an address", account.reveal().as_bytes());
    }
    let outputs = Outputs { secrets, addresses };
    let logs = world.logs();
    searched.logs = logs.len();
    searched.found.extend(outputs.log("a worker's log", &logs));
    redis(world, accepted, &outputs, &mut searched).await?;
    commands(world, accepted, &outputs, &mut searched).await?;
    Ok(searched)
}

struct Outputs {
    secrets: Finder,
    addresses: Finder,
}

impl Outputs {
    /// What must not stand in a log.
    fn log(&self, place: &str, text: &str) -> Vec<String> {
        let mut found = self.secrets.search(place, text.as_bytes());
        found.extend(self.addresses.search(place, text.as_bytes()));
        let clear = |line: &&str| line.match_indices(DOMAIN).any(|(at, _)| !line[..at].ends_with(MASK));
        let told = text.lines().filter(clear).take(TOLD);
        found.extend(told.map(|line| format!("an address stands in {place}: {line}")));
        found
    }
}

async fn redis(world: &World, accepted: &[Accepted], outputs: &Outputs, searched: &mut Searched) -> anyhow::Result<()> {
    for (name, bytes) in world.rig.redis.files().await? {
        searched.redis += bytes.len();
        searched.found.extend(outputs.secrets.search(&format!("Redis' file {name}"), &bytes));
    }
    for one in accepted {
        let Some(status) = world.client.status(one.id).await? else { continue };
        let mut record = serde_json::to_vec(&status)?;
        if status.state == MailState::Dead {
            record.extend(world.queue().mail_bytes(one.id).await?.unwrap_or_default());
        }
        searched.redis += record.len();
        searched.found.extend(outputs.secrets.search(&format!("the record of {}", one.id), &record));
    }
    Ok(())
}

async fn commands(
    world: &World,
    accepted: &[Accepted],
    outputs: &Outputs,
    searched: &mut Searched,
) -> anyhow::Result<()> {
    let account = world.small().reveal();
    let mail = accepted.first().map(|one| one.id.to_string()).unwrap_or_default();
    let environment = world.rig.with(&[("POSTROOM_LOG", "debug")]);
    for command in [
        &["account", "list"][..],
        &["account", "list", "--json"],
        &["account", "show", account],
        &["account", "show", account, "--json"],
        &["account", "reseal", "--dry-run"],
        &["account", "reseal", "--json"],
        &["mail", "list", "--json", "--limit", "1000"],
        &["mail", "show", &mail],
        &["dead", "list", "--limit", "100"],
        &["dead", "retry", "00000000-0000-7000-8000-000000000000"],
        &["queue", "stats", "--json"],
        &["send", "-"],
    ] {
        let refused = br#"{"from":"nobody@chaos.example","to":["to@chaos.example"],"subject":"x","text":"y"}"#;
        let ran = run("postroom", command, &environment, refused).await?;
        let name = format!("`postroom {}`", command[..2].join(" "));
        searched.commands += ran.stdout.len() + ran.stderr.len();
        searched.found.extend(outputs.secrets.search(&format!("the answer of {name}"), ran.stdout.as_bytes()));
        searched.found.extend(outputs.log(&format!("what {name} complained of"), &ran.stderr));
        if command.contains(&"reseal") && ran.code != Some(0) {
            searched.found.push(format!("{name} failed: {}", ran.stderr));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_clear_are_found_and_masked_ones_are_not() {
        let mut addresses = Finder::default();
        addresses.add_encoded("an address", b"chaos1@chaos.example");
        let outputs = Outputs { secrets: Finder::default(), addresses };
        assert!(outputs.log("a log", "to t***@chaos.example and t***@chaos.example").is_empty());
        for line in ["to to-1@chaos.example", "t***@chaos.example, t@chaos.example", "x=chaos1%40chaos.example"] {
            assert_eq!(outputs.log("a log", &format!("first\n{line}\n")).len(), 1, "{line}");
        }
    }
}
