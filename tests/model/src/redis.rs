//! What Redis holds of a mail, and what each script does to it: a pure function a script.
//!
//! Scripts are atomic, so each is one step. Nothing here knows what really happened outside of Redis.

use crate::config::{Config, Counting, Flaw};

/// A mail as Redis knows it (`mail:<id>`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// Its state (`s`, with `w` for the holder).
    pub place: Place,
    /// Raised each time it is handed out (`f`).
    pub fence: u8,
    /// The holder of the present lease noted that data may leave.
    pub begun: bool,
    /// Since when nobody knows whether it was delivered, in ticks, up to the allowance (`u`).
    pub doubt: Option<u8>,
    /// Begun leases that were lost.
    pub lost: u8,
    /// It was sent again at its deadline although Sent could not be asked.
    pub resent_blind: bool,
    /// The fence that settled last (`x`).
    pub settled: u8,
    /// Ticks until its deadline.
    pub ttl: u8,
    /// Attempts that were counted (`n`).
    pub attempts: u8,
    /// How often the script counted it as doubled, up to 2.
    pub doubled: u8,
    /// The fences whose holders heard the server's 250, a bit each (of [`Counting::ByReply`]).
    pub told: u16,
}

/// Where a mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In its lane.
    Ready,
    /// Leased to a session.
    Sending(u8),
    /// It waits for so many ticks.
    Retry(u8),
    /// Delivered.
    Sent,
    /// In the dead letters.
    Dead(Reason),
}

/// Why a mail is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its deadline came, and it is known not to have been delivered.
    Expired,
    /// The server refused it for good.
    Refused,
    /// It took several workers with it, and is known not to have been delivered.
    Poison,
    /// Nobody knows whether it was delivered, and Sent could not be asked.
    Uncertain,
}

/// What a worker tells when it settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Delivered: the server said so.
    Sent,
    /// Delivered: it was found in Sent.
    Found,
    /// Not delivered, again later.
    Retry,
    /// Refused for good.
    Refused,
    /// Lost after the last byte: nobody knows.
    Check,
    /// Looked for and not found, or Sent was not to be asked: look again later.
    LookAgain,
    /// Handed back unsent.
    Back,
    /// Looked for in vain, and its deadline has come.
    Expired,
    /// Looked for in vain, and it took too many workers with it.
    Poison,
    /// Its deadline has come, and Sent could not be asked.
    Uncertain,
}

impl Outcome {
    /// Whether it tells of a delivery.
    #[must_use]
    pub fn delivered(self) -> bool {
        matches!(self, Self::Sent | Self::Found)
    }
}

impl Mail {
    /// Pushed just now.
    #[must_use]
    pub fn new(ttl: u8) -> Self {
        Self {
            place: Place::Ready,
            fence: 0,
            begun: false,
            doubt: None,
            lost: 0,
            resent_blind: false,
            settled: 0,
            ttl,
            attempts: 0,
            doubled: 0,
            told: 0,
        }
    }

    /// Whether it has come to an end.
    #[must_use]
    pub fn resolved(&self) -> bool {
        matches!(self.place, Place::Sent | Place::Dead(_))
    }

    /// Whether the session holds it with this fence.
    #[must_use]
    pub fn held_by(&self, session: u8, fence: u8) -> bool {
        self.place == Place::Sending(session) && self.fence == fence
    }

    /// `claim`: hands it out, or buries it if its deadline has come. A mail in doubt is handed out even then: it must be
    /// looked for first.
    pub fn claim(&mut self, session: u8, config: &Config) {
        if self.ttl == 0 && (self.doubt.is_none() || config.flaw == Some(Flaw::ExpiredUnasked)) {
            self.place = Place::Dead(Reason::Expired);
            return;
        }
        self.fence += 1;
        self.begun = false;
        self.place = Place::Sending(session);
    }

    /// The begun note. True: the data may leave. If Sent was asked in vain after the allowance, the old doubt is over.
    pub fn note(&mut self, session: u8, fence: u8, looked: bool, config: &Config) -> bool {
        if !self.held_by(session, fence) {
            return config.flaw == Some(Flaw::UnfencedNote);
        }
        self.begun = true;
        if looked {
            self.doubt = None;
        } else if self.doubt.is_some() {
            self.resent_blind = true;
        }
        true
    }

    /// The lease ran out: not begun, it is ready as it was; begun, it is in doubt from now on.
    pub fn take_back(&mut self, session: u8, config: &Config) {
        if self.place != Place::Sending(session) {
            return;
        }
        self.place = Place::Ready;
        if !self.begun {
            if config.flaw == Some(Flaw::DoubtForgotten) {
                self.doubt = None;
            }
            return;
        }
        self.begun = false;
        self.lost += 1;
        if config.flaw != Some(Flaw::TakeBackWithoutDoubt) {
            self.doubt = Some(0);
        }
    }

    /// `mend`: it was handed out without the worker hearing of it.
    pub fn mend(&mut self, session: u8) {
        if self.place == Place::Sending(session) {
            self.place = Place::Ready;
        }
    }

    /// `settle`: only the holder moves it, but a delivery is never thrown away.
    pub fn settle(&mut self, session: u8, fence: u8, outcome: Outcome, config: &Config) {
        if outcome == Outcome::Sent && config.counting == Counting::ByReply {
            self.told |= 1 << fence.min(15);
        }
        if self.held_by(session, fence) || config.flaw == Some(Flaw::UnfencedSettle) {
            self.move_on(fence, outcome, config);
        } else if self.settled != fence && outcome.delivered() {
            self.late(fence, config);
        }
    }

    fn late(&mut self, fence: u8, config: &Config) {
        if self.place == Place::Sent {
            self.doubled = match config.counting {
                Counting::Plain => (self.doubled + 1).min(2),
                Counting::ByReply => u8::try_from(self.told.count_ones()).unwrap_or(u8::MAX).saturating_sub(1).min(2),
            };
        } else if config.flaw != Some(Flaw::LateSentThrownAway) {
            self.done(fence);
        }
    }

    /// All that is still told of it.
    fn done(&mut self, fence: u8) {
        self.place = Place::Sent;
        self.settled = fence;
        self.begun = false;
        self.doubt = None;
    }

    fn move_on(&mut self, fence: u8, outcome: Outcome, config: &Config) {
        if outcome.delivered() {
            return self.done(fence);
        }
        if matches!(outcome, Outcome::Retry | Outcome::Refused | Outcome::Check) {
            self.attempts += 1;
        }
        self.settled = fence;
        self.begun = false;
        self.place = match outcome {
            Outcome::Sent | Outcome::Found => Place::Sent,
            Outcome::Back => Place::Ready,
            Outcome::Refused if self.doubt.is_some() => Place::Dead(Reason::Uncertain),
            Outcome::Refused => Place::Dead(Reason::Refused),
            Outcome::Expired => Place::Dead(Reason::Expired),
            Outcome::Poison => Place::Dead(Reason::Poison),
            Outcome::Uncertain => Place::Dead(Reason::Uncertain),
            Outcome::Retry if self.ttl == 0 && self.doubt.is_some() => Place::Dead(Reason::Uncertain),
            Outcome::Retry if self.ttl == 0 => Place::Dead(Reason::Expired),
            Outcome::Check | Outcome::LookAgain if self.ttl == 0 && config.flaw == Some(Flaw::ExpiredUnasked) => {
                Place::Dead(Reason::Expired)
            }
            Outcome::Retry | Outcome::Check | Outcome::LookAgain => Place::Retry(1),
        };
        if outcome == Outcome::Check {
            self.doubt = Some(0);
        }
    }

    /// Time goes on.
    pub fn tick(&mut self, config: &Config) {
        self.ttl = self.ttl.saturating_sub(1);
        self.doubt = self.doubt.map(|since| (since + 1).min(config.allowance));
        if let Place::Retry(wait) = self.place {
            self.place = if wait <= 1 { Place::Ready } else { Place::Retry(wait - 1) };
        }
    }
}
