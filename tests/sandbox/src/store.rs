//! The accepted mails in the order of their acceptance: the simulated accounts' Sent mailboxes.
//! Nothing is written to disk, and nothing stored is ever changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::state::lock;
use crate::stats::Stats;

/// What was recorded of one accepted mail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mail {
    /// Its number, from 1 in the order of acceptance.
    pub n: u64,
    /// The account that was logged in, in lower case.
    pub account: String,
    /// Address of MAIL FROM.
    pub from: String,
    /// The accepted addresses of RCPT TO.
    pub recipients: Vec<String>,
    /// Value of the Message-ID header, with its angle brackets.
    pub message_id: Option<String>,
    /// Bytes of the mail, dots unstuffed.
    pub size: u64,
    /// [`content_hash`] of the mail; 16 hexadecimal digits in JSON.
    #[serde(serialize_with = "as_hex")]
    pub hash: u64,
    /// When the last byte had come: Unix time in milliseconds, with a fraction.
    pub received_ms: f64,
    /// The connection that brought it, from 1.
    pub connection: u64,
    /// Whether it came by BDAT (else by DATA).
    pub chunked: bool,
}

/// Which mails to list. A field that is absent does not restrict.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailFilter {
    /// Logged-in account.
    pub account: Option<String>,
    /// Message-ID, with or without angle brackets.
    pub message_id: Option<String>,
    /// How many matching mails to skip.
    pub offset: Option<usize>,
    /// How many to list at most.
    pub limit: Option<usize>,
}

/// A Message-ID that one recipient got more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubled {
    /// The recipient.
    pub recipient: String,
    /// The Message-ID.
    pub message_id: String,
    /// How often it was accepted for that recipient.
    pub times: u64,
}

/// The hash that is recorded of every mail, to compare with what was sent. Not a cryptographic one.
#[must_use]
pub fn content_hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// A mail as its account's Sent mailbox shows it.
pub(crate) struct Sent {
    pub(crate) uid: u64,
    pub(crate) message_id: Option<String>,
    pub(crate) received_ms: f64,
}

#[derive(Debug)]
struct Stored {
    mail: Mail,
    bytes: Option<Arc<[u8]>>,
}

#[derive(Debug, Default)]
struct Shelf {
    mails: Vec<Arc<Stored>>,
    // By hash of recipient and Message-ID: a benchmark's millions of pairs must stay small.
    pairs: HashMap<u64, u32>,
    doubled: u64,
    without_message_id: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    shelf: Mutex<Shelf>,
    grew: Notify,
}

impl Store {
    /// Stores a mail under the next number, which it answers.
    pub(crate) fn add(&self, mut mail: Mail, bytes: Option<Arc<[u8]>>) -> u64 {
        let pairs: Vec<u64> = match &mail.message_id {
            Some(id) => mail.recipients.iter().map(|recipient| pair_hash(recipient, id)).collect(),
            None => Vec::new(),
        };
        let n = {
            let mut shelf = lock(&self.shelf);
            shelf.bytes += mail.size;
            shelf.without_message_id += u64::from(mail.message_id.is_none());
            for pair in pairs {
                let times = shelf.pairs.entry(pair).or_default();
                *times += 1;
                shelf.doubled += u64::from(*times > 1);
            }
            mail.n = shelf.mails.len() as u64 + 1;
            let n = mail.n;
            shelf.mails.push(Arc::new(Stored { mail, bytes }));
            n
        };
        self.grew.notify_waiters();
        n
    }

    /// The matching mails that the filter's window shows, oldest first, and how many match in all.
    pub(crate) fn list(&self, filter: &MailFilter) -> (Vec<Mail>, usize) {
        // Copied out first, so that no connection waits for a search.
        let all = lock(&self.shelf).mails.clone();
        let matching: Vec<&Mail> = all.iter().map(|stored| &stored.mail).filter(|mail| filter.matches(mail)).collect();
        let window = matching.iter().skip(filter.offset.unwrap_or(0)).take(filter.limit.unwrap_or(usize::MAX));
        (window.map(|mail| (*mail).clone()).collect(), matching.len())
    }

    /// The account's mails up to number `upto`, oldest first: its Sent mailbox as it was when that many were stored.
    pub(crate) fn sent(&self, account: &str, upto: u64) -> Vec<Sent> {
        let all = lock(&self.shelf).mails.clone();
        let own = all.iter().map(|stored| &stored.mail).filter(|mail| mail.n <= upto && mail.account == account);
        own.map(|mail| Sent { uid: mail.n, message_id: mail.message_id.clone(), received_ms: mail.received_ms })
            .collect()
    }

    pub(crate) fn get(&self, n: u64) -> Option<(Mail, Option<Arc<[u8]>>)> {
        let index = usize::try_from(n.checked_sub(1)?).ok()?;
        let stored = lock(&self.shelf).mails.get(index).cloned()?;
        Some((stored.mail.clone(), stored.bytes.clone()))
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.shelf).mails.len()
    }

    pub(crate) fn count_into(&self, stats: &mut Stats) {
        let shelf = lock(&self.shelf);
        stats.mails_accepted = shelf.mails.len() as u64;
        stats.bytes_accepted = shelf.bytes;
        stats.distinct = shelf.pairs.len() as u64;
        stats.doubled = shelf.doubled;
        stats.without_message_id = shelf.without_message_id;
    }

    pub(crate) fn doubled(&self) -> Vec<Doubled> {
        let all = lock(&self.shelf).mails.clone();
        let mut times: HashMap<(&str, &str), u64> = HashMap::new();
        for stored in &all {
            for recipient in &stored.mail.recipients {
                if let Some(id) = &stored.mail.message_id {
                    *times.entry((recipient, id)).or_default() += 1;
                }
            }
        }
        let mut doubled: Vec<Doubled> = times
            .into_iter()
            .filter(|(_, times)| *times > 1)
            .map(|((recipient, id), times)| Doubled {
                recipient: recipient.to_owned(),
                message_id: id.to_owned(),
                times,
            })
            .collect();
        doubled.sort_by(|a, b| (&a.message_id, &a.recipient).cmp(&(&b.message_id, &b.recipient)));
        doubled
    }

    /// Waits until this many mails are stored; false if the time runs out first.
    pub(crate) async fn wait_for(&self, count: usize, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            let mut grew = std::pin::pin!(self.grew.notified());
            // Registered before looking, so that a mail between the look and the wait is not missed.
            grew.as_mut().enable();
            if self.len() >= count {
                return true;
            }
            if timeout_at(deadline, grew).await.is_err() {
                return self.len() >= count;
            }
        }
    }

    pub(crate) fn clear(&self) {
        *lock(&self.shelf) = Shelf::default();
    }
}

impl MailFilter {
    fn matches(&self, mail: &Mail) -> bool {
        let account_fits = self.account.as_ref().is_none_or(|account| mail.account.eq_ignore_ascii_case(account));
        let id_fits = self
            .message_id
            .as_ref()
            .is_none_or(|wanted| mail.message_id.as_ref().is_some_and(|id| bare(id) == bare(wanted)));
        account_fits && id_fits
    }
}

/// Now, as Unix time in milliseconds with a fraction.
#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox knows nothing of Postroom's clock, and stands in for another machine"
)]
pub(crate) fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

fn bare(message_id: &str) -> &str {
    message_id.trim_start_matches('<').trim_end_matches('>')
}

fn pair_hash(recipient: &str, message_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(recipient.as_bytes());
    // A byte that stands in neither, so that no two pairs run together.
    hasher.write_u8(0);
    hasher.write(message_id.as_bytes());
    hasher.finish()
}

fn as_hex<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{hash:016x}"))
}
