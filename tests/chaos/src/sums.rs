//! What must hold of the whole: counters, budgets, permits, and what is left in Redis.

use postroom_shared::queue::QueueStats;

use crate::check::Mails;
use crate::drain::Small;
use crate::watch::Seen;
use crate::world::{CAP, SMALL_LIMIT, World};

/// What may stay in Redis without an end, by what follows the shard's prefix (shared/src/store/keys.rs). `later` has the
/// account with the small limit: for the time when a day has gone by.
const STAYS: [&str; 8] = ["account:", "sealed:", "counts", "config", "mails", "dead", "by:sdead:", "later"];

/// Everything that does not hold.
pub(crate) async fn check(world: &World, mails: &Mails, small: &Small, seen: &Seen) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let stats = world.queue().stats().await?;
    counters(mails, &stats, &mut wrong);
    if small.delivered > u64::from(SMALL_LIMIT) {
        wrong.push(format!("{} mails went in 24 hours through a limit of {SMALL_LIMIT}", small.delivered));
    }
    if small.waiting > 0 && small.delivered == 0 {
        wrong.push("mails wait for a limit of which nothing was used".to_owned());
    }
    wrong.extend(
        seen.passed
            .iter()
            .map(|told| format!("{told}, more than {CAP}, and no worker was stopped or cut off from Redis")),
    );
    for account in &world.accounts {
        let Some(budget) = world.queue().budget(account).await? else {
            wrong.push(format!("{account} is gone"));
            continue;
        };
        if budget.messages.in_hand + budget.recipients.in_hand > 0 {
            wrong.push(format!("{account}: {budget:?}, and nothing is in hand"));
        }
        let taken = world.rig.sandbox.stats().account(account.reveal()).mails;
        if budget.messages.used < taken {
            wrong.push(format!("{account}: the ledger has {} mails, the server {taken}", budget.messages.used));
        }
    }
    keys_left(world, &mut wrong).await?;
    Ok(wrong)
}

fn counters(mails: &Mails, stats: &QueueStats, wrong: &mut Vec<String>) {
    let mut same = |what: &str, left: u64, right: u64| {
        if left != right {
            wrong.push(format!("{what}: {left} and {right}"));
        }
    };
    for (state, count) in &stats.states {
        same(
            &format!("{state} by the counter, and by the mails"),
            *count,
            mails.states.get(state.as_str()).copied().unwrap_or(0),
        );
    }
    same("leases lost by the counter, and told in the timelines", stats.leases_lost, mails.taken_back);
    same("mails doubled by the counter, and told in the timelines", stats.doubled, mails.told_doubled);
    same("workers when all have left, and none", stats.workers, 0);
    for lane in &stats.lanes {
        same("permits when all workers have left, and none", lane.permits, 0);
    }
}

/// Keys without an end that nobody needs any more.
async fn keys_left(world: &World, wrong: &mut Vec<String>) -> anyhow::Result<()> {
    let mut connection = world.rig.redis.connection().await?;
    let mut cursor = "0".to_owned();
    let mut kept = Vec::new();
    loop {
        let (next, page): (String, Vec<String>) = world.rig.redis.ask(&["SCAN", &cursor, "COUNT", "1000"]).await?;
        for key in page {
            let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await?;
            if ttl == -1 {
                kept.push(key);
            }
        }
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    for key in kept {
        let Some((_, name)) = key.split_once("}:") else {
            continue;
        };
        if STAYS.iter().any(|stays| name.starts_with(stays)) {
            continue;
        }
        let of_a_mail = ["mail:", "job:", "log:"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let dead = match of_a_mail.and_then(|id| id.parse().ok()) {
            Some(id) => world.client.status(id).await?.is_some_and(|status| status.state == postroom::MailState::Dead),
            None => false,
        };
        if !dead {
            wrong.push(format!("a key without an end is left over: {}", name.split('@').next().unwrap_or_default()));
        }
    }
    Ok(())
}
