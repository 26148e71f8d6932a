//! In which shard a mail of a pool goes: it can be sent only by accounts of its own shard, for its id names the shard.
//!
//! With one shard, which is the default, there is nothing to choose.

use std::collections::BTreeMap;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::{Faults, Mail};
use postroom_shared::message::{Message, root_of};
use postroom_shared::queue::Queue;

use crate::directory::Directory;

/// Those of the accounts that lie in the shard chosen for a mail.
pub(crate) fn choose(
    mail: &Mail,
    key: Option<&str>,
    accounts: Vec<AccountId>,
    directory: &Directory,
    queue: &Queue,
    now: Millis,
) -> Result<Vec<AccountId>, Faults> {
    let store = queue.store();
    let Some(first) = accounts.first().filter(|_| store.shards() > 1) else { return Ok(accounts) };
    let probe = Message::freeze(mail, queue.new_id(first, now), now)?;
    let mut groups: BTreeMap<u16, Vec<AccountId>> = BTreeMap::new();
    for account in accounts {
        groups.entry(store.shard_of(&account)).or_default().push(account);
    }
    // The same key must find the same shard again, for that is where it is remembered.
    if let Some(key) = key {
        return Ok(by_hash(key, &groups).and_then(|shard| groups.remove(&shard)).unwrap_or_default());
    }
    Ok(pick(groups, root_of(&probe.bytes).as_deref(), |account| directory.left(account)))
}

/// The shard of the thread if its accounts have anything left, else the one whose accounts have most left together.
fn pick(
    mut groups: BTreeMap<u16, Vec<AccountId>>,
    root: Option<&str>,
    left: impl Fn(&AccountId) -> u64,
) -> Vec<AccountId> {
    let sum = |accounts: &Vec<AccountId>| accounts.iter().map(&left).fold(0, u64::saturating_add);
    let of_thread = root.and_then(|root| shard_of_thread(root, &groups)).filter(|shard| sum(&groups[shard]) > 0);
    let most = || groups.iter().max_by_key(|(_, accounts)| sum(accounts)).map(|(shard, _)| *shard);
    of_thread.or_else(most).and_then(|shard| groups.remove(&shard)).unwrap_or_default()
}

/// A thread that one of our own mails began is in that mail's shard; for any other, a hash of its root decides, so that all
/// of it meets in one shard.
fn shard_of_thread(root: &str, groups: &BTreeMap<u16, Vec<AccountId>>) -> Option<u16> {
    let ours = root.trim_start_matches('<').split('@').next().and_then(|id| id.parse::<MailId>().ok());
    if let Some(shard) = ours.map(MailId::shard) {
        return groups.contains_key(&shard).then_some(shard);
    }
    by_hash(root, groups)
}

fn by_hash(text: &str, groups: &BTreeMap<u16, Vec<AccountId>>) -> Option<u16> {
    let hash = text.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
    groups.keys().nth(hash.checked_rem(groups.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(names: &[&str]) -> Vec<AccountId> {
        names.iter().map(|name| format!("{name}@example.com").parse().unwrap()).collect()
    }

    #[test]
    fn the_thread_decides_then_what_is_left() {
        let groups = || BTreeMap::from([(0, group(&["a", "b"])), (2, group(&["c"])), (3, group(&["d"]))]);
        let left = |account: &AccountId| match account.reveal() {
            "a@example.com" | "b@example.com" => 60,
            "c@example.com" => 100,
            _ => 0,
        };
        let ours = |shard| format!("<{}@example.com>", MailId::new(shard, Millis(1_800_000_000_000)));
        let table = [
            (None, group(&["a", "b"])),
            (Some(ours(2)), group(&["c"])),
            (Some(ours(0)), group(&["a", "b"])),
            // Nobody there can send, or nobody is there.
            (Some(ours(3)), group(&["a", "b"])),
            (Some(ours(1)), group(&["a", "b"])),
        ];
        for (root, expected) in table {
            assert_eq!(pick(groups(), root.as_deref(), left), expected, "{root:?}");
        }
        let chosen: Vec<_> = (0..9).map(|_| pick(groups(), Some("<x@elsewhere.example>"), |_| 1)).collect();
        assert!(chosen.iter().all(|one| *one == chosen[0]), "a thread meets in one shard");
    }
}
