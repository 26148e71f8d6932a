//! What an account may still send: its ledger of the last 24 hours beside its limits.
//!
//! The scripts keep it (`lua/limits.lua`); here it is only read.

use serde::{Deserialize, Serialize};

use super::Queue;
use super::session::wrong;
use crate::account::AccountId;
use crate::clock::Millis;
use crate::store::StoreError;

/// The ledger's window (gmail.md, "Limits") and its steps, as in `lua/limits.lua`.
const DAY: u64 = 86_400_000;
const STEP: u64 = 300_000;
/// How long a proof lasts, as in `lua/limits.lua`.
const PROOF_LASTS: u64 = 900_000;

/// An account's budget of 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Messages.
    pub messages: Use,
    /// Recipients.
    pub recipients: Use,
    /// When some of what is used is free again; `None`: nothing is used.
    pub frees_at: Option<Millis>,
    /// Whether the account proved lately that it may send; else it is tried with one mail first.
    pub proven: bool,
}

/// What is used of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// The limit; `None`: there is none.
    pub limit: Option<u64>,
    /// Sent in the last 24 hours.
    pub used: u64,
    /// With workers now.
    pub in_hand: u64,
    /// Counted by Gmail besides, as its refusal showed.
    pub elsewhere: u64,
    /// What may still go; `None`: any number.
    pub left: Option<u64>,
}

impl Use {
    fn new(limit: Option<u64>, used: u64, in_hand: u64, elsewhere: u64) -> Self {
        let left = limit.map(|limit| limit.saturating_sub(used + in_hand + elsewhere));
        Self { limit, used, in_hand, elsewhere, left }
    }
}

/// The field `state` of an account: numbers in the order of `STATE` in `lua/limits.lua`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) permits: u64,
    proven: u64,
    messages_in_hand: u64,
    recipients_in_hand: u64,
    /// The step under way, with its messages and recipients.
    step: (u64, u64, u64),
    elsewhere: u64,
}

impl State {
    pub(super) fn read(text: Option<&str>) -> Self {
        let numbers: Vec<u64> = text.unwrap_or_default().split(' ').map(|word| word.parse().unwrap_or(0)).collect();
        let number = |place: usize| numbers.get(place).copied().unwrap_or(0);
        Self {
            permits: number(0),
            proven: number(2),
            messages_in_hand: number(4),
            recipients_in_hand: number(5),
            step: (number(9), number(10), number(11)),
            elsewhere: number(12),
        }
    }
}

impl Queue {
    /// What an account may still send. `None`: there is no such account.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn budget(&self, id: &AccountId) -> Result<Option<Budget>, StoreError> {
        let keys = self.store.keys_of(id);
        let (fields, steps): (Vec<Option<String>>, Vec<String>) = redis::pipe()
            .cmd("HMGET")
            .arg(keys.account(id))
            .arg(&["kind", "lm", "lr", "state"])
            .cmd("LRANGE")
            .arg(keys.ledger(id))
            .arg(0)
            .arg(-1)
            .query_async(&mut self.store.connection())
            .await?;
        let [kind, messages, recipients, state] =
            <[Option<String>; 4]>::try_from(fields).map_err(|_| wrong("an account without its fields"))?;
        if kind.is_none() {
            return Ok(None);
        }
        let now = Millis::now();
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let state = State::read(state.as_deref());
        let steps: Vec<_> = steps.iter().filter_map(|step| read_step(step)).chain([state.step]).collect();
        Ok(Some(reckon(number(messages), number(recipients), &state, &steps, now)))
    }
}

/// `<step>:<messages>:<recipients>`
fn read_step(text: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = text.split(':').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn reckon(
    messages: Option<u64>,
    recipients: Option<u64>,
    state: &State,
    steps: &[(u64, u64, u64)],
    now: Millis,
) -> Budget {
    let counted = || steps.iter().filter(|(step, ..)| step + STEP + DAY > now.0);
    let used = |of: fn(&(u64, u64, u64)) -> u64| counted().map(of).sum();
    Budget {
        messages: Use::new(messages, used(|step| step.1), state.messages_in_hand, state.elsewhere),
        recipients: Use::new(recipients, used(|step| step.2), state.recipients_in_hand, 0),
        frees_at: counted().next().map(|(step, ..)| Millis(step + STEP + DAY)),
        proven: state.proven > 0 && now.0.saturating_sub(state.proven) < PROOF_LASTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_day_is_free_again() {
        let now = Millis(10 * DAY);
        let steps = [(now.0 - DAY - STEP, 5, 50), (now.0 - DAY, 3, 30), (now.0, 2, 20)];
        let state = State::read(Some("2 0 0 0 1 4 0 0 0 0 0 0 7 0 0.000"));
        let budget = reckon(Some(20), None, &state, &steps, now);
        let expected = Use { limit: Some(20), used: 5, in_hand: 1, elsewhere: 7, left: Some(7) };
        assert_eq!(budget.messages, expected);
        assert_eq!((budget.recipients.used, budget.recipients.left), (50, None));
        assert_eq!((budget.frees_at, budget.proven), (Some(Millis(now.0 + STEP)), false));
        assert_eq!(state.permits, 2);
    }
}
