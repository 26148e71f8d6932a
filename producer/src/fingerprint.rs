//! What makes two mails the same: a digest that is stored beside an idempotency key.
//!
//! It is taken from the mail as it was understood, so neither the order of fields in JSON nor the time of handing over
//! counts. `send_at` does not count either: once that time has passed, it cannot be told from "now".

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::{Faults, Mail};
use postroom_shared::message::Message;
use postroom_shared::pool::PoolName;
use sha2::{Digest, Sha256};

use crate::directory::Sender;
use crate::draft::Draft;

/// Later than any `send_at`, so that every Date comes out the same.
const NEVER: Millis = Millis(u64::MAX);

/// The fingerprint of a mail that an account or a pool sends.
pub(crate) fn of(mail: &Mail, sender: &Sender) -> Result<String, Faults> {
    of_sender(mail, sender.as_bytes())
}

/// The fingerprint of a mail as it was given, whoever will send it. One too large to be sent has none.
pub(crate) fn of_given(mail: &Mail) -> String {
    let sender = (mail.account().map(AccountId::reveal), mail.pool().map(PoolName::as_str));
    let key = mail.idempotency_key();
    of_sender(mail, format!("{sender:?} {key:?}").as_bytes()).unwrap_or_default()
}

/// The fingerprint of a request: mails in their order, and whether all of them or none shall be stored.
pub(crate) fn of_request(drafts: &[Draft], all_or_nothing: bool) -> String {
    let given: Vec<Vec<u8>> = drafts.iter().map(Draft::given).collect();
    let mut parts: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
    parts.push(if all_or_nothing { b"all" } else { b"any" });
    digest(&parts)
}

fn of_sender(mail: &Mail, sender: &[u8]) -> Result<String, Faults> {
    let message = Message::freeze(mail, same_id(), NEVER)?;
    let mut parts: Vec<&[u8]> = vec![sender, message.envelope.from.reveal().as_bytes()];
    parts.extend(message.envelope.recipients.iter().map(|address| address.reveal().as_bytes()));
    parts.push(b"tags");
    for tag in mail.tags() {
        parts.push(tag.name.as_bytes());
        parts.push(tag.value.as_bytes());
    }
    let ttl = mail.ttl().map_or(0, |ttl| ttl.as_millis()).to_be_bytes();
    parts.extend([mail.priority().as_str().as_bytes(), &ttl, &message.bytes]);
    Ok(digest(&parts))
}

/// Each part is closed by its length, so that parts cannot run together.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update((part.len() as u64).to_be_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The id under which every mail is frozen for its fingerprint: Message-ID and MIME boundaries come from it.
#[expect(clippy::expect_used, reason = "parses a constant")]
fn same_id() -> MailId {
    "00000000-0000-7000-8000-000000000000".parse().expect("a constant id")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn print_at(json: &str, now: Millis) -> String {
        let mail = Mail::from_json_bytes(json.as_bytes(), now).unwrap();
        of(&mail, &Sender::Account("shop@example.com".parse().unwrap())).unwrap()
    }

    fn print(json: &str) -> String {
        print_at(json, NOW)
    }

    #[test]
    fn the_same_mail_has_the_same_fingerprint() {
        let one = print(
            r#"{"from":"shop@example.com","to":["a@x.org"],"text":"hi","html":"<p>hi","headers":{"X-A":"1","X-B":"2"}}"#,
        );
        let other = print(
            r#"{"headers":{"X-B":"2","X-A":"1"},"html":"<p>hi","text":"hi","to":"a@x.org","from":"shop@example.com"}"#,
        );
        assert_eq!(one, other);
        let later = r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","send_at":1800000060}"#;
        assert_eq!(print_at(later, NOW), print_at(later, NOW.after(std::time::Duration::from_secs(90))));
    }

    #[test]
    fn another_mail_has_another() {
        let table = [
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi"}"#,
            r#"{"from":"shop@example.com","to":"b@x.org","text":"hi"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","bcc":"b@x.org","text":"hi"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","bcc":"c@x.org","text":"hi"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"ho"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","subject":"s"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","priority":"bulk"}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","ttl":60}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","tags":["t"]}"#,
            r#"{"from":"shop@example.com","to":"a@x.org","text":"hi","attachments":[{"filename":"a","content":""}]}"#,
        ];
        let prints: std::collections::HashSet<String> = table.iter().map(|json| print(json)).collect();
        assert_eq!(prints.len(), table.len());
        let mail = Mail::from_json_bytes(table[0].as_bytes(), NOW).unwrap();
        assert!(!prints.contains(&of(&mail, &Sender::Account("news@example.com".parse().unwrap())).unwrap()));
    }
}
