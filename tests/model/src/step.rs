//! Every step that may come next: what workers do, what the world does, and the faults.

use std::fmt;

use stateright::{Model, Property};

use crate::config::{Config, Flaw, Imap};
use crate::property;
use crate::redis::{Outcome, Place};
use crate::state::{Copy, Job, Mode, Phase, Session, State};

/// The protocol under the bounds of one run.
#[derive(Clone, Debug)]
pub struct Protocol(pub Config);

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Time goes on.
    Tick,
    /// An accepted mail can be found in Sent from now on.
    Appear(u8),
    /// A worker is given a mail, and hears of it or not.
    Claim {
        /// The worker.
        by: u8,
        /// What it is given.
        mail: u8,
        /// Whether it hears of it.
        heard: bool,
    },
    /// A worker tells which jobs it knows of; this one it does not.
    Mend {
        /// The worker.
        by: u8,
        /// What it never got.
        mail: u8,
    },
    /// Something happens to a worker or its session.
    Worker(u8, Event),
    /// A worker goes on with a job.
    Job {
        /// The worker.
        by: u8,
        /// The mail.
        mail: u8,
        /// The fence under which it was handed out.
        fence: u8,
        /// What it does.
        act: Act,
    },
}

/// What happens to a worker or its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Killed: all that it had in hand is forgotten.
    Crash,
    /// Stopped, or cut off from Redis.
    Stall,
    /// It runs again and reaches Redis.
    Return,
    /// Its heartbeat renews the lease.
    Renew,
    /// Its heartbeat hears that the session is gone: it opens another and gives up what it has not begun.
    Reopen,
    /// A new worker in the place of the killed one.
    Start,
    /// The lease has run out: any script takes back what the session had.
    TakeBack,
}

/// What a worker does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Asks Sent.
    Look,
    /// Asks Sent and gets no answer.
    LookFails,
    /// Notes that data may leave.
    Note {
        /// Whether the answer is heard.
        heard: bool,
    },
    /// The data leaves; the server takes the mail or not.
    Send {
        /// Whether the server takes the mail.
        accepted: bool,
    },
    /// The server's reply is heard.
    Hear,
    /// The server's reply is heard: refused for good.
    HearForGood,
    /// The connection is lost before the reply.
    LoseReply,
    /// Gives the mail back unsent.
    HandBack,
    /// Tells the outcome.
    Settle {
        /// Whether the answer is heard.
        heard: bool,
    },
    /// Judges by the time of the answer what was asked before (a flaw).
    Judge,
    /// Too late to send: the connection has ended meanwhile.
    Abandon,
}

impl Step {
    /// Whether the world could as well have been spared it. Without faults a mail must come to its end.
    #[must_use]
    pub fn is_fault(self, config: &Config) -> bool {
        match self {
            Self::Claim { heard, .. } => !heard,
            Self::Worker(_, Event::Crash | Event::Stall) => true,
            Self::Job { act, .. } => match act {
                Act::Note { heard } | Act::Settle { heard } => !heard,
                Act::Send { accepted } => !accepted,
                Act::LookFails => config.imap == Imap::Reachable,
                Act::LoseReply | Act::HandBack => true,
                Act::Look | Act::Hear | Act::HearForGood | Act::Judge | Act::Abandon => false,
            },
            Self::Tick | Self::Appear(_) | Self::Mend { .. } | Self::Worker(..) => false,
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.0)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (mail, truth) in (0..).zip(&state.truths) {
            if matches!(truth.copy, Copy::Hidden(_)) {
                steps.push(Step::Appear(mail));
            }
        }
        for (by, session) in (0..).zip(&state.sessions) {
            for job in &session.jobs {
                self.acts(state, by, job, steps);
            }
            self.claims(state, by, session, steps);
            events(state, by, session, &self.0, steps);
        }
        steps.push(Step::Tick);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        next.take(step, &self.0);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}

impl Protocol {
    fn acts(&self, state: &State, by: u8, job: &Job, steps: &mut Vec<Step>) {
        let session = &state.sessions[usize::from(by)];
        if session.mode == Mode::Down {
            return;
        }
        let (up, left) = (session.mode == Mode::Up, state.faults);
        let mut may = |possible: bool, act: Act| {
            if possible {
                steps.push(Step::Job { by, mail: job.mail, fence: job.fence, act });
            }
        };
        match job.phase {
            Phase::Held if job.doubt => {
                may(self.0.imap == Imap::Reachable, Act::Look);
                may(self.0.imap == Imap::Away || left.looks > 0, Act::LookFails);
                may(left.refusals > 0, Act::HandBack);
            }
            Phase::Held | Phase::Clear(_) => {
                may(up, Act::Note { heard: true });
                may(up && left.answers > 0, Act::Note { heard: false });
                may(self.0.flaw == Some(Flaw::SendBeforeNoteIsHeard), Act::Send { accepted: true });
                may(left.refusals > 0, Act::HandBack);
            }
            Phase::Begun => {
                let in_time = job.lost_for <= self.0.late;
                may(in_time, Act::Send { accepted: true });
                may(in_time && left.refusals > 0, Act::Send { accepted: false });
                may(!in_time, Act::Abandon);
            }
            Phase::Flown(accepted) => {
                may(true, Act::Hear);
                may(!accepted, Act::HearForGood);
                may(left.replies > 0, Act::LoseReply);
            }
            Phase::Done(outcome) => {
                may(up, Act::Settle { heard: true });
                may(up && left.answers > 0, Act::Settle { heard: false });
                may(outcome == Outcome::LookAgain && self.0.flaw == Some(Flaw::JudgedAfterTheLook), Act::Judge);
            }
        }
    }

    fn claims(&self, state: &State, by: u8, session: &Session, steps: &mut Vec<Step>) {
        if session.mode != Mode::Up || !session.open {
            return;
        }
        for (mail, it) in (0..).zip(&state.mails) {
            if it.place == Place::Ready {
                steps.push(Step::Claim { by, mail, heard: true });
                if state.faults.answers > 0 {
                    steps.push(Step::Claim { by, mail, heard: false });
                }
            }
            if it.place == Place::Sending(by) && !state.heard(mail) {
                steps.push(Step::Mend { by, mail });
            }
        }
    }
}

fn events(state: &State, by: u8, session: &Session, config: &Config, steps: &mut Vec<Step>) {
    let mut may = |possible: bool, event: Event| {
        if possible {
            steps.push(Step::Worker(by, event));
        }
    };
    let up = session.mode == Mode::Up;
    may(session.mode == Mode::Away, Event::Return);
    may(up && session.open && session.lease < config.lease, Event::Renew);
    may(up && !session.open, Event::Reopen);
    may(session.mode == Mode::Down && !session.open, Event::Start);
    may(session.open && session.lease == 0 && config.flaw != Some(Flaw::NeverTakenBack), Event::TakeBack);
    may(session.mode != Mode::Down && state.faults.crashes > 0, Event::Crash);
    may(up && state.faults.stalls > 0, Event::Stall);
}

/// One line of a trace. Workers and mails are counted from 1.
impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = |heard: &bool| if *heard { "" } else { ", the answer is lost" };
        match self {
            Self::Tick => write!(out, "a tick goes by"),
            Self::Appear(mail) => write!(out, "mail {} can be found in Sent", mail + 1),
            Self::Claim { by, mail, heard } => {
                write!(out, "worker {} claims mail {}{}", by + 1, mail + 1, lost(heard))
            }
            Self::Mend { by, mail } => write!(out, "worker {} tells that it never got mail {}", by + 1, mail + 1),
            Self::Worker(by, event) => write!(out, "worker {} {}", by + 1, event.words()),
            Self::Job { by, mail, fence, act } => {
                let (words, heard) = act.words();
                write!(out, "worker {} (fence {fence}) {words} mail {}{}", by + 1, mail + 1, lost(&heard))
            }
        }
    }
}

impl Event {
    fn words(self) -> &'static str {
        match self {
            Self::Crash => "is killed",
            Self::Stall => "stalls",
            Self::Return => "goes on",
            Self::Renew => "renews its lease",
            Self::Reopen => "hears that its session is gone and opens another",
            Self::Start => "is started anew",
            Self::TakeBack => "has lost its lease: its mails are taken back",
        }
    }
}

impl Act {
    fn words(self) -> (&'static str, bool) {
        match self {
            Self::Look => ("looks in Sent for", true),
            Self::LookFails => ("cannot ask Sent for", true),
            Self::Note { heard } => ("notes begun for", heard),
            Self::Send { accepted: true } => ("sends, and the server accepts,", true),
            Self::Send { accepted: false } => ("sends, and the server does not accept,", true),
            Self::Hear => ("hears the reply to", true),
            Self::HearForGood => ("hears a refusal for good of", true),
            Self::LoseReply => ("loses the connection before the reply to", true),
            Self::HandBack => ("gives up unsent", true),
            Self::Settle { heard } => ("settles", heard),
            Self::Judge => ("judges anew by the clock", true),
            Self::Abandon => ("can no longer send", true),
        }
    }
}
