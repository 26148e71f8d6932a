//! What follows from an attempt: for the mail, and for its account. Pure; clock and chance are arguments.

use std::time::Duration;

use postroom_shared::account::Pause;
use postroom_shared::clock::Millis;
use postroom_shared::queue::Outcome;
use postroom_shared::reason::Reason;
use postroom_shared::replies::Class;
use postroom_shared::replies::class::{Connection, Scope};
use postroom_shared::reply::Stage;

use crate::retry::RetryPolicy;
use crate::verdict::{Meaning, NoLogin, Verdict};

/// After an uncertain end the Sent mailbox is asked no sooner: a mail takes a moment to show up there.
const ASK_AFTER: Duration = Duration::from_secs(5);
/// A quota that may last as long as this is one of the limits of 24 hours.
const DAY: Duration = Duration::from_secs(86_400);

/// A delegation takes Google up to 24 hours to know of.
const UNTIL_DELEGATED: Pause = Pause::For { least: Duration::from_secs(900), most: Duration::from_secs(3_600) };
/// A clock that is set, or another worker's, is right soon.
const UNTIL_CLOCK_SET: Pause = Pause::For { least: Duration::from_secs(60), most: Duration::from_secs(900) };

/// What the decision depends on besides the findings.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Recipients that were refused for good in earlier attempts, by place.
    pub failed: &'a [usize],
    /// The furthest stage that the server answered.
    pub answered: Option<Stage>,
    /// Now.
    pub now: Millis,
    /// Whether Sent is asked about a mail in doubt.
    pub asks_sent: bool,
    /// The fleet's policy.
    pub policy: &'a RetryPolicy,
    /// Chance, from 0 to 1.
    pub jitter: f64,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextStep {
    /// For the mail.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Whether it cost an attempt.
    pub counted: bool,
    /// Recipients that are tried again; after a death those a retry would go to.
    pub open: Vec<usize>,
    /// Recipients that were refused for good.
    pub failed: Vec<usize>,
    /// Those of the open that the server may have taken.
    pub in_doubt: Vec<usize>,
    /// To how many recipients it may have gone.
    pub spent: usize,
    /// Whether the account proved that it may send.
    pub proves: bool,
    /// For the account.
    pub account: AccountStep,
}

/// What follows for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStep {
    /// Nothing.
    Nothing,
    /// It is held.
    Hold {
        /// Why.
        reason: Reason,
        /// For how long.
        pause: Pause,
        /// Gmail counted more than we: the ledger is corrected.
        used_up: bool,
        /// It has one connection fewer for a while.
        fewer: bool,
    },
    /// Every account of its OAuth2 client is held.
    HoldClient,
}

/// What a verdict asks for, the more pressing the later: the most pressing one of all recipients decides for the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Press {
    Untried(Reason),
    Later(Duration, Reason),
    Back(Reason),
    Doubt(Reason),
}

/// Decides, from what the attempt came to for each recipient that was open, by place in the envelope.
#[must_use]
pub fn next_step(findings: &[(usize, Verdict)], situation: &Situation<'_>) -> NextStep {
    let mut failed = situation.failed.to_vec();
    let (mut open, mut in_doubt, mut spent, mut found) = (Vec::new(), Vec::new(), 0, false);
    let (mut press, mut died): (Option<Press>, Option<Reason>) = (None, None);
    for (place, verdict) in findings {
        match asks(verdict, situation) {
            Asks::Nothing => spent += 1,
            Asks::NothingMore => found = true,
            Asks::Death(reason) => {
                failed.push(*place);
                died = Some(reason);
            }
            Asks::Again(pressing) => {
                open.push(*place);
                if let Press::Doubt(_) = pressing {
                    in_doubt.push(*place);
                    spent += 1;
                }
                press = press.max(Some(pressing));
            }
        }
    }
    let account = findings.iter().map(|(_, verdict)| account_step(verdict, situation.policy));
    let account = account.max_by_key(how_long).unwrap_or(AccountStep::Nothing);
    let answered = situation.answered >= Some(Stage::Rcpt) || findings.iter().any(|(_, it)| *it == Verdict::Delivered);
    let proves = answered && !findings.iter().any(|(_, verdict)| speaks_of_the_account(verdict));
    let (outcome, reason, counted) = match press {
        Some(Press::Doubt(reason)) => {
            // Where nobody is asked it is only sent again: after a pause like any other.
            let usual = situation.policy.pause(situation.attempt, situation.jitter, Duration::ZERO);
            let pause = if situation.asks_sent { ASK_AFTER } else { usual };
            (Outcome::Check(situation.now.after(pause)), reason, true)
        }
        Some(Press::Back(reason) | Press::Untried(reason)) => (Outcome::Back, reason, false),
        Some(Press::Later(pause, reason)) => (Outcome::Retry(situation.now.after(pause)), reason, true),
        None if failed.is_empty() && found && spent == 0 => (Outcome::Sent, Reason::Found, false),
        None if failed.is_empty() => (Outcome::Sent, Reason::Delivered, true),
        None => (Outcome::Dead, died.unwrap_or(Reason::Recipient), true),
    };
    if outcome == Outcome::Dead {
        // A retry by hand goes to those who did not get it.
        failed.sort_unstable();
        (open, failed) = (failed, Vec::new());
    }
    NextStep { outcome, reason, counted, open, failed, in_doubt, spent, proves, account }
}

enum Asks {
    Nothing,
    /// Nothing, and nothing went.
    NothingMore,
    Death(Reason),
    Again(Press),
}

fn asks(verdict: &Verdict, situation: &Situation<'_>) -> Asks {
    match verdict {
        Verdict::Delivered => Asks::Nothing,
        Verdict::Found => Asks::NothingMore,
        Verdict::Refused(meaning) => asks_of(meaning, situation),
        Verdict::NoLogin(no_login) => Asks::Again(Press::Back(no_login.reason())),
        Verdict::BrokenOff(reason) => Asks::Again(Press::Doubt(*reason)),
        Verdict::Failed(reason) => {
            let pause = situation.policy.pause(situation.attempt, situation.jitter, Duration::ZERO);
            Asks::Again(Press::Later(pause, *reason))
        }
        Verdict::Untried(reason) => Asks::Again(Press::Untried(*reason)),
    }
}

fn asks_of(meaning: &Meaning, situation: &Situation<'_>) -> Asks {
    let reason = meaning.reason;
    match meaning.class {
        // The last three: only where none of their tries was left within the attempt.
        Class::Soon | Class::Reconnect | Class::Token | Class::Split => {
            let pause = situation.policy.pause(situation.attempt, situation.jitter, meaning.floor);
            let most = if meaning.hold.is_zero() { Duration::MAX } else { meaning.hold.max(meaning.floor) };
            Asks::Again(Press::Later(pause.min(most), reason))
        }
        Class::Quota | Class::Consent => Asks::Again(Press::Back(reason)),
        Class::Recipient | Class::Message | Class::Config => Asks::Death(reason),
        Class::Uncertain => Asks::Again(Press::Doubt(reason)),
    }
}

impl NoLogin {
    fn reason(self) -> Reason {
        match self {
            Self::Consent => Reason::Consent,
            Self::Client | Self::NotDelegated => Reason::Client,
            Self::Config | Self::Clock => Reason::Config,
        }
    }
}

/// Why the account must not send now, if a verdict says so.
#[must_use]
pub fn holds(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::NoLogin(no_login) => Some(no_login.reason()),
        Verdict::Refused(meaning) => match meaning.class {
            Class::Quota | Class::Consent => Some(meaning.reason),
            Class::Soon => is_of_the_account(meaning).then_some(meaning.reason),
            Class::Reconnect
            | Class::Token
            | Class::Recipient
            | Class::Message
            | Class::Config
            | Class::Split
            | Class::Uncertain => None,
        },
        Verdict::Delivered | Verdict::BrokenOff(_) | Verdict::Failed(_) | Verdict::Found | Verdict::Untried(_) => None,
    }
}

fn is_of_the_account(meaning: &Meaning) -> bool {
    match meaning.row.scope {
        Scope::Account | Scope::Logins => true,
        Scope::Mail | Scope::Recipient => false,
    }
}

fn account_step(verdict: &Verdict, policy: &RetryPolicy) -> AccountStep {
    let Some(reason) = holds(verdict) else { return AccountStep::Nothing };
    let held = |pause| AccountStep::Hold { reason, pause, used_up: false, fewer: false };
    let until_a_person = held(Pause::UntilAPerson);
    match verdict {
        Verdict::NoLogin(NoLogin::Client) => AccountStep::HoldClient,
        Verdict::NoLogin(NoLogin::Consent | NoLogin::Config) => until_a_person,
        Verdict::NoLogin(NoLogin::NotDelegated) => held(UNTIL_DELEGATED),
        Verdict::NoLogin(NoLogin::Clock) => held(UNTIL_CLOCK_SET),
        Verdict::Refused(meaning) if meaning.class == Class::Consent => until_a_person,
        Verdict::Refused(meaning) => {
            let or = |own: Duration, usual: Duration| if own.is_zero() { usual } else { own };
            let least = or(meaning.floor, policy.base);
            let pause = Pause::For { least, most: or(meaning.hold, policy.cap).max(least) };
            let used_up = reason == Reason::Quota && meaning.hold >= DAY;
            AccountStep::Hold { reason, pause, used_up, fewer: meaning.row.connection == Connection::Fewer }
        }
        Verdict::Delivered | Verdict::BrokenOff(_) | Verdict::Failed(_) | Verdict::Found | Verdict::Untried(_) => {
            AccountStep::Nothing
        }
    }
}

fn how_long(step: &AccountStep) -> Duration {
    match step {
        AccountStep::Nothing => Duration::ZERO,
        AccountStep::Hold { pause: Pause::For { least, .. }, .. } => *least,
        AccountStep::Hold { pause: Pause::UntilAPerson, .. } | AccountStep::HoldClient => Duration::MAX,
    }
}

/// Whether a reply says something of the account and not of this mail, so that it proves nothing for the account.
fn speaks_of_the_account(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Delivered => false,
        Verdict::NoLogin(_) | Verdict::BrokenOff(_) | Verdict::Failed(_) | Verdict::Found | Verdict::Untried(_) => true,
        Verdict::Refused(meaning) => match meaning.class {
            Class::Quota | Class::Consent | Class::Token | Class::Config => true,
            Class::Soon | Class::Reconnect | Class::Recipient | Class::Message | Class::Split | Class::Uncertain => {
                is_of_the_account(meaning)
            }
        },
    }
}

#[cfg(test)]
#[path = "next_step_tests.rs"]
mod tests;
