//! Every line of Gmail's list of replies, by Gmail's own wording (`gmail.txt`).

use std::collections::BTreeSet;

use super::super::query::stage;
use super::{Class, found, table};
use crate::reason::Reason;
use crate::reply::Stage;

/// A reply on the wire, and what the list says of it: `soon, server_busy`.
struct Case {
    stage: Stage,
    wire: &'static str,
    expected: &'static str,
}

/// The blocks of `gmail.txt`, without its comments.
fn cases() -> Vec<Case> {
    let blocks = include_str!("gmail.txt").split("\n\n").map(str::trim);
    let cases = blocks.map(|block| match block.split_once('\n') {
        Some((first, rest)) if first.starts_with('#') => rest,
        _ => block,
    });
    cases.filter(|block| !block.starts_with('#')).map(case).collect()
}

fn case(block: &'static str) -> Case {
    let (head, wire) = block.split_once('\n').unwrap_or_else(|| panic!("{block}"));
    let (at, expected) = head.split_once(": ").unwrap_or_else(|| panic!("{block}"));
    Case { stage: stage(at).unwrap(), wire, expected }
}

#[test]
fn gmails_own_words_mean_what_its_list_says() {
    assert_eq!(cases().len(), 106);
    for Case { stage, wire, expected } in cases() {
        let (class, reason, name) = found(stage, wire);
        assert_eq!(format!("{}, {}", class.as_str(), reason.as_str()), expected, "{name} answers {wire}");
    }
}

#[test]
fn none_of_gmails_own_words_falls_through_and_every_row_is_heard() {
    let heard: BTreeSet<_> = cases().iter().map(|case| found(case.stage, case.wire).2).collect();
    let fallbacks: Vec<_> = table().rows().filter(|row| row.fallback && heard.contains(row.name.as_str())).collect();
    assert!(fallbacks.is_empty(), "{fallbacks:#?}");
    let unheard: Vec<_> = table().rows().filter(|row| !row.fallback && !heard.contains(row.name.as_str())).collect();
    // Not in Gmail's list: it follows from what a 534 is.
    assert_eq!(unheard.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["login-blocked"]);
}

/// What Gmail's list says of the replies that come again.
#[test]
fn patience_ends_as_the_list_says() {
    for (name, nth, class, reason) in [
        ("recipient-domain-wants", 4, Class::Recipient, Reason::Policy),
        ("sender-dns-trouble", 6, Class::Message, Reason::SenderAuth),
        ("recipient-full-for-now", 5, Class::Recipient, Reason::RecipientFull),
        ("too-many-recipients", 4, Class::Quota, Reason::Quota),
        ("senders-recipients", 2, Class::Quota, Reason::Quota),
        ("token-refused", 2, Class::Consent, Reason::Consent),
        ("recipient-rate", 2, Class::Recipient, Reason::RecipientBusy),
        ("unsolicited", 4, Class::Quota, Reason::Reputation),
    ] {
        let row = table().rows().find(|row| row.name == name).unwrap();
        assert_eq!(row.nth(nth), (class, reason), "{name}");
        assert_eq!(row.nth(nth - 1), (row.class, row.reason), "{name}");
    }
}

#[test]
fn pauses_and_alerts_are_those_of_the_list() {
    let row = |name: &str| table().rows().find(|row| row.name == name).unwrap();
    let minutes = |name: &str| (row(name).floor.as_secs() / 60, row(name).hold.as_secs() / 60);
    assert_eq!(minutes("too-many-connections"), (1, 5));
    assert_eq!(minutes("recipient-too-fast").0, 10);
    assert_eq!(minutes("relay-peak"), (10, 10));
    assert_eq!(minutes("too-many-logins"), (10, 60));
    assert_eq!(minutes("daily-limit").1, 24 * 60);
    assert_eq!(minutes("recipient-rate").0, 24 * 60);
    for name in ["suspicious-sender", "sender-auth-slowed", "sending-denied", "unsolicited", "sender-auth-refused"] {
        assert!(row(name).alert, "{name}");
    }
    for row in table().rows().filter(|row| row.class == Class::Config) {
        assert!(row.alert, "{}", row.name);
    }
}
