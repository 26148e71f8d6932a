//! `postroom audit`: what was changed by hand, and by whom.

use clap::Args;
use postroom_shared::audit::{Action, Actor, Audit as Log, Entry, MOST_ON_PAGE, Outcome, Subject};

use super::output::complain;
use super::table::Table;
use super::{Context, Failure};

pub(crate) const HELP: &str = "\
The newest 10,000 entries or so are kept. Accounts stand in them by the hash
that logs have of them, which `postroom account show` tells.

Examples:
  postroom audit --limit 20
  postroom audit --json | jq '.[] | select(.action == \"dead.discard\")'";

/// What was changed by hand, the newest first.
#[derive(Args)]
pub(crate) struct Audit {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(wanted: Audit, context: &mut Context) -> Result<(), Failure> {
    let log = Log::new(context.queue().store());
    let (mut entries, mut after): (Vec<Entry>, Option<String>) = (Vec::new(), None);
    while entries.len() < wanted.limit {
        let page = log.page((wanted.limit - entries.len()).min(MOST_ON_PAGE), after.as_deref()).await?;
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if wanted.json {
        return context.out.json(&entries);
    }
    let mut table = Table::new(&["AT", "WHO", "NAME", "ROLE", "ACTION", "SUBJECT", "OUTCOME"]);
    for Entry { at, actor, action, subject, outcome, .. } in entries {
        table.row([at.to_string(), actor.id, actor.name, actor.role, action, subject, outcome]);
    }
    table.print(&mut context.out, "")
}

impl Context {
    /// Tells the audit log what was done. What was done stays done if that fails.
    pub(super) async fn note(&self, action: Action, subject: Subject) {
        let log = Log::new(self.queue().store());
        if let Err(error) = log.record(&Actor::cli(), action, &subject, Outcome::Done).await {
            complain(format!("it was done, but the audit log could not be written: {error}"));
        }
    }
}
