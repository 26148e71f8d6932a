//! The values that a mail is found by, as they stand in Redis: a letter for the kind and the hash of the value. No address ever
//! stands in the name of a key.
//!
//! A hash may stand for two values, as short as it is: whoever finds a mail by one looks at the mail itself.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::dead::TagFilter;
use super::push::NewJob;
use crate::clock::Millis;
use crate::id::MailId;
use crate::mail::Tag;
use crate::settings::LimitSettings;

/// A mail's usual way takes its time to live; so much longer counts as usual, too.
const SLACK: Duration = Duration::from_secs(86_400);
/// No value of a mail's hash may be longer, or Redis stores the whole hash in a form that takes several times the room.
const MOST_BYTES: usize = 63;
/// Bytes of a hash: eight characters.
const HASH_BYTES: usize = 6;

/// A value that mails are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A recipient's address.
    Recipient(&'a str),
    /// A tag's name, and its value if that counts.
    Tag(&'a str, Option<&'a str>),
    /// A `Message-ID` that does not tell the mail's id.
    MessageId(&'a str),
}

impl<'a> Value<'a> {
    pub(super) fn of_filter(filter: &'a TagFilter) -> Self {
        Self::Tag(&filter.name, filter.value.as_deref())
    }

    /// Kind and hash: of a mail on its usual way, or of one that is told of for long.
    pub(super) fn field(self, is_long: bool) -> String {
        let (kind, hash) = match self {
            Self::Recipient(address) => ('t', Sha256::digest(address.to_lowercase())),
            Self::Tag(name, None) => ('g', Sha256::digest(name)),
            Self::Tag(name, Some(value)) => ('g', Sha256::digest(format!("{name}={value}"))),
            Self::MessageId(id) => ('m', Sha256::digest(id)),
        };
        let kind = if is_long { kind.to_ascii_uppercase() } else { kind };
        format!("{kind}{}", URL_SAFE_NO_PAD.encode(&hash[..HASH_BYTES]))
    }
}

/// All values of a new mail, one behind the other.
pub(super) fn values_of(new: &NewJob, limits: &LimitSettings, now: Millis) -> String {
    let ttl = new.ttl.unwrap_or(limits.mail_ttl);
    let waits = new.send_at.map_or(Duration::ZERO, |at| at.since(now));
    let write =
        |is_long| all(new).iter().map(|value| value.field(is_long)).collect::<BTreeSet<_>>().into_iter().collect();
    let usual: String = write(false);
    if waits + ttl <= limits.mail_ttl + SLACK && usual.len() <= MOST_BYTES { usual } else { write(true) }
}

fn all(new: &NewJob) -> Vec<Value<'_>> {
    let job = &new.job;
    let mut values: Vec<Value<'_>> = job.recipients.iter().map(|one| Value::Recipient(one.reveal())).collect();
    for Tag { name, value } in &job.tags {
        values.extend([Value::Tag(name, None), Value::Tag(name, Some(value))]);
    }
    if told_by(&job.message_id) != Some(new.id) {
        values.push(Value::MessageId(&job.message_id));
    }
    values
}

/// The mail that a `Message-ID` of ours tells.
pub(super) fn told_by(message_id: &str) -> Option<MailId> {
    message_id.strip_prefix('<')?.split_once('@')?.0.parse().ok()
}

/// How long a value is kept after the last mail of it that goes its usual way, and that is told of for long.
pub(super) fn lives(limits: &LimitSettings, longest_wait: Duration) -> (Duration, Duration) {
    let usual = limits.mail_ttl + limits.retention + 2 * SLACK;
    (usual, longest_wait + limits.dead_retention + limits.retention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_tells_kind_and_value_and_nothing_of_them_in_the_clear() {
        let field = Value::Recipient("Bob@Example.ORG").field(false);
        assert_eq!(field.len(), 9);
        assert_eq!(field, Value::Recipient("bob@example.org").field(false));
        assert_eq!(field[1..], Value::Recipient("bob@example.org").field(true)[1..]);
        assert!(field.starts_with('t') && Value::Recipient("bob@example.org").field(true).starts_with('T'));
        let tags = [Value::Tag("kind", None), Value::Tag("kind", Some("")), Value::Tag("kind", Some("x"))];
        let fields: BTreeSet<String> = tags.iter().map(|tag| tag.field(false)).collect();
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn a_message_id_of_ours_tells_its_mail() {
        let id = MailId::new(3, Millis(1_700_000_000_000));
        assert_eq!(told_by(&format!("<{id}@example.com>")), Some(id));
        for other in ["<1@example.com>", "", "<>", "x@y", &id.to_string()] {
            assert_eq!(told_by(other), None, "{other}");
        }
    }
}
