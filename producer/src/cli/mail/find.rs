//! `postroom mail find`: mails that fit, by index.

use clap::Args;
use postroom::{AccountId, FindQuery, MailId, MailState, PageQuery, Reason, TagFilter};
use postroom_shared::address::Address;
use postroom_shared::queue::MOST_ON_PAGE;

use super::print_list;
use crate::cli::output::complain;
use crate::cli::values::{account_id, mail_id, quiet};
use crate::cli::{Context, Failure};

pub(super) const HELP: &str = "\
All that is given must fit. Each is looked up, however many mails there are;
only mails that are ready or sent are looked for among the newest.

Examples:
  postroom mail find --to ann@example.org
  postroom mail find --tag campaign=june --state dead
  postroom mail find --reason recipient --account shop@example.com
  postroom mail find --idempotency-key order-1001 --json";

/// What is looked for.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Wanted {
    /// Only mails to this address (To, Cc or Bcc)
    #[arg(long = "to", value_name = "ADDRESS", value_parser = quiet(recipient))]
    recipient: Option<Address>,
    /// Only mails with this tag: its name, or name=value
    #[arg(long)]
    tag: Option<TagFilter>,
    /// Only mails that wait for another try, died or ended for this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// Only mails in this state: scheduled, ready, sending, retry, sent, dead, cancelled or discarded
    #[arg(long)]
    state: Option<MailState>,
    /// Only mails with this Message-ID
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Only the mail that was handed over with this key, or those of a batch with it
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// A search.
#[derive(Args)]
pub(crate) struct Find {
    #[command(flatten)]
    wanted: Wanted,
    /// Only mails of this account
    #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
    account: Option<AccountId>,
    /// Only mails that were handed over before this one
    #[arg(long, value_name = "ID", value_parser = quiet(mail_id))]
    after: Option<MailId>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

fn recipient(text: &str) -> Result<Address, String> {
    text.parse().map_err(|_| "not a mail address".to_owned())
}

pub(super) async fn run(find: Find, context: &mut Context) -> Result<(), Failure> {
    let Find { wanted, account, after, limit, json } = find;
    let page = PageQuery { after, state: wanted.state, accounts: account.map(|one| vec![one]), ..PageQuery::default() };
    let mut query = FindQuery {
        page,
        message_id: wanted.message_id,
        idempotency_key: wanted.idempotency_key,
        recipient: wanted.recipient,
        tag: wanted.tag,
        reason: wanted.reason,
    };
    let mut found = Vec::new();
    let mut next = None;
    while found.len() < limit {
        query.page.limit = (limit - found.len()).min(MOST_ON_PAGE);
        let page = context.queue().find(&query).await?;
        found.extend(page.mails);
        next = page.next;
        query.page.after = next;
        if next.is_none() {
            break;
        }
    }
    if json {
        context.out.json(&found)?;
    } else {
        print_list(&found, &mut context.out)?;
    }
    if let Some(next) = next {
        context.out.flush()?;
        complain(format!("there may be more: --after {next}"));
    }
    Ok(())
}
