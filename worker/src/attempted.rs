//! What an attempt came to, and what each of its transactions did.

use postroom_shared::clock::Millis;
use postroom_shared::reason::Reason;
use postroom_shared::replies::Class;
use postroom_shared::reply::{Reply, Stage};
use tokio_util::sync::CancellationToken;

use crate::lanes::Refusal;
use crate::split::Piece;
use crate::verdict::Verdict;

/// What an attempt came to.
#[derive(Default)]
pub struct Attempted {
    /// For each recipient that was open, by place in the envelope.
    pub findings: Vec<(usize, Verdict)>,
    /// What the server said of the mail as a whole, or how it fell silent.
    pub reply: Option<Reply>,
    /// What it said of recipients that it refused.
    pub refused: Vec<(usize, Reply)>,
    /// What a person is told if the account is held.
    pub note: String,
    /// The account was refused: its other mails wait until this is dropped.
    pub refusal: Option<Refusal>,
    /// The mail goes back because its account was refused before, and not before that hold is stored.
    pub after: Option<CancellationToken>,
    /// The mail cannot be tried at all.
    pub dead: Option<Reason>,
    /// The mail is still in doubt: Sent is asked again at that time.
    pub check: Option<Millis>,
    /// Transactions that the server took.
    pub taken: u32,
}

/// What a transaction came to.
#[derive(Default)]
pub(crate) struct Tried {
    pub(crate) attempted: Attempted,
    /// What is to be sent again at once, in smaller pieces.
    pub(crate) pieces: Vec<Piece>,
    /// No further piece can be sent now.
    pub(crate) stops: Option<Reason>,
}

impl Attempted {
    /// Nothing was tried for these.
    #[must_use]
    pub fn untried(places: &[usize], reason: Reason) -> Self {
        Self { findings: all(places, Verdict::Untried(reason)), ..Self::default() }
    }

    /// Whether every recipient was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.findings.iter().all(|(_, verdict)| *verdict == Verdict::Delivered)
            && self.dead.is_none()
            && self.check.is_none()
    }

    /// Whether there is nothing to tell: the mail only goes back because of another's refusal.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.after.is_some() && self.findings.iter().all(|(_, verdict)| matches!(verdict, Verdict::Untried(_)))
    }

    /// The furthest stage that the server answered.
    #[must_use]
    pub fn answered(&self) -> Option<Stage> {
        let replies = self.refused.iter().map(|(_, reply)| reply).chain(&self.reply);
        replies.filter(|reply| reply.code().is_some()).map(|reply| reply.stage).max()
    }

    /// What is left is not sent now.
    pub(crate) fn give_back(&mut self, left: &mut Vec<Piece>, reason: Reason) {
        for piece in left.drain(..) {
            self.findings.extend(all(&piece.places, Verdict::Untried(reason)));
        }
    }

    /// Adds what a further transaction came to.
    pub(crate) fn add(&mut self, more: Self) {
        self.findings.extend(more.findings);
        self.refused.extend(more.refused);
        self.reply = more.reply.or(self.reply.take());
        if !more.note.is_empty() {
            self.note = more.note;
        }
        self.refusal = more.refusal.or(self.refusal.take());
        self.after = more.after.or(self.after.take());
        self.taken += more.taken;
    }

    /// Whether the connection was at its end before anything was taken, or may have been.
    pub(crate) fn is_at_its_end(&self) -> bool {
        let is = |class: Class| move |verdict: &Verdict| verdict.meaning().is_some_and(|it| it.class == class);
        let ended = self.has(is(Class::Reconnect)) || self.has(is(Class::Token));
        ended && !self.has(is(Class::Uncertain)) && !self.has(|verdict| *verdict == Verdict::Delivered)
    }

    /// Whether a token was refused in the middle of a dialogue in which nothing was taken, and with which words.
    pub(crate) fn refused_token(&self) -> Option<Reply> {
        let is_token = |verdict: &Verdict| verdict.meaning().is_some_and(|it| it.class == Class::Token);
        let said = || self.refused.first().map(|(_, reply)| reply).or(self.reply.as_ref()).cloned();
        (self.is_at_its_end() && self.has(is_token)).then(said).flatten()
    }

    fn has(&self, wanted: impl Fn(&Verdict) -> bool) -> bool {
        self.findings.iter().any(|(_, verdict)| wanted(verdict))
    }
}

pub(crate) fn all(places: &[usize], verdict: Verdict) -> Vec<(usize, Verdict)> {
    places.iter().map(|place| (*place, verdict)).collect()
}

impl Tried {
    /// Nothing was tried, nor can be.
    pub(crate) fn untried(piece: &Piece, reason: Reason) -> Self {
        Self { attempted: Attempted::untried(&piece.places, reason), stops: Some(reason), ..Self::default() }
    }
}

/// What a person is told of a hold: the server's words, what they mean and what to do.
pub(crate) fn note(verdict: &Verdict, reply: Option<&Reply>) -> String {
    let words = reply.map(Reply::words).unwrap_or_default();
    match verdict {
        Verdict::Refused(meaning) => {
            format!("the server said \"{words}\": {} {}", meaning.row.means, meaning.row.advice)
        }
        Verdict::Delivered
        | Verdict::NoLogin(_)
        | Verdict::BrokenOff(_)
        | Verdict::Failed(_)
        | Verdict::Found
        | Verdict::Untried(_) => words,
    }
}

#[cfg(test)]
mod tests {
    use postroom_shared::replies::Table;

    use super::*;
    use crate::verdict::Meaning;

    fn refused(name: &str) -> Verdict {
        let row = Table::builtin().unwrap().rows().find(|row| row.name == name).unwrap();
        Verdict::Refused(Meaning::nth(row, 1))
    }

    #[test]
    fn an_attempt_begins_anew_only_if_nothing_can_have_been_taken() {
        let (ended, token) = (refused("closing-at-mail"), refused("token-refused"));
        for (others, expected) in [
            (vec![], true),
            (vec![refused("no-such-user"), refused("other-4xx")], true),
            (vec![Verdict::Delivered], false),
            (vec![refused("lost-after-the-dot")], false),
        ] {
            for end in [ended, token] {
                let findings = others.iter().copied().chain([end]).enumerate().collect();
                let reply = read("421 4.7.0 Goodbye.");
                let attempted = Attempted { findings, reply, ..Attempted::default() };
                assert_eq!(attempted.is_at_its_end(), expected, "{others:?}");
                assert_eq!(attempted.refused_token().is_some(), expected && end == token, "{others:?}");
            }
        }
        assert!(!Attempted::untried(&[0], Reason::HandedBack).is_at_its_end());
    }

    fn read(wire: &str) -> Option<Reply> {
        postroom_shared::replies::read_reply(Stage::Mail, wire)
    }
}
