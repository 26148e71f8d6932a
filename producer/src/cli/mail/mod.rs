//! `postroom mail`: where is my mail, and cancelling.

mod show;

use clap::Subcommand;
use postroom::{AccountId, Cancelled, MailId, MailState, MailStatus};
use postroom_shared::queue::ListFilter;

use super::output::{Out, complain};
use super::table::Table;
use super::values::{account_id, mail_id, quiet};
use super::{Context, Failure};

const LIST_HELP: &str = "\
Looks at the newest 50,000 mails.

Examples:
  postroom mail list --state retry
  postroom mail list --account shop@example.com --limit 500 --json";

/// Mails.
#[derive(Subcommand)]
pub(crate) enum Mail {
    /// One mail: its state, its recipients, and all that happened to it
    Show {
        /// The id that `send` printed
        #[arg(value_name = "ID", value_parser = quiet(mail_id))]
        id: MailId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// The newest mails
    #[command(after_help = LIST_HELP)]
    List {
        /// Only mails in this state: scheduled, ready, sending, retry, sent, dead, cancelled or discarded
        #[arg(long)]
        state: Option<MailState>,
        /// Only mails of this account
        #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
        account: Option<AccountId>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Cancel mails that no worker has yet
    Cancel {
        /// The ids that `send` printed
        #[arg(value_name = "ID", required = true, value_parser = quiet(mail_id))]
        ids: Vec<MailId>,
    },
}

pub(crate) async fn run(command: Mail, context: &mut Context) -> Result<(), Failure> {
    match command {
        Mail::Show { id, json } => {
            let Some(status) = context.client.status(id).await? else {
                return Err(Failure::failed(
                    "there is no such mail (any more): what is done is kept for POSTROOM_RETENTION; see `postroom mail list`",
                ));
            };
            if json { context.out.json(&status) } else { show::print(&status, &mut context.out) }
        }
        Mail::List { state, account, limit, json } => {
            let found = context.queue().list(&ListFilter { state, account, limit }).await?;
            if json { context.out.json(&found) } else { print_list(&found, &mut context.out) }
        }
        Mail::Cancel { ids } => cancel(&ids, context).await,
    }
}

async fn cancel(ids: &[MailId], context: &mut Context) -> Result<(), Failure> {
    let mut failed = false;
    for id in ids {
        let why = match context.client.cancel(*id).await {
            Ok(Cancelled::Done) => {
                context.out.line(format!("{id} cancelled"))?;
                continue;
            }
            Ok(Cancelled::TooLate(state)) => format!("it could not be cancelled: its state is {}", state.as_str()),
            Ok(Cancelled::Unknown) => "there is no such mail (any more)".to_owned(),
            Err(error) => error.to_string(),
        };
        failed = true;
        complain(format!("{id}: {why}"));
    }
    if failed { Err(Failure::Told) } else { Ok(()) }
}

/// Mails in columns.
pub(super) fn print_list(found: &[MailStatus], out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&["ID", "STATE", "REASON", "ATTEMPTS", "AT", "ACCOUNT", "TO", "SUBJECT"]);
    for status in found {
        table.row([
            status.id.to_string(),
            status.state.as_str().to_owned(),
            status.reason.map_or("-", postroom::Reason::as_str).to_owned(),
            status.attempts.to_string(),
            status.at.to_string(),
            status.account.reveal().to_owned(),
            recipients(status),
            status.subject.clone().unwrap_or_default(),
        ]);
    }
    table.print(out, "")
}

/// `ann@example.org +2`
fn recipients(status: &MailStatus) -> String {
    match status.recipients.as_slice() {
        [] => "-".to_owned(),
        [one] => one.address.reveal().to_owned(),
        [first, others @ ..] => format!("{} +{}", first.address.reveal(), others.len()),
    }
}
