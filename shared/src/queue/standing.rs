//! How an account stands: its holds, its budget, its rate, what waits in its lane and who works, read in one go.
//!
//! The scripts keep all of it (`lua/limits.lua`); here it is only read.

use std::collections::HashMap;

use super::Queue;
use super::accounts::read_account;
use super::budget::{Budget, DAY, STEP, State, Step, read_step, reckon};
use crate::account::{Account, AccountId};
use crate::clock::Millis;
use crate::mail::Priority;
use crate::settings::ACCOUNT_CONNECTIONS;
use crate::store::StoreError;

/// All that is known of an account and its lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The account, with its holds.
    pub account: Account,
    /// Its budget.
    pub budget: Budget,
    /// Entries waiting in its lane: urgent, normal, bulk.
    pub waiting: [u64; 3],
    /// Permits (connections) that workers hold now.
    pub permits: u64,
    /// Connections it may have at once.
    pub connections: u32,
    /// Workers with a living session.
    pub workers: u64,
    /// About when it delivered last, as far as its ledger goes back; `None`: not in the last day.
    pub last_delivery: Option<Millis>,
    pub(super) steps: Vec<Step>,
    /// Up to when its rate is used up, as a GCRA (`tat` in `lua/limits.lua`).
    pub(super) rate_used_to: f64,
}

/// Places in a limit of 24 hours, in the order in which they are free: now, then as what was sent grows old.
pub(super) struct Slots {
    /// How many there are in all.
    capacity: u64,
    /// How many are free now.
    left: u64,
    /// Then: from when, and how many.
    then: Vec<(Millis, u64)>,
}

impl Slots {
    /// When the mail at a place (counted from 1) finds a free one; `None`: there is none at any time.
    pub(super) fn nth(&self, place: u64, now: Millis) -> Option<Millis> {
        if self.capacity == 0 {
            return None;
        }
        // A place that is taken now is free again a day later.
        let rounds = (place - 1) / self.capacity;
        let mut wanted = (place - 1) % self.capacity;
        let mut at = now;
        if wanted >= self.left {
            wanted -= self.left;
            at = now.after_millis(DAY + STEP);
            for (when, count) in &self.then {
                if wanted < *count {
                    at = *when;
                    break;
                }
                wanted -= count;
            }
        }
        Some(at.after_millis(rounds.saturating_mul(DAY + STEP)))
    }
}

impl Standing {
    /// An account as it stands, from what is stored of it.
    pub(super) fn new(account: Account, state: &State, steps: Vec<Step>, now: Millis) -> Self {
        let budget = reckon(&account, state, &steps, now);
        let permits = state.permits;
        let last_delivery = steps.iter().filter(|step| step.messages > 0).map(Step::ended).max();
        let steps = steps.into_iter().filter(|step| step.frees_at() > now).collect();
        let connections = account.connections.unwrap_or(ACCOUNT_CONNECTIONS);
        let rate_used_to = state.rate_used_to;
        Self { account, budget, waiting: [0; 3], permits, connections, workers: 0, last_delivery, steps, rate_used_to }
    }

    /// The places for messages, of which a share in per cent is not for this mail; `None`: there is no limit.
    pub(super) fn messages(&self, share: u32) -> Option<Slots> {
        let counted = &self.budget.messages;
        // As in the scripts: what Gmail counted besides counts only while the account is proven.
        let elsewhere = if self.budget.proven { counted.elsewhere } else { 0 };
        self.slots(counted.limit?, share, counted.in_hand + elsewhere, |step| step.messages)
    }

    /// As [`Standing::messages`], for recipients.
    pub(super) fn recipients(&self, share: u32) -> Option<Slots> {
        let counted = &self.budget.recipients;
        self.slots(counted.limit?, share, counted.in_hand, |step| step.recipients)
    }

    fn slots(&self, limit: u64, share: u32, taken: u64, of: fn(&Step) -> u64) -> Option<Slots> {
        let capacity = limit - limit * u64::from(share) / 100;
        let used: u64 = self.steps.iter().map(of).sum::<u64>() + taken;
        // Where more is used than this mail's share has, the first that are free again are not for it.
        let mut over = used.saturating_sub(capacity);
        let mut then = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let skipped = of(step).min(over);
            over -= skipped;
            then.push((step.frees_at(), of(step) - skipped));
        }
        Some(Slots { capacity, left: capacity.saturating_sub(used), then })
    }

    /// When the mail at a place (counted from 1) may go by the account's rate, if all of them go from `from` on.
    pub(super) fn paced(&self, rate: f64, place: u64, from: Millis) -> Millis {
        let burst = f64::from(self.account.burst.unwrap_or(1).max(1));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds and places are far below 2^52")]
        let (start, place) = (from.0 as f64, place as f64);
        let used_to = self.rate_used_to.max(start - burst * 1_000.0 / rate);
        let at = (used_to + place * 1_000.0 / rate).max(start);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time, not negative")]
        Millis(at as u64)
    }

    /// Mails of the account that go before a mail of this priority that comes now.
    #[must_use]
    pub fn ahead(&self, priority: Priority) -> u64 {
        let [urgent, normal, bulk] = self.waiting;
        match priority {
            Priority::Urgent => urgent,
            Priority::Normal => urgent + normal,
            Priority::Bulk => urgent + normal + bulk,
        }
    }

    /// As [`Standing::ahead`], for a mail at a place of its lane, counted from 0; `None`: at its end.
    pub(super) fn ahead_at(&self, priority: Priority, place: Option<u64>) -> u64 {
        let [urgent, normal, bulk] = self.waiting;
        let (before, lane) = match priority {
            Priority::Urgent => (0, urgent),
            Priority::Normal => (urgent, normal),
            Priority::Bulk => (urgent + normal, bulk),
        };
        before + place.unwrap_or(lane.saturating_sub(1))
    }
}

impl Queue {
    /// How an account stands. `None`: there is no such account.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn standing(&self, id: &AccountId) -> Result<Option<Standing>, StoreError> {
        let (keys, now) = (self.store.keys_of(id), Millis::now());
        let mut pipe = redis::pipe();
        pipe.cmd("HGETALL").arg(keys.account(id));
        pipe.cmd("LRANGE").arg(keys.ledger(id)).arg(0).arg(-1);
        pipe.cmd("HGET").arg(keys.config()).arg("connections");
        pipe.cmd("ZCOUNT").arg(keys.sessions()).arg(now.0).arg("+inf");
        for priority in Priority::ALL {
            pipe.cmd("LLEN").arg(keys.lane(id, priority.letter()));
        }
        type Rows = (HashMap<String, String>, Vec<String>, Option<u32>, u64, u64, u64, u64);
        let rows: Rows = pipe.query_async(&mut self.store.connection()).await?;
        let (fields, steps, connections, workers, urgent, normal, bulk) = rows;
        if !fields.contains_key("kind") {
            return Ok(None);
        }
        let account = read_account(id.clone(), &fields)?;
        let connections = account.connections.or(connections).unwrap_or(ACCOUNT_CONNECTIONS);
        let connections = account.fewer.map_or(connections, |(fewer, _)| fewer.min(connections));
        let state = State::read(fields.get("state").map(String::as_str));
        let steps = steps.iter().filter_map(|step| read_step(step)).chain([state.step]).collect();
        let standing = Standing::new(account, &state, steps, now);
        Ok(Some(Standing { waiting: [urgent, normal, bulk], connections, workers, ..standing }))
    }
}
