//! What must hold in every state, by name, and what must be reachable for the run to mean anything.

use stateright::Property;

use crate::redis::{Outcome, Place, Reason};
use crate::state::{Copy, Mode, Phase, State};
use crate::step::Protocol;

/// The names under which the checker tells of a property.
pub mod names {
    /// At most one job, of the session that Redis names, has the current fence.
    pub const ONE_HOLDER: &str = "one holder of the current fence";
    /// A mail whose delivery was told to Redis is sent, and stays so.
    pub const KNOWN_IS_SENT: &str = "a known delivery is sent";
    /// A mail is accepted by a server at most once.
    pub const NOT_DOUBLED: &str = "not doubled";
    /// Sent again without asking at most once: two copies at most.
    pub const NOT_TRIPLED: &str = "not tripled";
    /// A settlement that is repeated changes nothing, but for the count of doubles.
    pub const REPEAT_HARMLESS: &str = "a repeated settlement is harmless";
    /// A mail that was never begun is not in doubt, and does not wait for a check.
    pub const NO_DOUBT_UNBEGUN: &str = "no doubt unless begun";
    /// A mail that is dead was not delivered, unless its reason says that nobody knows.
    pub const DEAD_IS_TRUE: &str = "dead says the truth";
    /// A mail that is sent was delivered.
    pub const SENT_IS_TRUE: &str = "sent says the truth";
    /// The count of doubles is not above what was delivered in excess.
    pub const DOUBLES_COUNTED: &str = "doubles are not overcounted";
}

type Condition = fn(&Protocol, &State) -> bool;

/// What must hold in every state.
const ALWAYS: [(&str, Condition); 9] = [
    (names::ONE_HOLDER, |_, state| one_holder(state)),
    (names::KNOWN_IS_SENT, |_, state| {
        state.mails.iter().zip(&state.truths).all(|(mail, truth)| !truth.known || mail.place == Place::Sent)
    }),
    (names::NOT_DOUBLED, |_, state| state.truths.iter().all(|truth| truth.accepted <= 1)),
    (names::NOT_TRIPLED, |_, state| state.truths.iter().all(|truth| truth.accepted <= 2)),
    (names::REPEAT_HARMLESS, repeat_harmless),
    (names::NO_DOUBT_UNBEGUN, |_, state| {
        state.mails.iter().zip(&state.truths).all(|(mail, truth)| mail.doubt.is_none() || truth.noted)
            && state.jobs().all(|(_, job)| !job.doubt || state.truths[usize::from(job.mail)].noted)
    }),
    (names::DEAD_IS_TRUE, |_, state| {
        state.mails.iter().zip(&state.truths).all(|(mail, truth)| match mail.place {
            Place::Dead(Reason::Uncertain) => true,
            Place::Dead(Reason::Expired | Reason::Refused | Reason::Poison) => truth.accepted == 0,
            Place::Ready | Place::Sending(_) | Place::Retry(_) | Place::Sent => true,
        })
    }),
    (names::SENT_IS_TRUE, |_, state| {
        state.mails.iter().zip(&state.truths).all(|(mail, truth)| mail.place != Place::Sent || truth.accepted > 0)
    }),
    (names::DOUBLES_COUNTED, |_, state| {
        state.mails.iter().zip(&state.truths).all(|(mail, truth)| mail.doubled <= truth.accepted.saturating_sub(1))
    }),
];

/// What must be reachable: a run in which these never happen has shown nothing.
const SOMETIMES: [(&str, Condition); 8] = [
    ("a delivery is found in Sent", |_, state| done(state, |holds, outcome, _| holds && outcome == Outcome::Found)),
    ("a mail in doubt may go again", |_, state| state.jobs().any(|(_, job)| job.phase == Phase::Clear(true))),
    ("a delivery is told late to a ready mail", |_, state| {
        done(state, |holds, outcome, place| !holds && outcome == Outcome::Sent && place == Place::Ready)
    }),
    ("a delivery is told late to another's mail", |_, state| {
        done(state, |holds, outcome, place| !holds && outcome == Outcome::Sent && matches!(place, Place::Sending(_)))
    }),
    ("a lost lease's data leaves late", |_, state| {
        state.jobs().any(|(_, job)| job.lost_for > 0 && matches!(job.phase, Phase::Flown(true)))
    }),
    ("poison", |_, state| dead(state, Reason::Poison)),
    ("expired", |_, state| dead(state, Reason::Expired)),
    ("a killed worker leaves a copy nobody sees yet", |_, state| {
        state.truths.iter().any(|truth| matches!(truth.copy, Copy::Hidden(_)))
            && state.sessions.iter().any(|session| session.mode == Mode::Down)
    }),
];

/// All of them, as the checker takes them.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    let always = ALWAYS.iter().map(|(name, condition)| Property::always(name, *condition));
    always.chain(SOMETIMES.iter().map(|(name, condition)| Property::sometimes(name, *condition))).collect()
}

fn one_holder(state: &State) -> bool {
    (0..).zip(&state.mails).all(|(number, mail)| {
        let current = || state.jobs().filter(|(_, job)| job.mail == number && job.fence == mail.fence);
        let holder = match mail.place {
            Place::Sending(holder) => Some(holder),
            Place::Ready | Place::Retry(_) | Place::Sent | Place::Dead(_) => None,
        };
        current().count() <= 1 && current().all(|(by, _)| holder.is_none_or(|holder| holder == by))
    })
}

/// Every settlement that may be told next: told twice, the second time changes nothing.
fn repeat_harmless(protocol: &Protocol, state: &State) -> bool {
    state.jobs().all(|(by, job)| {
        let Phase::Done(outcome) = job.phase else { return true };
        let mut once = state.mails[usize::from(job.mail)].clone();
        once.settle(by, job.fence, outcome, &protocol.0);
        let mut twice = once.clone();
        twice.settle(by, job.fence, outcome, &protocol.0);
        twice.doubled = once.doubled;
        once == twice
    })
}

fn done(state: &State, is: impl Fn(bool, Outcome, Place) -> bool) -> bool {
    state.jobs().any(|(by, job)| {
        matches!(job.phase, Phase::Done(outcome)
            if is(state.holds(by, job), outcome, state.mails[usize::from(job.mail)].place))
    })
}

fn dead(state: &State, reason: Reason) -> bool {
    state.mails.iter().any(|mail| mail.place == Place::Dead(reason))
}
