//! The rules in force and the decision whether one fires.
//! With no rule for a stage the answer costs one atomic read: the sandbox is also the server of a benchmark.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use mail_parser::MessageParser;

use super::{Action, Fault, FaultView, Stage};
use crate::state::lock;
use crate::tokens::fold;

/// What is known at the moment that a fault could fire.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) from: Option<&'a str>,
    pub(crate) recipients: &'a [String],
    pub(crate) headers: &'a [u8],
    pub(crate) message_id: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct FaultBook {
    // One bit a stage that has rules.
    stages: AtomicU32,
    seed: u64,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    last_id: u64,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    id: u64,
    fault: Fault,
    matched: u64,
    fired: u64,
    per_mail: HashMap<String, u64>,
    random: u64,
}

impl FaultBook {
    pub(crate) fn new(seed: u64) -> Self {
        Self { stages: AtomicU32::new(0), seed, pages: Mutex::default() }
    }

    pub(crate) fn add(&self, mut fault: Fault) -> Result<u64, String> {
        fault.check()?;
        fault.account = fault.account.as_deref().map(fold);
        let mut pages = lock(&self.pages);
        pages.last_id += 1;
        let id = pages.last_id;
        let random = self.seed.wrapping_add(id.wrapping_mul(0xD134_2543_DE82_EF95));
        pages.rules.push(Rule { id, fault, matched: 0, fired: 0, per_mail: HashMap::new(), random });
        self.note_stages(&pages);
        Ok(id)
    }

    pub(crate) fn list(&self) -> Vec<FaultView> {
        let view = |rule: &Rule| FaultView {
            id: rule.id,
            matched: rule.matched,
            fired: rule.fired,
            fault: rule.fault.clone(),
        };
        lock(&self.pages).rules.iter().map(view).collect()
    }

    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut pages = lock(&self.pages);
        let before = pages.rules.len();
        pages.rules.retain(|rule| rule.id != id);
        self.note_stages(&pages);
        pages.rules.len() < before
    }

    pub(crate) fn clear(&self) {
        let mut pages = lock(&self.pages);
        pages.rules.clear();
        self.note_stages(&pages);
    }

    /// The action of the first rule that fires.
    pub(crate) fn meet(&self, stage: Stage, scene: &Scene<'_>) -> Option<Action> {
        if self.stages.load(Ordering::Acquire) & bit(stage) == 0 {
            return None;
        }
        let mut pages = lock(&self.pages);
        let fired = pages.rules.iter_mut().find_map(|rule| rule.fires(stage, scene).then_some(&rule.fault.action));
        fired.cloned()
    }

    fn note_stages(&self, pages: &Pages) {
        let stages = pages.rules.iter().fold(0, |bits, rule| bits | bit(rule.fault.stage));
        self.stages.store(stages, Ordering::Release);
    }
}

impl Rule {
    fn fires(&mut self, stage: Stage, scene: &Scene<'_>) -> bool {
        if !self.fault.matches(stage, scene) {
            return false;
        }
        self.matched += 1;
        if self.fault.every.is_some_and(|nth| !self.matched.is_multiple_of(nth)) {
            return false;
        }
        if let Some(probability) = self.fault.probability
            && next_fraction(&mut self.random) >= probability
        {
            return false;
        }
        if self.fault.times.is_some_and(|times| self.fired >= times) {
            return false;
        }
        if let Some(times) = self.fault.per_mail_times {
            let fired = self.per_mail.entry(scene.mail_key(stage)).or_default();
            if *fired >= times {
                return false;
            }
            *fired += 1;
        }
        self.fired += 1;
        true
    }
}

impl Fault {
    fn matches(&self, stage: Stage, scene: &Scene<'_>) -> bool {
        self.stage == stage
            && self.account.as_deref().is_none_or(|account| scene.account == Some(account))
            && self.from.as_deref().is_none_or(|part| scene.from.is_some_and(|from| from.contains(part)))
            && self.recipient.as_deref().is_none_or(|part| scene.recipients.iter().any(|to| to.contains(part)))
            && self.header.as_deref().is_none_or(|part| contains_any_case(scene.headers, part))
            && self.subject.as_deref().is_none_or(|part| subject_contains(scene.headers, part))
    }
}

impl Scene<'_> {
    /// What "each mail" means at a stage.
    fn mail_key(&self, stage: Stage) -> String {
        let envelope = || format!("{} {}", self.from.unwrap_or_default(), self.recipients.join(" "));
        match stage {
            Stage::Final | Stage::ImapSearch => self.message_id.map_or_else(envelope, str::to_owned),
            Stage::Data => envelope(),
            Stage::Rcpt => self.recipients.join(" "),
            Stage::Mail => self.from.unwrap_or_default().to_owned(),
            Stage::Auth | Stage::Token | Stage::ImapLogin => self.account.unwrap_or_default().to_owned(),
            Stage::Connect | Stage::Greeting | Stage::Ehlo | Stage::ImapConnect => String::new(),
        }
    }
}

fn bit(stage: Stage) -> u32 {
    1 << stage as u32
}

/// A number from 0 to below 1 by splitmix64: the same seed gives the same faults.
fn next_fraction(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

fn contains_any_case(haystack: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

fn subject_contains(headers: &[u8], part: &str) -> bool {
    let parsed = MessageParser::default().parse_headers(headers);
    parsed.as_ref().and_then(|mail| mail.subject()).is_some_and(|subject| subject.contains(part))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn count(book: &FaultBook, rounds: usize) -> usize {
        (0..rounds).filter(|_| book.meet(Stage::Mail, &Scene::default()).is_some()).count()
    }

    #[test]
    fn every_and_times_limit_how_often_a_rule_fires() {
        let book = FaultBook::new(1);
        book.add(Fault::new(Stage::Mail, Action::Cut).every(3).times(2)).unwrap();
        assert_eq!(count(&book, 5), 1);
        assert_eq!(count(&book, 20), 1);
        assert_eq!(book.list()[0].matched, 25);
    }

    #[test]
    fn probability_is_roughly_kept_and_the_same_for_the_same_seed() {
        let run = |seed| {
            let book = FaultBook::new(seed);
            book.add(Fault::new(Stage::Mail, Action::Cut).probability(0.25)).unwrap();
            (0..2000).map(|_| book.meet(Stage::Mail, &Scene::default()).is_some()).collect::<Vec<_>>()
        };
        let fired = run(7).iter().filter(|fired| **fired).count();
        assert!((400..600).contains(&fired), "{fired} of 2000");
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    /// The rules of docs/sandbox.md for a share of mails whose end stays open.
    #[test]
    fn five_in_a_hundred_are_cut_and_half_of_them_accepted() {
        let book = FaultBook::new(1);
        book.add(Fault::new(Stage::Final, Action::AcceptThenCut).probability(0.025)).unwrap();
        book.add(Fault::new(Stage::Final, Action::Cut).probability(0.0256)).unwrap();
        let met: Vec<_> = (0..10_000).map(|_| book.meet(Stage::Final, &Scene::default())).collect();
        for action in [Action::AcceptThenCut, Action::Cut] {
            let times = met.iter().filter(|met| met.as_ref() == Some(&action)).count();
            assert!((200..300).contains(&times), "{action:?}: {times} of 10,000");
        }
    }

    #[test]
    fn a_mail_is_told_apart_by_its_message_id() {
        let book = FaultBook::new(1);
        book.add(Fault::new(Stage::Final, Action::Cut).per_mail_times(2)).unwrap();
        let meet = |id| book.meet(Stage::Final, &Scene { message_id: Some(id), ..Scene::default() }).is_some();
        assert_eq!(["<a>", "<b>", "<a>", "<a>", "<b>", "<b>"].map(meet), [true, true, true, false, true, false]);
    }

    #[test]
    fn conditions_all_have_to_hold() {
        let book = FaultBook::new(1);
        book.add(Fault::new(Stage::Final, Action::Cut).account("A@b.example").recipient("bad").subject("grüße"))
            .unwrap();
        let to = ["bad@x.example".to_owned()];
        let headers = b"subject: =?utf-8?q?Viele_gr=C3=BC=C3=9Fe?=\r\n\r\n";
        let scene = Scene { account: Some("a@b.example"), recipients: &to, headers, ..Scene::default() };
        assert_eq!(book.meet(Stage::Final, &scene), Some(Action::Cut));
        assert_eq!(book.meet(Stage::Final, &Scene { account: Some("c@b.example"), ..scene }), None);
        assert_eq!(book.meet(Stage::Final, &Scene { recipients: &[], ..scene }), None);
        assert_eq!(book.meet(Stage::Final, &Scene { headers: b"Subject: no\r\n\r\n", ..scene }), None);
        assert_eq!(book.meet(Stage::Data, &scene), None);
    }
}
