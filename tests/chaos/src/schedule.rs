//! Which fault comes when: a list without end that depends on the seed and the sizes alone.
//!
//! Nothing in here looks at a clock or at what runs: the same seed is the same schedule. What the processes are doing at
//! that moment differs from run to run.

use std::time::Duration;

use postroom_sandbox::Stage;

use crate::dice::Dice;

/// What goes wrong. docs/reliability.md tells each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// `kill -9` of a worker, whatever it does.
    Kill,
    /// The server is slow at a stage; when a dialogue has come there, a worker or all of them are killed.
    KillAtStage,
    /// `SIGSTOP` for longer than the lease, then `SIGCONT`.
    Stop,
    /// `SIGTERM`, and another worker.
    Term,
    /// Redis is killed and comes back with what it kept.
    RedisRestart,
    /// Redis answers nobody for a while.
    RedisStall,
    /// Redis gives its place to its replica, and takes it back after a while.
    FailOver,
    /// A worker's clock is set, forward or back, and set right again.
    ClockStep,
    /// The server cuts connections at a stage.
    Cut,
    /// The server takes a mail and cuts the connection before it says so.
    TakenThenCut,
    /// The server is slow at a stage.
    Slow,
    /// The server never answers at a stage before the content.
    Silence,
    /// The server says what is no SMTP, at a stage.
    Garbage,
    /// The server refuses for now: 421, 450, 451, 452.
    Later,
    /// `550 5.4.5`: an account's quota, for a second by a row of our own.
    Quota,
    /// An account's access tokens end.
    TokensEnd,
    /// The token endpoint answers 503.
    TokenService,
    /// An account's consent is taken back, given again, and the account added anew.
    Revoke,
    /// IMAP is out of reach.
    SentAway,
}

/// All kinds, with their weights.
pub(crate) const WEIGHTS: [(Kind, u64); 19] = [
    (Kind::Kill, 22),
    (Kind::KillAtStage, 22),
    (Kind::Stop, 6),
    (Kind::Term, 6),
    (Kind::RedisRestart, 3),
    (Kind::RedisStall, 3),
    (Kind::FailOver, 2),
    (Kind::ClockStep, 6),
    (Kind::Cut, 14),
    (Kind::TakenThenCut, 6),
    (Kind::Slow, 6),
    (Kind::Silence, 3),
    (Kind::Garbage, 6),
    (Kind::Later, 12),
    (Kind::Quota, 3),
    (Kind::TokensEnd, 2),
    (Kind::TokenService, 2),
    (Kind::Revoke, 2),
    (Kind::SentAway, 4),
];

/// The stages of the dialogue.
pub(crate) const STAGES: [Stage; 8] =
    [Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Final];

/// One fault of the schedule. Every field is thrown for every kind; each kind uses what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its place, from 1.
    pub(crate) number: u64,
    /// How long after the fault before it.
    pub(crate) after: Duration,
    /// What.
    pub(crate) kind: Kind,
    /// Which worker.
    pub(crate) worker: usize,
    /// Which account.
    pub(crate) account: usize,
    /// Where in the dialogue.
    pub(crate) stage: Stage,
    /// How long, as a part of what the kind allows, in thousandths.
    pub(crate) length: u64,
    /// How often at most.
    pub(crate) times: u64,
    /// A throw for whatever else has to be chosen.
    pub(crate) choice: u64,
}

impl Planned {
    /// A span between two bounds (ms).
    pub(crate) fn span(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + most.saturating_sub(least) * self.length / 1_000)
    }
}

/// The faults of a seed, one after the other, without end.
pub(crate) struct Schedule {
    dice: Dice,
    number: u64,
    workers: u64,
    accounts: u64,
}

impl Schedule {
    pub(crate) fn new(seed: u64, workers: u64, accounts: u64) -> Self {
        Self { dice: Dice::new(seed, 1), number: 0, workers, accounts }
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        self.number += 1;
        let dice = &mut self.dice;
        Some(Planned {
            number: self.number,
            after: Duration::from_millis(dice.between(20, 380)),
            kind: dice.weighted(&WEIGHTS)?,
            worker: usize::try_from(dice.below(self.workers)).ok()?,
            account: usize::try_from(dice.below(self.accounts)).ok()?,
            stage: *STAGES.get(usize::try_from(dice.below(STAGES.len() as u64)).ok()?)?,
            length: dice.below(1_001),
            times: dice.between(1, 4),
            choice: dice.below(1 << 32),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(seed: u64) -> Vec<Planned> {
        Schedule::new(seed, 3, 4).take(2_000).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_schedule_and_another_seed_another() {
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
    }

    #[test]
    fn every_kind_comes_by_its_weight_at_every_stage_to_every_worker_and_account() {
        let planned = first(1);
        let sum: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        for (kind, weight) in WEIGHTS {
            let times = planned.iter().filter(|one| one.kind == kind).count() as u64;
            let expected = 2_000 * weight / sum;
            assert!(times >= expected / 2 && times <= expected * 2, "{kind:?}: {times}, expected about {expected}");
        }
        for kind in [Kind::KillAtStage, Kind::Cut] {
            let stages: BTreeSet<String> =
                planned.iter().filter(|one| one.kind == kind).map(|one| format!("{:?}", one.stage)).collect();
            assert_eq!(stages.len(), STAGES.len(), "{kind:?}");
        }
        assert_eq!(planned.iter().map(|one| one.worker).collect::<BTreeSet<_>>(), (0..3).collect());
        assert_eq!(planned.iter().map(|one| one.account).collect::<BTreeSet<_>>(), (0..4).collect());
    }
}
