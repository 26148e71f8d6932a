//! What must hold of each mail: our record beside what the server received.
//!
//! What the server says is never taken from our record, nor the other way round.

use std::collections::BTreeMap;

use postroom::{MailState, MailStatus, Reason};
use postroom_it::frozen;
use postroom_sandbox::content_hash;
use postroom_shared::message::Message;
use postroom_shared::queue::{Event, What};

use crate::mails::Kind;
use crate::producer::Accepted;
use crate::world::{ALLOWANCE_MS, World};

/// Leases lost in dialogue after which a mail is called poison.
const POISON: usize = 3;
/// Clocks of one machine, read a moment apart.
const BLUR_MS: u64 = 100;

/// What the mails came to.
#[derive(Default)]
pub(crate) struct Mails {
    pub(crate) sent: u64,
    pub(crate) found: u64,
    pub(crate) dead: BTreeMap<&'static str, u64>,
    /// Recipients that the server took more than once, by what explains it; `unexplained` is a violation.
    pub(crate) doubled: BTreeMap<&'static str, u64>,
    /// Recipients that we call delivered and the server does not have.
    pub(crate) lost: u64,
    pub(crate) attempts: u64,
    pub(crate) taken_back: u64,
    pub(crate) told_doubled: u64,
    pub(crate) states: BTreeMap<&'static str, u64>,
    /// What does not hold, with the mail's timeline.
    pub(crate) violations: Vec<String>,
}

/// What the server has of one Message-ID.
#[derive(Default)]
struct Received {
    /// When each copy came, by recipient.
    recipients: BTreeMap<String, Vec<u64>>,
    hashes: Vec<u64>,
}

/// One mail, both sides.
struct Case<'a> {
    accepted: &'a Accepted,
    status: MailStatus,
    message: Message,
    got: Received,
}

/// Compares all mails.
pub(crate) async fn mails(world: &World, accepted: &[Accepted]) -> anyhow::Result<Mails> {
    let (mut found, mut received) = (Mails::default(), received(world));
    for one in accepted {
        let Some(status) = world.client.status(one.id).await? else {
            found.violations.push(format!("{}: nothing is known of it, and it was accepted", one.id));
            continue;
        };
        let message = frozen(&one.planned.mail, one.id)?;
        let got = received.remove(&message.message_id).unwrap_or_default();
        Case { accepted: one, status, message, got }.check(&mut found);
    }
    found.violations.extend(received.keys().map(|id| format!("the server has {id}, which nobody handed over")));
    Ok(found)
}

fn received(world: &World) -> BTreeMap<String, Received> {
    let mut by_id: BTreeMap<String, Received> = BTreeMap::new();
    for mail in world.rig.sandbox.mails() {
        let got = by_id.entry(mail.message_id.unwrap_or_default()).or_default();
        got.hashes.push(content_hash(&world.rig.sandbox.mail_bytes(mail.n).unwrap_or_default()));
        for recipient in mail.recipients {
            got.recipients.entry(recipient).or_default().push(mail.received_ms as u64);
        }
    }
    by_id
}

impl Case<'_> {
    fn check(&self, found: &mut Mails) {
        let before = found.violations.len();
        let state = self.status.state;
        *found.states.entry(state.as_str()).or_default() += 1;
        match state {
            MailState::Sent => {
                found.sent += 1;
                found.found += u64::from(self.status.reason == Some(Reason::Found));
            }
            MailState::Dead => {
                *found.dead.entry(self.status.reason.map_or("none", Reason::as_str)).or_default() += 1;
            }
            MailState::Scheduled
            | MailState::Ready
            | MailState::Sending
            | MailState::Retry
            | MailState::Cancelled
            | MailState::Discarded => found.violations.push(format!("it is {}", state.as_str())),
        }
        if let Some(wrong) = self.wrong_end() {
            found.violations.push(wrong);
        }
        self.check_recipients(found);
        self.check_timeline(found);
        let hash = content_hash(&self.message.bytes);
        if self.got.hashes.iter().any(|other| *other != hash) {
            found.violations.push("the bytes that arrived are not those that were frozen".to_owned());
        }
        let name = format!("{} ({:?})", self.status.id, self.accepted.planned.kind);
        if found.violations.len() > before {
            let wrong = found.violations.split_off(before).join("; ");
            found.violations.push(format!("{name}: {wrong}\n{}", self.told()));
        }
    }

    /// Whether it ended as it had to, or as the faults can explain.
    fn wrong_end(&self) -> Option<String> {
        let (state, reason) = (self.status.state, self.status.reason);
        let dead_of = |wanted: Reason| state == MailState::Dead && reason == Some(wanted);
        let kind = self.accepted.planned.kind;
        let usual = match kind {
            Kind::Plain | Kind::Several | Kind::Large | Kind::Scheduled => state == MailState::Sent,
            Kind::SomeGone => dead_of(Reason::Recipient),
            Kind::AllGone => dead_of(Reason::Recipient),
            Kind::Blocked => dead_of(Reason::Policy),
            Kind::Hurried => state == MailState::Sent || dead_of(Reason::Expired) || dead_of(Reason::Uncertain),
        };
        let poisoned = dead_of(Reason::Poison) && self.lost_in_dialogue().count() >= POISON;
        // A mail whose next try would come after its deadline expires at once.
        let last = self.status.timeline.iter().rev().find_map(|event| event.what.attempt());
        let next = last.and_then(|attempt| attempt.retry_at).unwrap_or(self.status.at);
        if dead_of(Reason::Expired) && self.status.at.max(next) < self.status.deadline {
            return Some("it expired before its deadline".to_owned());
        }
        (!usual && !poisoned).then(|| format!("it is {} for {reason:?}", state.as_str()))
    }

    fn check_recipients(&self, found: &mut Mails) {
        let is_uncertain = self.status.state == MailState::Dead && self.status.reason == Some(Reason::Uncertain);
        for address in &self.message.envelope.recipients {
            let times = self.got.recipients.get(address.reveal()).map_or(&[][..], Vec::as_slice);
            let fate = self.status.recipients.iter().find(|fate| fate.address == *address);
            let said = fate.map_or("nothing", |fate| fate.fate.as_str());
            if times.len() > 1 {
                let why = self.explains_double(times);
                *found.doubled.entry(why).or_default() += times.len() as u64 - 1;
                if why == UNEXPLAINED {
                    found.violations.push(format!("the server took it {} times for one recipient", times.len()));
                }
            }
            if said == "delivered" && times.is_empty() {
                found.lost += 1;
                found.violations.push("LOST: we say delivered, and the server does not have it".to_owned());
            }
            if said != "delivered" && !times.is_empty() && !is_uncertain {
                found.violations.push(format!("we say {said}, and the server has it"));
            }
        }
        if self.got.recipients.len() > self.message.envelope.recipients.len() {
            found.violations.push("the server has recipients that nobody asked for".to_owned());
        }
    }

    /// What explains that a recipient got it more than once, if anything does.
    fn explains_double(&self, copies: &[u64]) -> &'static str {
        let first = copies.iter().min().copied().unwrap_or(0);
        let last = copies.iter().max().copied().unwrap_or(0);
        let in_doubt = self.status.timeline.iter().filter(|event| began_doubt(event));
        if in_doubt.clone().any(|event| event.at.0 < first && first + BLUR_MS >= event.at.0 + ALLOWANCE_MS) {
            return "its data left later than the allowance";
        }
        if self.accepted.planned.kind == Kind::Hurried && last + BLUR_MS >= self.status.deadline.0 {
            return "Sent was out of reach at its deadline";
        }
        UNEXPLAINED
    }

    fn check_timeline(&self, found: &mut Mails) {
        let attempts = || self.status.timeline.iter().filter_map(|event| event.what.attempt());
        let counted = self.status.attempts;
        found.attempts += u64::from(counted);
        let highest = attempts().map(|attempt| attempt.number).max().unwrap_or(0);
        if counted > highest || highest > counted + 1 || (attempts().count() as u64) < u64::from(counted) {
            found.violations.push(format!("{counted} attempts are counted, and the timeline's highest is {highest}"));
        }
        let is_take_back = |event: &&Event| matches!(event.what, What::TakenBack { .. });
        let taken_back = self.status.timeline.iter().filter(is_take_back).count() as u64;
        if taken_back != u64::from(self.status.leases_lost) {
            found.violations.push(format!("{} leases were lost, and {taken_back} are told", self.status.leases_lost));
        }
        found.taken_back += taken_back;
        let is_double = |event: &&Event| matches!(event.what, What::Doubled);
        found.told_doubled += self.status.timeline.iter().filter(is_double).count() as u64;
        if self.status.timeline.windows(2).any(|pair| pair[0].at > pair[1].at) {
            found.violations.push("its timeline is not in order".to_owned());
        }
    }

    fn lost_in_dialogue(&self) -> impl Iterator<Item = &Event> {
        self.status.timeline.iter().filter(|event| matches!(event.what, What::TakenBack { begun: true, .. }))
    }

    /// The timeline and the server's copies, a line each.
    fn told(&self) -> String {
        let ours = self.status.timeline.iter().map(|event| format!("    {} {:?}\n", event.at.0, event.what));
        let theirs = self.got.recipients.iter().map(|(to, times)| format!("    the server, {to}: {times:?}\n"));
        ours.chain(theirs).collect()
    }
}

const UNEXPLAINED: &str = "unexplained";

fn began_doubt(event: &Event) -> bool {
    match &event.what {
        What::TakenBack { begun, .. } => *begun,
        What::Attempt(attempt) => attempt.next == "check",
        What::Queued
        | What::Dead { .. }
        | What::Doubled
        | What::Cancelled
        | What::Rescheduled { .. }
        | What::Retried { .. }
        | What::Discarded
        | What::Dropped { .. }
        | What::Moved { .. } => false,
    }
}
