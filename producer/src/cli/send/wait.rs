//! `--wait`: until each mail is sent or dead.

use std::time::Duration;

use postroom::{DirectClient, MailId, MailState, MailStatus, Place, Sent};

use super::report::Told;
use crate::cli::Failure;
use crate::cli::output::{Out, complain};

/// How long to wait before looking whether the account is held.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for all of them, in their order; fails if one was not sent.
pub(super) async fn all(waiting: &[Sent], json: bool, out: &mut Out, client: &DirectClient) -> Result<(), Failure> {
    let mut unsent = 0_u64;
    for sent in waiting {
        let Some(status) = until_final(sent.id, client).await? else {
            unsent += 1;
            complain(format!("{}: nothing is known of it any more", sent.id));
            continue;
        };
        if json {
            out.json_line(&told(sent, &status))?;
            out.flush()?;
        }
        if status.state != MailState::Sent {
            unsent += 1;
            complain(format!("{}: {}; see `postroom mail show {0}`", sent.id, how(&status)));
        }
    }
    match unsent {
        0 => Ok(()),
        unsent => Err(Failure::Failed(format!("{unsent} of {} mails were not sent", waiting.len()))),
    }
}

/// Says once why a mail has to wait for a person.
async fn until_final(id: MailId, client: &DirectClient) -> Result<Option<MailStatus>, Failure> {
    let mut said = false;
    loop {
        let status = client.wait(id, PATIENCE).await?;
        let Some(waiting) = status.as_ref().filter(|status| !status.state.is_final()) else { return Ok(status) };
        if let (false, Some(hold)) = (said, &waiting.held) {
            said = true;
            complain(format!("{id}: still waits, its account is held: {}", hold.reason.help()));
        }
    }
}

fn told(sent: &Sent, status: &MailStatus) -> Told {
    let (account, outlook) = (status.account.clone(), status.outlook.clone());
    let stands = Place { account, state: status.state, reason: status.reason, outlook };
    Told::new(*sent, Some(stands))
}

fn how(status: &MailStatus) -> String {
    let why = status.reason.map(|reason| format!(" ({}: {})", reason.as_str(), reason.help()));
    format!("{}{}", status.state.as_str(), why.unwrap_or_default())
}
