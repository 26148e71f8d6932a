//! The order of the rows: none is hidden by another, and what stands for the unknown stands last.

use super::super::pattern::STAGES;
use super::super::{Table, TableError};
use super::table;
use crate::reply::Stage;

#[test]
fn every_row_answers_its_own_example_and_so_can_be_reached() {
    for row in table().rows() {
        let example = row.example.as_ref().unwrap_or_else(|| panic!("{} has no example", row.name));
        let reply = example.reply().unwrap_or_else(|| panic!("{}: {}", row.name, example.said));
        assert_eq!(table().classify(&reply).row.name, row.name, "{}", example.said);
    }
}

#[test]
fn fallbacks_stand_last_and_none_of_them_asks_for_words() {
    let first = table().rows().position(|row| row.fallback).unwrap();
    for (place, row) in table().rows().enumerate() {
        assert_eq!(row.fallback, place >= first, "{}", row.name);
        assert!(!row.fallback || row.when.words.is_empty(), "{}", row.name);
    }
}

#[test]
fn a_row_behind_one_that_takes_its_replies_is_a_fault() {
    let row = |name: &str, code: &str| {
        format!(
            "[[row]]\nname = \"{name}\"\n{code}\nclass = \"soon\"\nreason = \"server_busy\"\nmeans = \"m\"\ndo = \"d\"\n\
             source = \"doc: d\"\nexample = \"421 4.0.0 x\"\nexample_stage = \"rcpt\"\n"
        )
    };
    let text = format!("version = \"1\"\n{}{}{}", row("a", "code = \"4xx\""), row("b", "code = 421"), row("c", ""));
    let TableError::Faults(faults) = Table::parse(&text).unwrap_err() else { panic!() };
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["row b, example: is answered by the row a", "row c, example: is answered by the row a"],
        "the first match wins"
    );
}

#[test]
fn a_table_whose_last_row_does_not_fit_everything_is_a_fault() {
    let text = include_str!("../table.toml");
    let cut = text.rfind("[[row]]").unwrap();
    let TableError::Faults(faults) = Table::parse(&text[..cut]).unwrap_err() else { panic!() };
    assert_eq!(faults[0].row, "lost-after-the-dot");
}

#[test]
fn what_counts_no_attempt_comes_to_an_end() {
    for row in table().rows() {
        let (mut class, mut nth) = (row.class, 1);
        while matches!(class, super::Class::Reconnect | super::Class::Token | super::Class::Split) {
            nth += 1;
            class = row.nth(nth).0;
            assert!(nth < 10, "{} goes on for ever", row.name);
        }
    }
}

#[test]
fn no_unknown_5xx_is_tried_again() {
    use super::super::Class;
    for code in (505..=599).filter(|code| ![523, 525, 530, 534, 535, 555].contains(code)) {
        for stage in STAGES.into_iter().filter(|stage| *stage != Stage::Token) {
            let reply = crate::reply::Reply::new(stage, code, None, "words that no row knows");
            let class = table().classify(&reply).row.class;
            assert_eq!(class, if stage == Stage::Rcpt { Class::Recipient } else { Class::Message }, "{code} {stage:?}");
        }
    }
}
