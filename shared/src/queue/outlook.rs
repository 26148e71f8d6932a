//! When a mail will probably go, and why not now: reckoned from what is known of its account and its place.
//!
//! Pure: what is known and the time come as arguments. It only says what can be known: where a person must act there is
//! no time, and how fast Gmail takes mail is a guess ([`A_MAIL`]).

use serde::{Deserialize, Serialize};

use super::mails::MailState;
use super::standing::Standing;
use crate::account::Hold;
use crate::clock::Millis;
use crate::mail::Priority;
use crate::reason::Reason;

/// How long a connection is taken for by one mail: a guess, for the mails ahead where there is no rate.
const A_MAIL: u64 = 1_000;
/// What is shorter counts as now (ms).
const NOW: u64 = 5_000;

/// Why a mail does not go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its `send_at` has not come.
    Due,
    /// Its account is held; [`Outlook::reason`] says why.
    Held,
    /// Its account's limits of 24 hours are used up, for it or for the mails ahead of it.
    Budget,
    /// Its account has a rate, and mails are ahead of it.
    Rate,
    /// Mails of its account are ahead of it.
    Ahead,
    /// No worker is running.
    NoWorker,
    /// Its account is tried with one mail first.
    Trial,
    /// It failed for now and is tried again later.
    Retry,
    /// The server may have taken it: that is found out first.
    InDoubt,
    /// Its account was removed.
    NoAccount,
}

impl Why {
    /// All of them, in the order of the docs.
    pub const ALL: [Self; 10] = [
        Self::Due,
        Self::Held,
        Self::Budget,
        Self::Rate,
        Self::Ahead,
        Self::NoWorker,
        Self::Trial,
        Self::Retry,
        Self::InDoubt,
        Self::NoAccount,
    ];

    /// The word in JSON and in the docs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Held => "held",
            Self::Budget => "budget",
            Self::Rate => "rate",
            Self::Ahead => "ahead",
            Self::NoWorker => "no_worker",
            Self::Trial => "trial",
            Self::Retry => "retry",
            Self::InDoubt => "in_doubt",
            Self::NoAccount => "no_account",
        }
    }
}

/// When a mail will probably go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlook {
    /// When; `None`: not before a person acts.
    pub likely_at: Option<Millis>,
    /// Why not now; `None`: nothing stands in its way.
    pub why: Option<Why>,
    /// Why its account is held, where that is what keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// It would go after its deadline: it will be a dead letter, with the reason `expired`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_late: bool,
    /// One sentence for a person.
    pub note: String,
}

/// What of a mail decides when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Where it stands; a mail in a final state has no outlook.
    pub state: MailState,
    /// When it is due, if it waits for a time.
    pub at: Millis,
    /// Until when it is tried.
    pub deadline: Millis,
    /// Its priority.
    pub priority: Priority,
    /// Its recipients.
    pub recipients: u64,
    /// The server may have taken it.
    pub in_doubt: bool,
    /// Mails of its account that go before it, at most.
    pub ahead: u64,
}

/// The time found so far, and what made it so late.
struct Found {
    now: Millis,
    at: Millis,
    why: Option<Why>,
    reason: Option<Reason>,
    note: String,
}

impl Found {
    /// The word is the one for the longest part of the wait.
    fn not_before(&mut self, at: Millis, why: Why, note: impl FnOnce() -> String) {
        if at <= self.at {
            return;
        }
        if self.why.is_none() || at.since(self.at) > self.at.since(self.now) {
            (self.why, self.reason, self.note) = (Some(why), None, note());
        }
        self.at = at;
    }
}

fn never(why: Why, reason: Option<Reason>, note: String) -> Outlook {
    Outlook { likely_at: None, why: Some(why), reason, too_late: false, note }
}

/// When a mail will probably go; `None`: nothing more happens to it by itself. Without an account: it was removed.
#[must_use]
pub fn outlook(mail: &Waiting, standing: Option<&Standing>, now: Millis) -> Option<Outlook> {
    let start = match mail.state {
        MailState::Sent | MailState::Dead | MailState::Cancelled | MailState::Discarded => return None,
        MailState::Sending => return Some(under_way(now)),
        MailState::Scheduled => (mail.at, Some(Why::Due), "it is scheduled".to_owned()),
        MailState::Retry => (mail.at, Some(Why::Retry), "it failed for now and is tried again then".to_owned()),
        MailState::Ready => (now, None, String::new()),
    };
    let Some(standing) = standing else {
        let note = "its account was removed: add it again with `postroom account add`".to_owned();
        return Some(never(Why::NoAccount, None, note));
    };
    if let Some(hold) = standing.account.holds.iter().find(|hold| hold.until.is_none()) {
        return Some(never(Why::Held, Some(hold.reason), held(hold)));
    }
    let mut found =
        Found { now, at: start.0.max(now), why: start.1.filter(|_| start.0 > now), reason: None, note: start.2 };
    if mail.in_doubt {
        found.why = Some(Why::InDoubt);
        found.note =
            "the server may have taken it already: first it is looked for in the account's Sent mailbox".to_owned();
    }
    if standing.workers == 0 && found.at <= now {
        return Some(never(Why::NoWorker, None, "no worker is running: start `postroom-worker`".to_owned()));
    }
    let ends = standing.account.holds.iter().max_by_key(|hold| hold.until);
    if let Some((hold, until)) = ends.and_then(|hold| Some((hold, hold.until?))) {
        found.not_before(until, Why::Held, || held(hold));
        if found.why == Some(Why::Held) {
            found.reason = Some(hold.reason);
        }
    }
    if !limits(mail, standing, now, &mut found) {
        let note = "the account's limits leave nothing for mail of this priority: change them with `postroom account add \
                    ADDRESS --keep-credentials`";
        return Some(never(Why::Budget, None, note.to_owned()));
    }
    Some(told(found, mail.deadline, standing.workers, now))
}

fn under_way(now: Millis) -> Outlook {
    let note = "a worker has it".to_owned();
    Outlook { likely_at: Some(now), why: None, reason: None, too_late: false, note }
}

fn held(hold: &Hold) -> String {
    format!("its account is held ({}): {}", hold.reason.as_str(), hold.reason.help())
}

/// What budget, rate, trial and the mails ahead come to. Answers whether the mail can go at all.
fn limits(mail: &Waiting, standing: &Standing, now: Millis, found: &mut Found) -> bool {
    let (from, place) = (found.at, mail.ahead + 1);
    let account = &standing.account;
    let share = if mail.priority == Priority::Urgent { 0 } else { account.urgent_share };
    // The mails ahead are taken to have one recipient each: more cannot be known without reading them.
    let (messages, recipients) = (standing.messages(share), standing.recipients(share));
    for (slots, place) in [(messages, place), (recipients, mail.ahead + mail.recipients)] {
        let Some(slots) = slots else { continue };
        let Some(at) = slots.nth(place, now) else { return false };
        found.not_before(at, Why::Budget, || {
            format!("its account's limit of 24 hours is used up{}", ahead_words(mail.ahead, " by then, "))
        });
    }
    if let Some(rate) = account.rate.filter(|rate| *rate > 0.0) {
        let at = standing.paced(rate, place, from);
        if at.since(from).as_millis() >= u128::from(NOW) {
            found.not_before(at, Why::Rate, || {
                format!("its account sends {rate} mails a second{}", ahead_words(mail.ahead, ", and "))
            });
        }
    } else {
        let connections = u64::from(standing.connections.max(1));
        let at = Millis(from.0.saturating_add(mail.ahead.saturating_mul(A_MAIL) / connections));
        if at.since(from).as_millis() >= u128::from(NOW) {
            found.not_before(at, Why::Ahead, || format!("{} mails of its account are ahead of it", mail.ahead));
        }
    }
    if !standing.budget.proven && (mail.ahead > 0 || standing.budget.messages.in_hand > 0) {
        // Twice as many each second (`trial` in lua/limits.lua).
        let doublings = u64::from(u64::BITS - place.leading_zeros());
        found.not_before(Millis(from.0.saturating_add(doublings * 1_000)), Why::Trial, || {
            "its account has sent nothing lately and is tried with one mail first".to_owned()
        });
    }
    true
}

fn ahead_words(ahead: u64, joint: &str) -> String {
    if ahead == 0 { String::new() } else { format!("{joint}{ahead} mails are ahead of it") }
}

fn told(found: Found, deadline: Millis, workers: u64, now: Millis) -> Outlook {
    let Found { at, why, reason, mut note, .. } = found;
    if why.is_none() {
        note = "it goes now".to_owned();
    }
    let too_late = at >= deadline && why != Some(Why::InDoubt);
    if too_late {
        note.push_str(", past its deadline: it will be a dead letter (expired), which `postroom dead retry` sends");
    }
    if workers == 0 {
        note.push_str("; no worker is running now");
    }
    Outlook { likely_at: Some(at.max(now)), why, reason, too_late, note }
}

#[cfg(test)]
#[path = "outlook_tests.rs"]
mod tests;
