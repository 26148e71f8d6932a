//! What an attempt's replies mean, for each recipient: by the table of replies, and by where they came.
//!
//! Pure. It decides nothing about what follows, and it asks the table only about replies that were not hoped for.

use std::time::Duration;

use postroom_shared::reason::Reason;
use postroom_shared::replies::class::{Connection, Scope};
use postroom_shared::replies::{Class, Row, Table};
use postroom_shared::reply::{Reply, Silence, Stage};

use postroom_shared::smtp::{End, Outcome};

/// What an attempt came to, for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server took it.
    Delivered,
    /// The server refused it, or fell silent.
    Refused(Meaning),
    /// There is no token to log in with until a person acts.
    NoLogin(NoLogin),
    /// The attempt was broken off after the bytes had begun to leave: the server may have taken it.
    BrokenOff(Reason),
    /// The attempt was broken off before.
    Failed(Reason),
    /// It was found in Sent: the server had taken it in an earlier attempt.
    Found,
    /// Nothing was tried.
    Untried(Reason),
}

/// Why there is no token to log in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLogin {
    /// The consent is gone.
    Consent,
    /// The OAuth2 client is refused, for all its accounts.
    Client,
    /// The sealed credentials cannot be opened, or the service account cannot act for this user.
    Config,
    /// The account's domain does not let the service account act for it, or not yet: that comes by itself.
    NotDelegated,
    /// This machine's clock is refused: another worker's may be right.
    Clock,
}

/// What the table says of a reply, the first time or after some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// What follows from it.
    pub class: Class,
    /// Why.
    pub reason: Reason,
    /// The least pause of a class that waits.
    pub floor: Duration,
    /// Up to which the pause grows; zero: as the retry settings say.
    pub hold: Duration,
    /// Whether a person has to know.
    pub alert: bool,
    /// The row that says so.
    pub row: &'static Row,
}

/// What is refused for good before the first word of a mail keeps the account for so long at first, and at most. Not a fact
/// of Gmail's: short enough that a fault which passes costs little, long enough that one which stays costs no logins.
const OPENING_FLOOR: Duration = Duration::from_secs(60);
const OPENING_HOLD: Duration = Duration::from_secs(3_600);

/// How many replies of a row there were, this one counted.
#[derive(Debug, Clone, Default)]
pub struct Nth {
    /// The number of the mail's attempt, from 1.
    pub attempt: u32,
    /// The number of the try within it, from 1: a kept connection that ended begins another.
    pub turn: u32,
    /// What the fleet counted for the account, by row.
    pub fleet: Vec<(&'static str, u32)>,
}

impl Nth {
    fn of(&self, row: &Row) -> u32 {
        match (row.class, row.scope) {
            (Class::Reconnect | Class::Token, _) => self.turn,
            // Counted where it is known whether parting helped (`split.rs`).
            (Class::Split, _) => 1,
            (_, Scope::Mail | Scope::Recipient) => self.attempt,
            (_, Scope::Account | Scope::Logins) => {
                self.fleet.iter().find(|(name, _)| *name == row.name).map_or(1, |(_, count)| *count)
            }
        }
    }
}

/// Whether the replies of this row are counted for the whole fleet.
#[must_use]
pub fn counts_in_fleet(row: &Row) -> bool {
    let of_its_own = matches!(row.class, Class::Reconnect | Class::Token | Class::Split);
    row.then.is_some() && !of_its_own && matches!(row.scope, Scope::Account | Scope::Logins)
}

impl Meaning {
    /// What the `nth` reply of a row means.
    #[must_use]
    pub fn nth(row: &'static Row, nth: u32) -> Self {
        let (class, reason) = row.nth(nth);
        let its_own = class == Class::Quota || class.waits() && (class == row.class || !row.class.waits());
        let (floor, hold) = if its_own { (row.floor, row.hold) } else { (Duration::ZERO, Duration::ZERO) };
        Self { class, reason, floor, hold, alert: row.alert, row }
    }

    /// What it means after all its tries.
    #[must_use]
    pub fn after_all(row: &'static Row) -> Self {
        Self::nth(row, u32::MAX)
    }

    /// What it means at its place. Before `MAIL` nothing was said of any mail: what is refused there for good concerns every
    /// mail of the account, so none of them may die of it.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        if stage >= Stage::Mail {
            return self;
        }
        match self.class {
            Class::Recipient | Class::Message | Class::Config => Self {
                class: Class::Quota,
                reason: Reason::Config,
                floor: OPENING_FLOOR,
                hold: OPENING_HOLD,
                alert: true,
                row: self.row,
            },
            Class::Split | Class::Uncertain => Self { class: Class::Soon, ..self },
            Class::Soon | Class::Reconnect | Class::Quota | Class::Token | Class::Consent => self,
        }
    }
}

impl Verdict {
    /// Whether the recipient is refused for good.
    #[must_use]
    pub fn is_final_refusal(&self) -> bool {
        self.meaning().is_some_and(|it| matches!(it.class, Class::Recipient | Class::Message | Class::Config))
    }

    /// What the table says, if the server, or its silence, said something.
    #[must_use]
    pub fn meaning(&self) -> Option<&Meaning> {
        match self {
            Self::Refused(meaning) => Some(meaning),
            Self::Delivered
            | Self::NoLogin(_)
            | Self::BrokenOff(_)
            | Self::Failed(_)
            | Self::Found
            | Self::Untried(_) => None,
        }
    }
}

/// Whether the connection on which it was said is not used again.
#[must_use]
pub fn gives_up(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Refused(Meaning { class, row, .. }) => {
            row.connection != Connection::Keep || matches!(class, Class::Reconnect | Class::Token)
        }
        Verdict::Delivered
        | Verdict::NoLogin(_)
        | Verdict::BrokenOff(_)
        | Verdict::Failed(_)
        | Verdict::Found
        | Verdict::Untried(_) => false,
    }
}

/// What a reply, or a silence, means that was not hoped for.
#[must_use]
pub fn meaning(table: &'static Table, reply: &Reply, nth: &Nth) -> Meaning {
    let row = table.classify(reply).row;
    let found = Meaning::nth(row, nth.of(row)).at(reply.stage);
    if reply.stage == Stage::Final && reply.code().is_none() {
        // Whatever a row says: the server may have taken the mail.
        return Meaning { class: Class::Uncertain, ..found };
    }
    found
}

/// What became of each recipient of a transaction, by place in the envelope.
#[must_use]
pub fn verdicts(table: &'static Table, places: &[usize], outcome: &Outcome, nth: &Nth) -> Vec<(usize, Verdict)> {
    let whole = of_the_mail(table, &outcome.end, nth);
    let of_one = |said: &Result<(), Reply>| match said {
        // A recipient's own reply says more than what became of the mail: a 503 to the data is only its echo.
        Err(reply) => Verdict::Refused(meaning(table, reply, nth)),
        Ok(()) => whole,
    };
    places.iter().copied().zip(outcome.recipients.iter().map(of_one)).collect()
}

/// What the mail's end means for those who were not refused themselves.
fn of_the_mail(table: &'static Table, end: &End, nth: &Nth) -> Verdict {
    let closed = || Reply::silence(Stage::Rcpt, Silence::Closed, "the connection ended with another recipient's reply");
    let reply = match end {
        End::Accepted(_) => return Verdict::Delivered,
        End::Refused(reply) | End::Lost(reply) => reply,
        End::NoRecipient => return Verdict::Refused(meaning(table, &closed(), nth)),
    };
    let found = meaning(table, reply, nth);
    if reply.stage == Stage::Rcpt && found.row.scope == Scope::Recipient {
        // A 421 to one recipient ended the connection for all, but it was said of that one.
        return Verdict::Refused(meaning(table, &closed(), nth));
    }
    Verdict::Refused(found)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
