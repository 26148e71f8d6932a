//! `postroom mail`: where is my mail, cancelling, and another time for it.

mod find;
mod show;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use postroom::{AccountId, Cancelled, MailId, MailState, MailStatus, Millis, Rescheduled};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::queue::ListFilter;

use super::output::{Out, complain};
use super::table::Table;
use super::values::{account_id, mail_id, quiet, send_time};
use super::{Context, Failure};

pub(super) use show::goes;

const SHOW_HELP: &str = "\
Examples:
  postroom mail show 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10
  postroom mail show 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10 --raw --output mail.eml";

const LIST_HELP: &str = "\
Looks at the newest 50,000 mails.

Examples:
  postroom mail list --state retry
  postroom mail list --account shop@example.com --limit 500 --json";

const RESCHEDULE_HELP: &str = "\
How long it is tried stays the same: its deadline moves with its time. A mail
that was tried already cannot be moved.

Examples:
  postroom mail reschedule 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10 2027-01-31T09:00:00+01:00
  postroom mail reschedule 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10 'tomorrow at 9am Europe/Berlin'";

/// Mails.
#[derive(Subcommand)]
pub(crate) enum Mail {
    /// One mail: its state, its recipients, and all that happened to it; or its bytes
    #[command(after_help = SHOW_HELP)]
    Show {
        /// The id that `send` printed
        #[arg(value_name = "ID", value_parser = quiet(mail_id))]
        id: MailId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Print the message itself (.eml), byte for byte, of a mail that is not done or is a dead letter
        #[arg(long, conflicts_with = "json")]
        raw: bool,
        /// With --raw: write it to this file, not to standard output
        #[arg(long, value_name = "FILE", requires = "raw")]
        output: Option<PathBuf>,
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
    /// Mails by recipient, tag, reason, state, Message-ID or idempotency key
    #[command(after_help = find::HELP)]
    Find(find::Find),
    /// Cancel mails that no worker has yet
    Cancel {
        /// The ids that `send` printed
        #[arg(value_name = "ID", required = true, value_parser = quiet(mail_id))]
        ids: Vec<MailId>,
    },
    /// Give a mail that no worker has yet another time
    #[command(after_help = RESCHEDULE_HELP)]
    Reschedule {
        /// The id that `send` printed
        #[arg(value_name = "ID", value_parser = quiet(mail_id))]
        id: MailId,
        /// When it shall go, at most 30 days ahead: RFC 3339, or words such as 'in 2 hours' (UTC unless a zone is
        /// named); a time that has passed means now
        #[arg(value_name = "TIME", value_parser = quiet(send_time))]
        time: Millis,
    },
}

pub(crate) async fn run(command: Mail, context: &mut Context) -> Result<(), Failure> {
    match command {
        Mail::Show { id, raw: true, output, .. } => show_raw(id, output.as_deref(), context).await,
        Mail::Show { id, json, .. } => {
            let Some(status) = context.client.status(id).await? else { return Err(unknown()) };
            if json { context.out.json(&status) } else { show::print(&status, &mut context.out) }
        }
        Mail::List { state, account, limit, json } => {
            let found = context.queue().list(&ListFilter { state, account, limit }).await?;
            if json { context.out.json(&found) } else { print_list(&found, &mut context.out) }
        }
        Mail::Find(wanted) => find::run(wanted, context).await,
        Mail::Cancel { ids } => cancel(&ids, context).await,
        Mail::Reschedule { id, time } => reschedule(id, time, context).await,
    }
}

fn unknown() -> Failure {
    Failure::failed(
        "there is no such mail (any more): what is done is kept for POSTROOM_RETENTION; see `postroom mail list`",
    )
}

/// The message, byte for byte. A file is for its owner alone: mail is private.
async fn show_raw(id: MailId, output: Option<&Path>, context: &mut Context) -> Result<(), Failure> {
    let Some(bytes) = context.queue().mail_bytes(id).await? else {
        let Some(status) = context.client.status(id).await? else { return Err(unknown()) };
        return Err(Failure::Failed(format!(
            "its bytes are gone, for it is {}: they are kept only while a mail waits and in a dead letter",
            status.state.as_str()
        )));
    };
    let Some(path) = output else { return context.out.bytes(&bytes) };
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(&bytes));
    written.map_err(|error| Failure::Failed(format!("{} could not be written: {error}", path.display())))
}

async fn cancel(ids: &[MailId], context: &mut Context) -> Result<(), Failure> {
    let mut failed = false;
    for id in ids {
        let why = match context.client.cancel(*id).await {
            Ok(Cancelled::Done) => {
                context.note(Action::MailCancel, Subject::Mail(*id)).await;
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

async fn reschedule(id: MailId, time: Millis, context: &mut Context) -> Result<(), Failure> {
    let answer = context.client.reschedule(id, time).await.map_err(|error| Failure::Failed(error.to_string()))?;
    match answer {
        Rescheduled::Done => {
            context.note(Action::MailReschedule, Subject::Mail(id)).await;
            context.out.line(format!("{id} goes at {time}"))
        }
        Rescheduled::TooLate(MailState::Retry) => {
            Err(Failure::failed("it could not be rescheduled: it was tried already; see `postroom mail show`"))
        }
        Rescheduled::TooLate(state) => {
            Err(Failure::Failed(format!("it could not be rescheduled: its state is {}", state.as_str())))
        }
        Rescheduled::Unknown => Err(unknown()),
    }
}

/// Mails in columns.
pub(super) fn print_list(found: &[MailStatus], out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&["ID", "STATE", "REASON", "ATTEMPTS", "AT", "ACCOUNT", "TO", "SUBJECT"]);
    for status in found {
        table.row([
            status.id.to_string(),
            format!("{}{}", status.state.as_str(), if status.test { " (test)" } else { "" }),
            format!(
                "{}{}",
                status.reason.map_or("-", postroom::Reason::as_str),
                if status.may_double { " (!)" } else { "" }
            ),
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
