//! How many commands Redis ran: those that clients asked for, and those inside scripts.

use std::collections::BTreeMap;

/// Commands that no script calls: whoever sent one was a client.
const ASKED: &[&str] = &[
    "evalsha",
    "eval",
    "script|load",
    "subscribe",
    "ping",
    "hello",
    "auth",
    "select",
    "client|setinfo",
    "client|setname",
];
/// What only the bench asks.
const OURS: &[&str] = &["info"];

/// Counts of commands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    /// By clients.
    pub(crate) asked: u64,
    /// Inside scripts.
    pub(crate) inside: u64,
}

impl Commands {
    /// From `INFO commandstats`, without `polls` commands of the bench itself.
    pub(crate) fn read(calls: &BTreeMap<String, u64>, polls: u64) -> Self {
        let mut commands = Self::default();
        for (name, calls) in calls {
            if ASKED.contains(&name.as_str()) {
                commands.asked += calls;
            } else if !OURS.contains(&name.as_str()) {
                commands.inside += calls;
            }
        }
        commands.inside = commands.inside.saturating_sub(polls);
        commands
    }

    /// What came after `earlier`.
    pub(crate) fn since(self, earlier: &Self) -> Self {
        Self { asked: self.asked.saturating_sub(earlier.asked), inside: self.inside.saturating_sub(earlier.inside) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_clients_are_told_apart() {
        let calls =
            [("evalsha", 3), ("hset", 10), ("info", 2), ("zcard", 5)].map(|(name, calls)| (name.to_owned(), calls));
        let commands = Commands::read(&calls.into(), 4);
        assert_eq!(commands, Commands { asked: 3, inside: 11 });
        assert_eq!(commands.since(&Commands { asked: 1, inside: 1 }), Commands { asked: 2, inside: 10 });
    }
}
