//! A mail as the server should have it: frozen a second time, with the time that its id tells.

use postroom::{Mail, MailId, NewMail};
use postroom_shared::message::Message;

/// Freezes a mail again as it was frozen when it was handed over and got this id: the bytes are the same.
///
/// # Errors
/// If it is none that the door would take.
pub fn frozen(mail: &NewMail, id: MailId) -> anyhow::Result<Message> {
    let frozen_at = id.made_at();
    let mail = Mail::from_json(&mail.to_json(), frozen_at).map_err(|faults| anyhow::anyhow!("{faults}"))?;
    Message::freeze(&mail, id, frozen_at).map_err(|faults| anyhow::anyhow!("{faults}"))
}
