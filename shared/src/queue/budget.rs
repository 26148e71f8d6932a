//! What an account may still send: its ledger of the last 24 hours beside its limits.
//!
//! The scripts keep it (`lua/limits.lua`); here it is only read.

use serde::{Deserialize, Serialize};

use super::Queue;
use crate::account::{Account, AccountId};
use crate::clock::Millis;
use crate::store::StoreError;

/// The ledger's window (gmail.md, "Limits") and its steps, as in `lua/limits.lua`: a test below compares.
pub(super) const DAY: u64 = 86_400_000;
pub(super) const STEP: u64 = 300_000;
/// How long a proof lasts, as in `lua/limits.lua`.
const PROOF_LASTS: u64 = 900_000;

/// An account's budget of 24 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Messages.
    pub messages: Use,
    /// Recipients.
    pub recipients: Use,
    /// When some of what is used is free again; `None`: nothing is used.
    pub frees_at: Option<Millis>,
    /// Per cent of both limits that only urgent mail may use.
    pub urgent_share: u32,
    /// How fast it may send; `None`: as quickly as mails go.
    pub rate: Option<Rate>,
    /// Whether the account proved lately that it may send; else it is tried with one mail first.
    pub proven: bool,
}

/// How fast an account may send, over the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Mails a second.
    pub per_second: f64,
    /// Mails that may go at once after a pause.
    pub burst: u32,
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

/// A step of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Step {
    since: u64,
    pub(super) messages: u64,
    pub(super) recipients: u64,
}

impl Step {
    /// When it was over.
    pub(super) fn ended(&self) -> Millis {
        Millis(self.since + STEP)
    }

    /// When all of it is older than 24 hours.
    pub(super) fn frees_at(&self) -> Millis {
        Millis(self.since + STEP + DAY)
    }
}

/// The field `state` of an account: numbers in the order of `STATE` in `lua/limits.lua`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) permits: u64,
    proven: u64,
    messages_in_hand: u64,
    recipients_in_hand: u64,
    /// The step under way, with its messages and recipients.
    pub(super) step: Step,
    elsewhere: u64,
    pub(super) rate_used_to: f64,
}

impl State {
    pub(super) fn read(text: Option<&str>) -> Self {
        let words: Vec<&str> = text.unwrap_or_default().split(' ').collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse().ok()).unwrap_or(0);
        Self {
            permits: number(0),
            proven: number(2),
            messages_in_hand: number(4),
            recipients_in_hand: number(5),
            step: Step { since: number(9), messages: number(10), recipients: number(11) },
            elsewhere: number(12),
            rate_used_to: words.get(14).and_then(|word| word.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl Queue {
    /// What an account may still send. `None`: there is no such account.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn budget(&self, id: &AccountId) -> Result<Option<Budget>, StoreError> {
        Ok(self.standing(id).await?.map(|standing| standing.budget))
    }
}

/// `<step>:<messages>:<recipients>`
pub(super) fn read_step(text: &str) -> Option<Step> {
    let mut numbers = text.split(':').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Step { since: next()?, messages: next()?, recipients: next()? })
}

/// An account's budget, by its ledger.
pub(super) fn reckon(account: &Account, state: &State, steps: &[Step], now: Millis) -> Budget {
    let (messages, recipients) = account.budget();
    let counted = || steps.iter().filter(|step| step.frees_at() > now);
    let used = |of: fn(&Step) -> u64| counted().map(of).sum();
    let messages = messages.map(u64::from);
    Budget {
        messages: Use::new(messages, used(|step| step.messages), state.messages_in_hand, state.elsewhere),
        recipients: Use::new(recipients.map(u64::from), used(|step| step.recipients), state.recipients_in_hand, 0),
        frees_at: counted().next().map(Step::frees_at),
        urgent_share: account.urgent_share,
        rate: account.rate.map(|per_second| Rate { per_second, burst: account.burst.unwrap_or(1) }),
        proven: state.proven > 0 && now.0.saturating_sub(state.proven) < PROOF_LASTS,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::settings::ACCOUNT_CONNECTIONS;

    const LIMITS_LUA: &str = include_str!("lua/limits.lua");

    /// What stands in the script between two texts.
    fn between(before: &str, after: &str) -> &'static str {
        let (_, rest) = LIMITS_LUA.split_once(before).unwrap();
        rest.split_once(after).unwrap().0
    }

    #[test]
    fn the_scripts_reckon_with_the_same_numbers() {
        for (name, number) in [("DAY", DAY), ("STEP", STEP), ("PROOF_LASTS", PROOF_LASTS)] {
            assert_eq!(between(&format!("local {name} = "), "\n"), number.to_string(), "{name}");
        }
        assert_eq!(between("redis.call('HGET', CONFIG, 'connections') or '", "'"), ACCOUNT_CONNECTIONS.to_string());
    }

    #[test]
    fn the_scripts_write_the_state_in_the_order_in_which_it_is_read() {
        let names: Vec<&str> =
            between("local STATE = {", "}").split(',').map(|name| name.trim().trim_matches('\'')).collect();
        let place = |name: &str| names.iter().position(|other| *other == name).unwrap() as u64;
        let text: Vec<String> = (0..names.len()).map(|place| place.to_string()).collect();
        let expected = State {
            permits: place("permits"),
            proven: place("proven"),
            messages_in_hand: place("om"),
            recipients_in_hand: place("orc"),
            step: Step { since: place("cs"), messages: place("cm"), recipients: place("cr") },
            elsewhere: place("elsewhere"),
            rate_used_to: place("tat") as f64,
        };
        assert_eq!(State::read(Some(&text.join(" "))), expected);
    }

    #[test]
    fn what_is_older_than_a_day_is_free_again() {
        let now = Millis(10 * DAY);
        let step = |since, messages, recipients| Step { since, messages, recipients };
        let steps = [step(now.0 - DAY - STEP, 5, 50), step(now.0 - DAY, 3, 30), step(now.0, 2, 20)];
        let state = State::read(Some("2 0 0 0 1 4 0 0 0 0 0 0 7 0 0.125"));
        let account = Account { limit: Some(20), ..Account::new("a@example.com".parse().unwrap()) };
        let budget = reckon(&account, &state, &steps, now);
        let expected = Use { limit: Some(20), used: 5, in_hand: 1, elsewhere: 7, left: Some(7) };
        assert_eq!(budget.messages, expected);
        assert_eq!((budget.recipients.used, budget.recipients.left), (50, None));
        assert_eq!((budget.frees_at, budget.proven), (Some(Millis(now.0 + STEP)), false));
        assert_eq!((state.permits, state.rate_used_to), (2, 0.125));
        assert_eq!(read_step("300000:2:20"), Some(step(300_000, 2, 20)));
    }
}
