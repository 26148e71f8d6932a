//! One state of the whole: what Redis holds, what each worker holds, what really happened, and which faults are left.

use crate::config::{Config, Faults};
use crate::redis::{Mail, Outcome, Place};

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What Redis knows, by mail.
    pub mails: Vec<Mail>,
    /// The workers' sessions.
    pub sessions: Vec<Session>,
    /// What really happened, by mail.
    pub truths: Vec<Truth>,
    /// Faults that may still happen.
    pub faults: Faults,
}

/// A worker and its session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Whether the worker runs.
    pub mode: Mode,
    /// Whether Redis knows the session.
    pub open: bool,
    /// Ticks until its lease ends. Heartbeats of a worker that runs keep it at the full lease.
    pub lease: u8,
    /// What the worker has in hand, also from sessions that it lost.
    pub jobs: Vec<Job>,
}

/// Whether a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It runs and reaches Redis.
    Up,
    /// It is stopped, or cut off from Redis: no script call, but what was begun may go on.
    Away,
    /// It was killed.
    Down,
}

/// A mail in a worker's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// Which.
    pub mail: u8,
    /// The fence under which it was handed out.
    pub fence: u8,
    /// It was handed out in doubt.
    pub doubt: bool,
    /// How far it has come.
    pub phase: Phase,
    /// Ticks since its lease was lost.
    pub lost_for: u8,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing was done yet.
    Held,
    /// It may be sent although it was in doubt: Sent was asked in vain (`true`), or could not be asked (`false`).
    Clear(bool),
    /// The begun note's answer was heard: its data may leave.
    Begun,
    /// All data has left. The server took it, or did not; the worker does not know.
    Flown(bool),
    /// Its outcome is known and must be settled.
    Done(Outcome),
}

/// What really happened to a mail: nobody in the protocol can read this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Truth {
    /// How often a server accepted it, up to 3.
    pub accepted: u8,
    /// Whether a copy can be found in Sent.
    pub copy: Copy,
    /// A delivery was told to Redis.
    pub known: bool,
    /// Redis took a begun note for it.
    pub noted: bool,
}

/// A copy in the Sent mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Copy {
    /// There is none.
    #[default]
    None,
    /// It is there since so many ticks and cannot be found yet.
    Hidden(u8),
    /// It is found.
    Visible,
}

impl State {
    /// All mails are ready and all workers have just opened their sessions.
    #[must_use]
    pub fn first(config: &Config) -> Self {
        let session = Session { mode: Mode::Up, open: true, lease: config.lease, jobs: Vec::new() };
        Self {
            mails: vec![Mail::new(config.ttl); usize::from(config.mails)],
            sessions: vec![session; usize::from(config.sessions)],
            truths: vec![Truth::default(); usize::from(config.mails)],
            faults: config.faults,
        }
    }

    /// Whether every mail has come to an end.
    #[must_use]
    pub fn resolved(&self) -> bool {
        self.mails.iter().all(Mail::resolved)
    }

    /// Every job with its session's number.
    pub fn jobs(&self) -> impl Iterator<Item = (u8, &Job)> {
        (0..).zip(&self.sessions).flat_map(|(number, session)| session.jobs.iter().map(move |job| (number, job)))
    }

    /// Whether a job's session still holds its mail.
    #[must_use]
    pub fn holds(&self, session: u8, job: &Job) -> bool {
        self.mails[usize::from(job.mail)].held_by(session, job.fence)
    }

    /// Whether the worker of the mail's holder knows of it.
    #[must_use]
    pub fn heard(&self, mail: u8) -> bool {
        let it = &self.mails[usize::from(mail)];
        match it.place {
            Place::Sending(holder) => {
                self.sessions[usize::from(holder)].jobs.iter().any(|job| job.mail == mail && job.fence == it.fence)
            }
            Place::Ready | Place::Retry(_) | Place::Sent | Place::Dead(_) => true,
        }
    }
}
