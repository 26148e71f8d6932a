//! The door: from a draft to a job, by parsing it, choosing its account and freezing its bytes.
//!
//! All that is wrong with a mail is told at once. Nothing in here asks Redis or changes anything.

use std::fmt;

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::mail::{Fault, Faults, Mail};
use postroom_shared::message::{Message, root_of};
use postroom_shared::queue::{Job, NewJob, Pooled, Queue};
use postroom_shared::test_mode;
use serde::Serialize;

use crate::directory::{Directory, Sender};
use crate::draft::{Draft, InRequest};
use crate::{fingerprint, shards};

/// All that is wrong with a mail: each fault with its field, never an address in the clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Refusal(Vec<Fault>);

impl Refusal {
    /// The faults, in the order of the mail's fields; at least one.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl Refusal {
    /// A refusal for these faults, if there is one.
    pub(crate) fn unless_empty(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self(faults.as_slice().to_vec())
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&faults.join("; "))
    }
}

impl std::error::Error for Refusal {}

/// A mail that the door turned away.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) refusal: Refusal,
    /// One of the faults is about accounts: a newer directory may know better.
    pub(crate) by_directory: bool,
}

/// The job for a draft.
pub(crate) fn admit(draft: &Draft, directory: &Directory, queue: &Queue, now: Millis) -> Result<NewJob, Turned> {
    let admitted = look_at(draft, directory, queue, now);
    if draft.faults().is_empty() {
        return admitted;
    }
    let (found, by_directory) =
        admitted.map_or_else(|turned| (turned.refusal.0, turned.by_directory), |_| (Vec::new(), false));
    Err(Turned { refusal: Refusal([draft.faults(), &found].concat()), by_directory })
}

fn look_at(draft: &Draft, directory: &Directory, queue: &Queue, now: Millis) -> Result<NewJob, Turned> {
    let mail = match draft.parse(now) {
        Ok(mail) => mail,
        Err(faults) => return Err(turned_by_parser(draft, faults, directory, now)),
    };
    let applies = test_mode::applies(mail.recipients(), draft.is_test());
    let sender = choose(&mail, draft, directory, *applies.as_ref().unwrap_or(&draft.is_test()));
    let sender = match (sender, applies.err()) {
        (Ok(sender), None) => sender,
        (chosen, of_recipients) => {
            let of_sender = chosen.err();
            let by_directory = of_sender.is_some();
            return Err(Turned {
                refusal: Refusal(of_sender.into_iter().chain(of_recipients).collect()),
                by_directory,
            });
        }
    };
    let asked = draft.as_asked(now).transpose();
    asked
        .and_then(|asked| {
            let known_by = known_by(&mail, asked.as_ref(), draft.place(), &sender)?;
            let mut new = freeze(&mail, known_by, sender, directory, queue, now)?;
            new.job.trace = draft.trace();
            Ok(new)
        })
        .map_err(|faults| Turned { refusal: faults.into(), by_directory: false })
}

/// Who sends a mail. A test mail is sent by the built-in account, if it could be sent as a live one; without any account
/// there is nothing to check it by.
fn choose(mail: &Mail, draft: &Draft, directory: &Directory, is_test: bool) -> Result<Sender, Fault> {
    let from = &mail.from().address;
    // What stands beside the mail takes the place of what it says itself.
    let (account, pool) = match (draft.account(), draft.pool()) {
        (None, None) => (mail.account(), mail.pool()),
        beside => beside,
    };
    let of_test_mode = || Sender::Account(AccountId::of_test_mode());
    if is_test && directory.is_empty() && account.is_none() && pool.is_none() {
        return Ok(of_test_mode());
    }
    let sender = match pool {
        Some(pool) => directory.choose_of(from, pool),
        None => directory.choose(from, account).map(Sender::Account),
    }?;
    let sender = match draft.allowed() {
        Some(allowed) => sender.within(allowed)?,
        None => sender,
    };
    Ok(if is_test { of_test_mode() } else { sender })
}

/// The parser's faults, and the one about its sender if that can be told.
fn turned_by_parser(draft: &Draft, faults: Faults, directory: &Directory, now: Millis) -> Turned {
    let mut refusal = Refusal::from(faults);
    let fault = draft.sender_alone(now).and_then(|mail| choose(&mail, draft, directory, draft.is_test()).err());
    let by_directory = fault.is_some();
    refusal.0.extend(fault);
    Turned { refusal, by_directory }
}

/// The idempotency key of a mail and the fingerprint beside it: its own key, or that of its place in a request. `asked`: by what
/// the mail is known again, if not by itself.
fn known_by(
    mail: &Mail,
    asked: Option<&Mail>,
    place: Option<&InRequest>,
    sender: &Sender,
) -> Result<Option<(String, String)>, Faults> {
    Ok(match (mail.idempotency_key(), place) {
        (Some(key), _) => Some((key.to_owned(), fingerprint::of(asked.unwrap_or(mail), sender)?)),
        (None, Some(place)) => Some((place.key.clone(), place.fingerprint.clone())),
        (None, None) => None,
    })
}

fn freeze(
    mail: &Mail,
    idempotency: Option<(String, String)>,
    sender: Sender,
    directory: &Directory,
    queue: &Queue,
    now: Millis,
) -> Result<NewJob, Faults> {
    let (account, pool) = match sender {
        Sender::Account(account) => (account, None),
        Sender::Pool { pool, accounts } => {
            let accounts = {
                let key = idempotency.as_ref().map(|(key, _)| key.as_str());
                shards::choose(mail, key, accounts, directory, queue, now)?
            };
            let Some(first) = accounts.first().cloned() else {
                return Err(Faults::one("pool", format!("pool {pool} has no account")));
            };
            (first, Some(Pooled { pool, accounts, thread: Vec::new() }))
        }
    };
    let id = queue.new_id(&account, now);
    let message = Message::freeze(mail, id, now)?;
    let pool = pool.map(|pooled| {
        let thread = root_of(&message.bytes).into_iter().chain([message.message_id.clone()]).collect();
        Pooled { thread, ..pooled }
    });
    Ok(NewJob {
        id,
        priority: mail.priority(),
        send_at: mail.send_at(),
        ttl: mail.ttl(),
        idempotency,
        pool,
        job: Job::new(message, mail.tags().to_vec()),
        account,
    })
}
