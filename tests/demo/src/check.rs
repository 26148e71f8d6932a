//! Compares our record with what the server received: every mail, every recipient, every byte.
//!
//! What the server says is never taken from our record, nor the other way round.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::future::try_join_all;
use postroom::{MailState, MailStatus};
use postroom_it::frozen;
use postroom_sandbox::{Stats, content_hash};
use postroom_shared::message::Message;
use postroom_shared::queue::{QueueStats, What};
use postroom_shared::reason::Reason;

use crate::deliver::Handed;
use crate::kinds::Kind;
use crate::mails::ACCOUNTS;
use crate::stage::{CAP, Stage};
use crate::trouble;

/// What came out.
pub(crate) struct Findings {
    /// Mails that were handed over.
    pub(crate) handed: usize,
    /// Where the two sides differ, in words; empty if all is well.
    pub(crate) differences: Vec<String>,
    /// Our record.
    pub(crate) ours: Ours,
    /// What the server has.
    pub(crate) theirs: Theirs,
    /// Milliseconds from the hand-over to the server, of the mails that nothing delayed on purpose; sorted.
    pub(crate) took: Vec<f64>,
}

/// Our record, summed up.
#[derive(Default)]
pub(crate) struct Ours {
    pub(crate) sent: u64,
    /// By why they died.
    pub(crate) dead: BTreeMap<&'static str, u64>,
    pub(crate) retries: u64,
    pub(crate) retried_mails: u64,
    pub(crate) delivered_recipients: u64,
    pub(crate) doubled: u64,
    /// Mails that each worker brought home.
    pub(crate) shares: Vec<u64>,
}

/// What the server has, summed up.
pub(crate) struct Theirs {
    pub(crate) stats: Stats,
    /// Different Message-IDs.
    pub(crate) mails: u64,
    /// Of those, the ones whose every copy is byte for byte what was frozen.
    pub(crate) equal: u64,
    pub(crate) temporary: u64,
    pub(crate) permanent: u64,
    /// Recipients that we say were delivered and the server does not have.
    pub(crate) lost: u64,
}

/// A mail as the server should have it.
struct Expected<'a> {
    handed: &'a Handed,
    status: MailStatus,
    message: Message,
}

/// Recipients of a Message-ID, as the server has them, with the times of their mails and whether the bytes are right.
#[derive(Default)]
struct Received {
    recipients: BTreeMap<String, u64>,
    hashes: Vec<u64>,
    first_ms: f64,
}

/// Compares.
pub(crate) async fn compare(stage: &Stage, handed: &[Handed]) -> anyhow::Result<Findings> {
    let expected = try_join_all(handed.iter().map(|one| expect(stage, one))).await?;
    let mut received = received(stage);
    let mut differences = Vec::new();
    let (temporary, permanent) = trouble::refusals(&stage.rig.sandbox);
    let mut theirs = Theirs {
        stats: stage.rig.sandbox.stats(),
        mails: received.len() as u64,
        equal: 0,
        temporary,
        permanent,
        lost: 0,
    };
    let mut took = Vec::new();
    for one in &expected {
        let got = received.remove(&one.message.message_id).unwrap_or_default();
        compare_one(one, &got, &mut theirs, &mut differences);
        if !one.handed.kind.is_delayed() && !got.recipients.is_empty() {
            took.push(got.first_ms - one.handed.called.0 as f64);
        }
    }
    differences.extend(received.keys().map(|id| format!("the server has {id}, which nobody handed over")));
    took.sort_by(f64::total_cmp);
    let queue = stage.queue().stats().await?;
    let ours = sum_up(&expected, &queue);
    compare_sums(&ours, &theirs, &queue, expected.len() as u64, &mut differences);
    Ok(Findings { handed: handed.len(), differences, ours, theirs, took })
}

async fn expect<'a>(stage: &Stage, handed: &'a Handed) -> anyhow::Result<Expected<'a>> {
    let id = handed.sent.id;
    let status = stage.client.status(id).await?.with_context(|| format!("nothing is known of {id}"))?;
    Ok(Expected { handed, status, message: frozen(&handed.mail, id)? })
}

fn received(stage: &Stage) -> BTreeMap<String, Received> {
    let mut by_id: BTreeMap<String, Received> = BTreeMap::new();
    for mail in stage.rig.sandbox.mails() {
        let bytes = stage.rig.sandbox.mail_bytes(mail.n).unwrap_or_default();
        let got = by_id.entry(mail.message_id.unwrap_or_default()).or_default();
        got.first_ms = if got.hashes.is_empty() { mail.received_ms } else { got.first_ms };
        got.hashes.push(content_hash(&bytes));
        for recipient in mail.recipients {
            *got.recipients.entry(recipient).or_default() += 1;
        }
    }
    by_id
}

fn compare_one(one: &Expected<'_>, got: &Received, theirs: &mut Theirs, differences: &mut Vec<String>) {
    let name = format!("{} ({:?})", one.status.id, one.handed.kind);
    let dies = one.handed.kind == Kind::Refused;
    let wanted = if dies { MailState::Dead } else { MailState::Sent };
    if one.status.state != wanted {
        differences.push(format!("{name} is {}, not {}", one.status.state.as_str(), wanted.as_str()));
    }
    for recipient in &one.message.envelope.recipients {
        let times = got.recipients.get(recipient.reveal()).copied().unwrap_or(0);
        if times != u64::from(!dies) {
            theirs.lost += u64::from(times == 0);
            differences.push(format!("{name}: the server took it {times} times for {}", recipient.reveal()));
        }
        let fate = one.status.recipients.iter().find(|fate| fate.address == *recipient);
        let said = fate.map_or("nothing", |fate| fate.fate.as_str());
        if (said == "delivered") != (times > 0) {
            differences.push(format!("{name}: we say {said}, the server has it {times} times"));
        }
    }
    if got.recipients.len() > one.message.envelope.recipients.len() {
        differences.push(format!("{name}: the server has recipients that nobody asked for"));
    }
    if got.hashes.is_empty() {
        return;
    }
    let frozen = content_hash(&one.message.bytes);
    if got.hashes.iter().all(|hash| *hash == frozen) {
        theirs.equal += 1;
    } else {
        differences.push(format!("{name}: the bytes that arrived are not those that were frozen"));
    }
}

fn sum_up(expected: &[Expected<'_>], queue: &QueueStats) -> Ours {
    let mut ours = Ours { doubled: queue.doubled, ..Ours::default() };
    let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
    for one in expected {
        match one.status.state {
            MailState::Sent => ours.sent += 1,
            MailState::Dead => *ours.dead.entry(one.status.reason.map_or("unknown", Reason::as_str)).or_default() += 1,
            MailState::Scheduled
            | MailState::Ready
            | MailState::Sending
            | MailState::Retry
            | MailState::Cancelled
            | MailState::Discarded => {}
        }
        let mut retries = 0;
        for event in &one.status.timeline {
            if let What::Attempt(attempt) = &event.what {
                retries += u64::from(attempt.next == "retry");
                if attempt.next == "sent" {
                    *shares.entry(&attempt.worker).or_default() += 1;
                }
            }
        }
        ours.retries += retries;
        ours.retried_mails += u64::from(retries > 0);
        ours.delivered_recipients +=
            one.status.recipients.iter().filter(|recipient| recipient.fate == "delivered").count() as u64;
    }
    ours.shares = shares.into_values().collect();
    ours
}

fn compare_sums(ours: &Ours, theirs: &Theirs, queue: &QueueStats, total: u64, differences: &mut Vec<String>) {
    let counted = |state: MailState| queue.states.get(state.as_str()).copied().unwrap_or(0);
    let dead: u64 = ours.dead.values().sum();
    let refused = theirs.permanent;
    let mut same = |what: &str, left: u64, right: u64| {
        if left != right {
            differences.push(format!("{what}: {left} and {right}"));
        }
    };
    same("mails sent or dead, and mails handed over", ours.sent + dead, total);
    same("mails sent by their own record, and by the queue's counter", ours.sent, counted(MailState::Sent));
    same("mails dead by their own record, and by the queue's counter", dead, counted(MailState::Dead));
    same("mails sent, and Message-IDs that the server has", ours.sent, theirs.mails);
    same("recipients delivered, and recipients that the server has", ours.delivered_recipients, theirs.stats.distinct);
    same("retries in the timelines, and temporary refusals of the server", ours.retries, theirs.temporary);
    same("mails dead, and recipients refused for good", dead, refused);
    same("mails doubled by our record, and by the server's", ours.doubled, theirs.stats.doubled);
    same("mails doubled by the server's record, and none", theirs.stats.doubled, 0);
    for account in ACCOUNTS {
        let most = theirs.stats.account(account).max_sessions;
        if most > CAP {
            differences.push(format!("{account} had {most} connections at once, more than {CAP}"));
        }
    }
}
