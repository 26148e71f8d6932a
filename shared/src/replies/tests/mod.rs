//! The table against Gmail's own words, against words it does not know, and against an operator's mistakes.

mod gmail;
mod order;
mod overlay;
mod page;
mod queries;
mod unknown;

use super::{Class, Table, read_reply};
use crate::reason::Reason;
use crate::reply::{Reply, Silence, Stage};

fn table() -> &'static Table {
    Table::builtin().unwrap_or_else(|error| panic!("{error}"))
}

/// Class, reason and row of a reply as it stands on the wire.
fn found(stage: Stage, wire: &str) -> (Class, Reason, &'static str) {
    let reply = read_reply(stage, wire).unwrap_or_else(|| panic!("no reply: {wire}"));
    of(&reply)
}

fn of(reply: &Reply) -> (Class, Reason, &'static str) {
    let row = table().classify(reply).row;
    (row.class, row.reason, &row.name)
}

#[test]
fn every_reply_and_every_silence_has_an_answer() {
    for stage in super::pattern::STAGES {
        for code in 0..=999 {
            let _ = table().classify(&Reply::new(stage, code, None, ""));
        }
        for how in super::pattern::SILENCES {
            let (class, reason, _) = of(&Reply::silence(stage, how, "550 5.4.5 words of an error count for nothing"));
            let expected = match (stage, how) {
                (Stage::Final, _) => (Class::Uncertain, Reason::Uncertain),
                (Stage::Token, _) => (Class::Soon, Reason::TokenUnavailable),
                (Stage::Mail, Silence::Closed) => (Class::Reconnect, Reason::Connection),
                _ => (Class::Soon, Reason::Connection),
            };
            assert_eq!((class, reason), expected, "{stage:?} {how:?}");
        }
    }
}
