//! The bounds of one run of the checker: how long things take, how many faults may happen, and which rule is broken.

/// One run. Times are in ticks; a tick is any length, only what is longer than what counts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Workers' sessions.
    pub sessions: u8,
    /// Mails, all ready at the beginning.
    pub mails: u8,
    /// How long a session lives after its last heartbeat.
    pub lease: u8,
    /// How long a mail in doubt is looked for before it may go again.
    pub allowance: u8,
    /// The longest time from the last byte's leaving until an accepted mail can be found in Sent.
    pub indexing: u8,
    /// The longest time after the doubt was noted at which the data of the lost lease may still leave.
    pub late: u8,
    /// A mail's time to live.
    pub ttl: u8,
    /// So many begun leases lost make a mail poison.
    pub poison: u8,
    /// Whether Sent can be asked.
    pub imap: Imap,
    /// What becomes of a mail in doubt when its deadline has come and Sent cannot be asked.
    pub at_deadline: AtDeadline,
    /// How the script counts what was delivered twice.
    pub counting: Counting,
    /// How often each fault may happen.
    pub faults: Faults,
    /// A rule that is broken on purpose.
    pub flaw: Option<Flaw>,
}

/// How often each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A worker is killed.
    pub crashes: u8,
    /// A worker is stopped, or cut off from Redis, for as long as it likes.
    pub stalls: u8,
    /// A script ran, but its answer is lost.
    pub answers: u8,
    /// The connection is lost after the last byte and before the server's reply.
    pub replies: u8,
    /// The server refuses a mail, for now or for good, or the worker hands it back unsent.
    pub refusals: u8,
    /// Sent cannot be asked (of [`Imap::Reachable`]).
    pub looks: u8,
}

/// Whether Sent can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imap {
    /// But for as many failures as the faults allow.
    Reachable,
    /// Never.
    Away,
}

/// What becomes of a mail in doubt at its deadline while Sent cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtDeadline {
    /// It is sent again, once.
    Resend,
    /// It is dead, with the reason that nobody knows.
    Dead,
}

/// How the script counts what was delivered twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Each delivery that is told of a mail that is sent already (`settle.lua`).
    Plain,
    /// Each fence but the first whose holder heard a 250; what was found in Sent is no delivery of its own.
    ByReply,
}

/// A rule that is broken on purpose, to show that the checker finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A settlement moves the mail whoever holds it, and however often it is told.
    UnfencedSettle,
    /// A begun mail that was taken back is ready, as if nothing had happened.
    TakeBackWithoutDoubt,
    /// What a worker that lost its lease tells is thrown away, even a delivery.
    LateSentThrownAway,
    /// The data leaves before the answer to the begun note was heard.
    SendBeforeNoteIsHeard,
    /// The begun note is taken from whoever comes.
    UnfencedNote,
    /// Taking back a mail that was not begun forgets the doubt that it came with.
    DoubtForgotten,
    /// A mail in doubt is buried at its deadline without having been looked for.
    ExpiredUnasked,
    /// Whether the allowance is over is judged when Sent has answered, not when it was asked.
    JudgedAfterTheLook,
    /// A mail in doubt whose deadline has come is sent again, each time, while Sent cannot be asked.
    ResentWithoutEnd,
    /// A session that ran out keeps its mails.
    NeverTakenBack,
}

impl Faults {
    /// None.
    pub const NONE: Self = Self { crashes: 0, stalls: 0, answers: 0, replies: 0, refusals: 0, looks: 0 };
}

impl Config {
    /// Two sessions, one mail, each fault once; what the promise asks of the world holds.
    #[must_use]
    pub fn small() -> Self {
        Self {
            sessions: 2,
            mails: 1,
            lease: 1,
            allowance: 2,
            indexing: 1,
            late: 1,
            ttl: 4,
            poison: 2,
            imap: Imap::Reachable,
            at_deadline: AtDeadline::Dead,
            counting: Counting::Plain,
            faults: Faults { crashes: 1, stalls: 1, answers: 1, replies: 1, refusals: 1, looks: 1 },
            flaw: None,
        }
    }

    /// With other bounds on the faults.
    #[must_use]
    pub fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// With a broken rule.
    #[must_use]
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }
}
