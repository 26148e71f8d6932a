//! Which dead letters a command means: its options, made into a filter of the queue.

use std::time::Duration;

use clap::Args;
use postroom::{AccountId, Millis, Reason};
use postroom_shared::queue::{DeadFilter, TagFilter};

use crate::cli::Failure;
use crate::cli::values::{account_id, domain, quiet, span};

/// Which dead letters are meant: those that fit all that is given.
#[derive(Args)]
pub(crate) struct Filter {
    /// Only those that died of this, such as recipient or expired
    #[arg(long)]
    reason: Option<Reason>,
    /// Only those of this account
    #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
    account: Option<AccountId>,
    /// Only those that died at least so long ago
    #[arg(long, value_name = "SPAN", value_parser = quiet(span))]
    older_than: Option<Duration>,
    /// Only those that died at most so long ago
    #[arg(long, value_name = "SPAN", value_parser = quiet(span))]
    newer_than: Option<Duration>,
    /// Only those that a recipient at this domain did not get
    #[arg(long, value_name = "DOMAIN", value_parser = quiet(domain))]
    domain: Option<String>,
    /// Only those with this tag: its name, or name=value
    #[arg(long, value_name = "TAG")]
    tag: Option<TagFilter>,
    /// At most so many, the newest [default: 50 for list, else all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Filter {
    /// The filter as the queue understands it, with a limit if none was given. Ages are counted from now.
    pub(super) fn read(&self, limit: usize) -> Result<DeadFilter, Failure> {
        if let (Some(older), Some(newer)) = (self.older_than, self.newer_than)
            && older >= newer
        {
            return Err(Failure::Misused(
                "nothing is older than --older-than and newer than --newer-than: make --newer-than the longer span"
                    .to_owned(),
            ));
        }
        let now = Millis::now();
        let ago = |span: Duration| Millis(now.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
        Ok(DeadFilter {
            reason: self.reason,
            account: self.account.clone(),
            died_from: self.newer_than.map(ago),
            died_until: self.older_than.map(ago),
            domain: self.domain.clone(),
            tag: self.tag.clone(),
            limit: self.limit.unwrap_or(limit),
        })
    }
}
