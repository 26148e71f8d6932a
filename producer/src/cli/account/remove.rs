//! `postroom account remove`: says what it costs before it does it.

use postroom::{AccountId, MailState};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::queue::ListFilter;
use postroom_shared::tokens::credentials;

use crate::cli::queue::waiting;
use crate::cli::{Context, Failure, prompt};

/// Mails that wait for a time are counted up to here.
const COUNTED: usize = 10_000;

pub(super) async fn run(id: &AccountId, yes: bool, context: &mut Context) -> Result<(), Failure> {
    let known = context.queue().account(id).await?.is_some();
    let (now, later) = if known { cost(id, context).await? } else { (0, 0) };
    let costs = now > 0 || later > 0;
    if costs {
        prompt::confirm(&format!("{now} mails become dead letters at once, {later} when they are due"), yes)?;
    }
    // First the account, so that no worker finds one without credentials. Both are safe to repeat.
    context.queue().remove_account(id).await?;
    credentials::remove(context.queue().store(), id).await?;
    if !known {
        return Err(Failure::failed("there is no such account: see `postroom account list`"));
    }
    context.note(Action::AccountRemove, Subject::Account(id.clone())).await;
    let cost = costs.then(|| format!("; {now} mails are dead letters, {later} will be when due"));
    context.out.line(format!("{} removed{}", id.reveal(), cost.unwrap_or_default()))
}

/// Mails that wait for their turn, and mails that wait for a time.
async fn cost(id: &AccountId, context: &Context) -> Result<(u64, usize), Failure> {
    let stats = context.queue().stats().await?;
    let now = stats.lanes.iter().find(|lane| lane.account.id == *id).map_or(0, |lane| waiting(lane).iter().sum());
    let mut later = 0;
    for state in [MailState::Scheduled, MailState::Retry] {
        let filter = ListFilter { state: Some(state), account: Some(id.clone()), limit: COUNTED };
        later += context.queue().list(&filter).await?.len();
    }
    Ok((now, later))
}
