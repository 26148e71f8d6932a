//! The queue: accounts are lanes, and work that cannot be sent now is never handed out.
//!
//! The structures are told in [`crate::store::keys`], what is done to them in `lua/`. Each file here is one thing one
//! can ask of the queue. Nothing here knows what a reply means or when a mail is tried again.

mod accounts;
mod budget;
mod change;
mod claim;
mod dead;
mod figures;
mod find;
mod head;
mod index;
mod job;
mod list;
mod mails;
mod outlook;
mod outlooks;
mod pack;
mod page;
mod pools;
mod push;
mod request;
mod session;
mod settle;
mod standing;
mod stats;
mod timeline;
mod told;
mod turn;
mod workers;

use std::sync::Arc;

use crate::settings::{LimitSettings, RedisSettings};
use crate::store::{Script, Store, StoreError};

pub use accounts::{AccountError, Finding, Held};
pub use budget::{Budget, Rate, Use};
pub use change::{RescheduleError, ViaError};
pub use claim::{Begun, Claim, ClaimAnswer, Claimed, Doubt, Recipients, Records};
pub use dead::{DeadFilter, DeadList, DeadSummary, DeadWalk, TagFilter};
pub use figures::{AccountFigures, QueueFigures};
pub use find::FindQuery;
pub use job::{Job, JobError, RecipientKind};
pub use list::ListFilter;
pub use mails::{MailState, MailStatus, RecipientFate};
pub use outlook::{Outlook, Waiting, Why, outlook};
pub use outlooks::Place;
pub use page::{MOST_ON_PAGE, Page, PageQuery};
pub use pools::Pooled;
pub use push::{NewJob, PushError, Pushed};
pub use session::{Beat, SessionId, Wake};
pub use settle::{Outcome, Settled, Settlement};
pub use standing::Standing;
pub use stats::{LaneStats, QueueStats};
pub use timeline::{Attempt, Event, What};
pub use turn::{MOST_ENDS, Turn, TurnAnswer};
pub use workers::Worker;

/// The queue in Redis. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    limits: LimitSettings,
    scripts: Arc<Scripts>,
}

/// Every script of the queue, ready to be called by its hash.
struct Scripts {
    push: Script,
    turn: Script,
    session: Script,
    account: Script,
    login: Script,
    progress: Script,
    change: Script,
    figures: Script,
}

impl Scripts {
    fn new() -> Self {
        let [index, lib] = [include_str!("lua/index.lua"), include_str!("lua/lib.lua")];
        let limits = include_str!("lua/limits.lua");
        let [pools, lanes] = [include_str!("lua/pools.lua"), include_str!("lua/lanes.lua")];
        let sweep = include_str!("lua/sweep.lua");
        let with_lib = |parts: &[&str]| Script::new(&[&[index, lib, limits, pools, lanes], parts].concat());
        Self {
            // Redis makes every function of a script anew at each call: no script has parts that it does not use.
            push: with_lib(&[include_str!("lua/push.lua")]),
            turn: with_lib(&[
                sweep,
                include_str!("lua/settle.lua"),
                include_str!("lua/claim.lua"),
                include_str!("lua/turn.lua"),
            ]),
            session: with_lib(&[sweep, include_str!("lua/session.lua")]),
            account: with_lib(&[include_str!("lua/account.lua")]),
            login: with_lib(&[include_str!("lua/login.lua")]),
            progress: Script::new(&[include_str!("lua/progress.lua")]),
            change: with_lib(&[sweep, include_str!("lua/change.lua")]),
            figures: with_lib(&[include_str!("lua/figures.lua")]),
        }
    }
}

impl Queue {
    /// Connects to Redis.
    ///
    /// # Errors
    /// If Redis is not reached or its number of shards is another one.
    pub async fn connect(redis: &RedisSettings, limits: LimitSettings) -> Result<Self, StoreError> {
        Ok(Self::new(Store::connect(redis).await?, limits))
    }

    /// The queue of a Redis that is connected already.
    #[must_use]
    pub fn new(store: Store, limits: LimitSettings) -> Self {
        Self { store, limits, scripts: Arc::new(Scripts::new()) }
    }

    /// The Redis beneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What a mail may expect when it says nothing itself.
    #[must_use]
    pub fn limits(&self) -> &LimitSettings {
        &self.limits
    }
}
