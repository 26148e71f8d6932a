//! An operator's own rows: they come first, and every mistake is told with row and field.

use super::super::{Table, TableError};
use super::{Class, table};
use crate::reason::Reason;
use crate::reply::{Enhanced, Reply, Stage};

const GREYLIST: &str = r#"
[[row]]
name = "our-gateway"
code = 550
enhanced = "5.7.*"
stages = ["rcpt"]
words = ["greylisted"]
class = "soon"
floor = "5m"
reason = "server_busy"
means = "Come back."
do = "Nothing."
source = "seen: today"
example = "550 5.7.1 Greylisted"
example_stage = "rcpt"
"#;

#[test]
fn own_rows_come_first_and_the_others_stay() {
    let laid = Table::with_overlay(GREYLIST).unwrap();
    let class = |words: &str| laid.classify(&Reply::new(Stage::Rcpt, 550, Some(Enhanced(5, 7, 1)), words)).row.class;
    assert_eq!(class("You are GREYLISTED"), Class::Soon);
    assert_eq!(class("No"), Class::Recipient);
    assert_eq!(laid.rows().count(), table().rows().count() + 1);
    assert!(laid.rows().next().unwrap().own);
    assert_eq!(laid.version(), format!("{} with 1 own", table().version()));
}

#[test]
fn an_own_row_may_hide_builtin_ones() {
    let all = "[[row]]\nname = \"all\"\ncode = \"5xx\"\nclass = \"soon\"\nreason = \"operator\"\nmeans = \"m\"\ndo = \"d\"\nsource = \"belief: b\"\n";
    let laid = Table::with_overlay(all).unwrap();
    assert_eq!(laid.classify(&Reply::new(Stage::Rcpt, 550, None, "")).row.reason, Reason::Operator);
}

#[test]
fn an_empty_file_changes_nothing() {
    let laid = Table::with_overlay("# nothing yet\n").unwrap();
    assert_eq!((laid.version(), laid.rows().count()), (table().version(), table().rows().count()));
}

const FAULTY: &str = r#"
greeting = "hello"
[[row]]
name = "one"
code = [421, "4x", true]
enhanced = "4.7"
silence = "closed"
stages = ["rcpt", "starttls"]
wrods = ["x"]
words = ["Upper"]
class = "later"
reason = "quota"
tries = 0
floor = "5 minutes"
alert = "yes"
means = ""
do = "d"
source = "hearsay"
[[row]]
name = "one"
class = "quota"
reason = "no_reason"
then = "soon"
split = "half"
fallback = true
means = "m"
do = "d"
source = "doc: d"
example = "hello"
[[row]]
class = "reconnect"
"#;

#[test]
fn all_faults_are_told_at_once_with_row_and_field() {
    let TableError::Faults(faults) = Table::with_overlay(FAULTY).unwrap_err() else { panic!() };
    let places: Vec<_> = faults.iter().map(|fault| (fault.row.as_str(), fault.field.as_str())).collect();
    for place in [
        ("(none)", "greeting"),
        ("one", "code"),
        ("one", "enhanced"),
        ("one", "silence"),
        ("one", "stages"),
        ("one", "wrods"),
        ("one", "words"),
        ("one", "class"),
        ("one", "tries"),
        ("one", "floor"),
        ("one", "alert"),
        ("one", "means"),
        ("one", "source"),
        ("one", "name"),
        ("one", "reason"),
        ("one", "hold"),
        ("one", "split"),
        ("one", "fallback"),
        ("one", "example_stage"),
        ("3", "name"),
        ("3", "reason"),
        ("3", "then"),
        ("3", "do"),
    ] {
        assert!(places.contains(&place), "{place:?} in {faults:#?}");
    }
    let told = TableError::Faults(faults).to_string();
    assert!(told.contains("row one, wrods: no such field: words?"), "{told}");
    assert!(told.contains("unknown variant `later`, expected one of `soon`"), "{told}");
}

#[test]
fn an_example_that_another_own_row_answers_is_a_fault() {
    let second = GREYLIST.replace("our-gateway", "never-reached");
    let error = Table::with_overlay(&format!("{GREYLIST}{second}")).unwrap_err();
    assert_eq!(error.to_string(), "row never-reached, example: is answered by the row our-gateway");
}

#[test]
fn what_is_no_toml_says_where() {
    let error = Table::with_overlay("[[row]\n").unwrap_err();
    assert!(matches!(&error, TableError::Toml(what) if what.contains("line 1")), "{error}");
}
