//! The table at the end of a run.

use std::time::Duration;

use crate::check::Mails;
use crate::drain::Small;
use crate::leaks::Searched;
use crate::out::say;
use crate::watch::Seen;
use crate::world::{CAP, SMALL_LIMIT, World};

/// Violations that are told one by one.
const TOLD: usize = 12;

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) mails: Mails,
    pub(crate) small: Small,
    pub(crate) seen: Seen,
    pub(crate) searched: Searched,
    pub(crate) violations: Vec<String>,
    pub(crate) faults: u64,
    pub(crate) injected: Duration,
    pub(crate) whole: Duration,
}

fn row(what: &str, count: impl ToString, note: &str) {
    let line = format!("{what:<36}{:>9}   {note}", count.to_string());
    say(line.trim_end());
}

/// Prints it.
pub(crate) fn print(world: &World, outcome: &Outcome, accepted: usize) {
    let Outcome { mails, small, seen, searched, .. } = outcome;
    say("");
    row("faults of the schedule", outcome.faults, &format!("in {:.0} s", outcome.injected.as_secs_f64()));
    for (what, count) in world.tally() {
        row(&format!("  {what}"), count, "");
    }
    row("  refused for good", world.refused_for_good(), "recipients 550 5.1.1, mails 552 5.7.0");
    row("mails accepted", accepted, "");
    row("sent", mails.sent, &format!("{} of them found in Sent after an uncertain end", mails.found));
    let why: Vec<String> = mails.dead.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    row("dead", mails.dead.values().sum::<u64>(), &why.join(", "));
    let why: Vec<String> = mails.doubled.iter().map(|(why, count)| format!("{count}: {why}")).collect();
    row("doubled, by the server", mails.doubled.values().sum::<u64>(), &why.join(", "));
    row("lost", mails.lost, "");
    row("attempts", mails.attempts, &format!("{} leases lost", mails.taken_back));
    let most = format!(
        "the cap is {CAP}; {} with those of a worker that was stopped or cut off from Redis",
        seen.most_with_stopped
    );
    row("connections at once", seen.most, &most);
    let limit = format!("of a limit of {SMALL_LIMIT}; {} waited, and went when it was lifted", small.waiting);
    row("sent through the small limit", small.delivered, &limit);
    let mib = |bytes: usize| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let places = format!(
        "in {} of Redis, {} of workers' logs, {} of commands; addresses in the logs",
        mib(searched.redis),
        mib(searched.logs),
        mib(searched.commands)
    );
    row("secrets looked for", searched.secrets, &places);
    row("the whole run", format!("{:.0} s", outcome.whole.as_secs_f64()), "");
    say("");
    if outcome.violations.is_empty() {
        say("Everything holds.");
        return;
    }
    say(&format!("VIOLATED, {} times:", outcome.violations.len()));
    for violation in outcome.violations.iter().take(TOLD) {
        say(&format!("  {violation}"));
    }
    if outcome.violations.len() > TOLD {
        say(&format!("  and {} more", outcome.violations.len() - TOLD));
    }
}
