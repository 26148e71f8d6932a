//! What the whole fleet counted of one account's tokens, and how the account stands with the token endpoint.
//!
//! The token scripts count on their own way, so that no figure costs a call; here they are only read.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::figures::{RefreshFailure, RefreshReason, TokenFigures};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::store::{Store, StoreError};

/// An account's tokens in the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct FleetFigures {
    /// Since when it is counted; `None`: nothing ever happened, or not within 90 days.
    pub since: Option<Millis>,
    /// What was counted.
    #[serde(flatten)]
    pub figures: TokenFigures,
    /// When a token was fetched last.
    pub refreshed: Option<Millis>,
    /// When a refresh failed last.
    pub failed: Option<Millis>,
    /// What it failed with.
    pub failed_with: Option<String>,
    /// Refreshes that failed since the last one that did not.
    pub failed_in_a_row: u64,
    /// When the token that the fleet shares ends, if there is one.
    pub token_ends: Option<Millis>,
    /// For so many seconds nobody asks the token endpoint for this account: it failed lately.
    pub rests_s: u64,
}

impl FleetFigures {
    /// Reads them.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn read(store: &Store, account: &AccountId) -> Result<Self, StoreError> {
        let keys = store.keys_of(account);
        let (counted, ends, rest): (HashMap<String, String>, Option<u64>, i64) = redis::pipe()
            .hgetall(keys.token_figures(account))
            .hget(keys.token(account), "expires")
            .pttl(keys.token_rest(account))
            .query_async(&mut store.connection())
            .await?;
        let rest = Duration::from_millis(u64::try_from(rest).unwrap_or_default());
        Ok(Self {
            token_ends: ends.map(Millis),
            rests_s: rest.as_millis().div_ceil(1_000) as u64,
            ..Self::of(&counted)
        })
    }

    fn of(counted: &HashMap<String, String>) -> Self {
        let number = |field: &str| counted.get(field).and_then(|text| text.parse().ok());
        let count = |field: &str| number(field).unwrap_or_default();
        Self {
            since: number("since").map(Millis),
            figures: TokenFigures {
                refreshes: RefreshReason::ALL.map(|it| (it, count(&format!("refresh:{}", it.as_str())))).into(),
                failures: RefreshFailure::ALL.map(|it| (it, count(&format!("failure:{}", it.as_str())))).into(),
                waits: count("waits"),
                lock_losses: count("lock_losses"),
            },
            refreshed: number("refreshed").map(Millis),
            failed: number("failed").map(Millis),
            failed_with: counted.get("failed_with").cloned(),
            failed_in_a_row: count("in_a_row"),
            token_ends: None,
            rests_s: 0,
        }
    }
}
