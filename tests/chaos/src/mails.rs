//! The mails of a run: of which kind the nth is, by seed.

use std::time::{Duration, UNIX_EPOCH};

use postroom::{Millis, NewMail, Priority};

use crate::dice::Dice;

/// The server refuses every recipient that contains this, for good.
pub(crate) const GONE: &str = "gone-";
/// The server refuses every mail whose subject contains this, for good.
pub(crate) const BLOCKED: &str = "[blocked]";
/// How long a mail in a hurry is tried.
const HURRY: Duration = Duration::from_secs(8);
/// Larger than what goes out in one flight with its envelope.
const LARGE: usize = 100_000;

/// What a mail is there to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One recipient, nothing special.
    Plain,
    /// Two to six recipients.
    Several,
    /// Text of 100 kB, so that the envelope is answered before the content goes.
    Large,
    /// Three recipients, one of whom is refused for good.
    SomeGone,
    /// The only recipient is refused for good.
    AllGone,
    /// The mail is refused for good.
    Blocked,
    /// It is tried for 8 s only.
    Hurried,
    /// Not before two seconds.
    Scheduled,
}

const WEIGHTS: [(Kind, u64); 8] = [
    (Kind::Plain, 58),
    (Kind::Several, 14),
    (Kind::Large, 5),
    (Kind::SomeGone, 6),
    (Kind::AllGone, 3),
    (Kind::Blocked, 4),
    (Kind::Hurried, 7),
    (Kind::Scheduled, 3),
];
/// Of a hundred mails, those of the account with the small limit.
const SMALL_SHARE: u64 = 6;

/// A mail to be handed over.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    pub(crate) mail: NewMail,
}

/// The nth mail. `accounts` are their addresses, the last one that of the account with the small limit.
pub(crate) fn plan(dice: &mut Dice, n: u64, accounts: &[String]) -> Planned {
    let (small, others) = (accounts.len().saturating_sub(1), accounts.len().saturating_sub(1) as u64);
    let is_small = dice.percent(SMALL_SHARE);
    let account = if is_small { small } else { usize::try_from(dice.below(others)).unwrap_or_default() };
    let chosen = dice.weighted(&WEIGHTS).unwrap_or(Kind::Plain);
    let kind = if is_small { Kind::Plain } else { chosen };
    let priority = [Priority::Urgent, Priority::Normal, Priority::Normal, Priority::Bulk];
    let priority = priority[usize::try_from(dice.below(4)).unwrap_or_default()];
    let mail = NewMail {
        from: accounts.get(account).cloned().unwrap_or_default(),
        to: vec![format!("to-{n}@chaos.example")],
        subject: format!("Chaos {n}"),
        text: Some(format!("Mail {n}.\n.\nA line of one dot came before.\n")),
        priority,
        idempotency_key: dice.percent(40).then(|| format!("chaos-{n}")),
        ..NewMail::default()
    };
    Planned { kind, mail: shaped(kind, n, mail, dice) }
}

fn shaped(kind: Kind, n: u64, mut mail: NewMail, dice: &mut Dice) -> NewMail {
    let people = |count: u64| (0..count).map(|place| format!("to-{n}-{place}@chaos.example"));
    match kind {
        Kind::Plain => {}
        Kind::Several => mail.to = people(dice.between(2, 7)).collect(),
        Kind::Large => mail.text = Some("A line of a long text, number such and such.\n".repeat(LARGE / 45)),
        Kind::SomeGone => mail.to = people(2).chain([format!("{GONE}{n}@chaos.example")]).collect(),
        Kind::AllGone => mail.to = vec![format!("{GONE}{n}@chaos.example")],
        Kind::Blocked => mail.subject = format!("{BLOCKED} {n}"),
        Kind::Hurried => mail.ttl = Some(HURRY),
        Kind::Scheduled => mail.send_at = Some(UNIX_EPOCH + Duration::from_millis(Millis::now().0 + 2_000)),
    }
    mail
}
