//! The corpora, and random changes of them, against the same properties as under the fuzzer: what `make test` and machines
//! without its toolchain try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use postroom_fuzz::{TARGETS, run};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

/// What one input may take. It takes microseconds; this leaves room for a machine that is busy with other things.
const LONGEST: Duration = Duration::from_secs(5);

/// The inputs that are kept of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn within_its_time(target: &str, bytes: &[u8]) {
    let began = Instant::now();
    run(target, bytes);
    assert!(began.elapsed() < LONGEST, "{target}: {:?} for {} bytes", began.elapsed(), bytes.len());
}

#[test]
fn every_target_has_a_corpus_and_holds_for_all_of_it() {
    for (target, _) in TARGETS {
        for bytes in corpus(target) {
            within_its_time(target, &bytes);
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name}");
    }
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Cut(prop::sample::Index, usize),
    Put(prop::sample::Index, Vec<u8>),
    Flip(prop::sample::Index, u8),
    Repeat(prop::sample::Index, usize, u8),
    Splice(prop::sample::Index, prop::sample::Index),
}

/// What parsers trip over.
const WORDS: [&str; 24] = [
    "\"",
    "\\",
    "@",
    "<",
    ">",
    ",",
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\u{1}",
    "=?utf-8?B?",
    "?=",
    "a@x.example",
    "null",
    "{}",
    "[]",
    "[",
    ":",
    "\r\n ",
    "é",
    "\u{202e}",
    "250-",
    "4294967296",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let word = prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec());
    prop_oneof![
        (at(), 1_usize..40).prop_map(|(at, length)| Change::Cut(at, length)),
        (at(), word).prop_map(|(at, word)| Change::Put(at, word)),
        (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Put(at, bytes)),
        (at(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        (at(), 1_usize..40, 1_u8..60).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at()).prop_map(|(at, from)| Change::Splice(at, from)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], other: &[u8]) -> Vec<u8> {
    for change in changes {
        let at = |index: &prop::sample::Index| index.index(bytes.len() + 1);
        match change {
            Change::Cut(from, length) => {
                let from = at(from);
                bytes.drain(from..(from + length).min(bytes.len()));
            }
            Change::Put(to, word) => {
                let to = at(to);
                bytes.splice(to..to, word.iter().copied());
            }
            Change::Flip(place, mask) => {
                let place = at(place);
                bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= mask);
            }
            Change::Repeat(from, length, times) => {
                let from = at(from);
                let piece = bytes[from..(from + length).min(bytes.len())].repeat(usize::from(*times));
                bytes.splice(from..from, piece);
            }
            Change::Splice(to, from) => {
                let (to, from) = (at(to), from.index(other.len() + 1));
                bytes.truncate(to);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

#[test]
fn every_target_holds_for_changes_of_its_corpus() {
    // `PROPTEST_CASES` says how many of a target: `make fuzz` sets it where the fuzzer cannot be had.
    let cases = ProptestConfig::default().cases.max(2_000);
    for (target, _) in TARGETS {
        let corpus = corpus(target);
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let any_of = || prop::sample::select(corpus.clone());
        let input = (any_of(), prop::collection::vec(change(), 1..6), any_of())
            .prop_map(|(bytes, changes, other)| changed(bytes, &changes, &other));
        let tried = runner.run(&input, |bytes| {
            within_its_time(target, &bytes);
            Ok::<(), TestCaseError>(())
        });
        tried.unwrap_or_else(|failed| panic!("{target}: {failed}"));
    }
}
