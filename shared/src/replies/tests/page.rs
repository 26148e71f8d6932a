//! docs/replies.md is what the table says.

use std::path::Path;

use super::super::Table;
use super::super::markdown::markdown;
use super::table;

#[test]
fn the_page_is_made_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/replies.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let same = page == markdown(table());
    assert!(same, "docs/replies.md is not what the table says: postroom explain --markdown > docs/replies.md");
}

#[test]
fn the_pages_example_of_an_own_row_can_be_read() {
    let page = markdown(table());
    let (_, after) = page.split_once("```toml\n").unwrap();
    let (own, _) = after.split_once("```").unwrap();
    let laid = Table::with_overlay(own).unwrap();
    assert!(laid.rows().next().unwrap().own);
}

#[test]
fn rows_say_what_postroom_does() {
    let does = |name: &str| table().rows().find(|row| row.name == name).unwrap().does();
    for (name, said) in [
        ("daily-limit", "Lets the account wait, without counting an attempt, for 1 h at first and up to 24 h."),
        (
            "token-refused",
            "Refreshes the access token and tries again at once, once; then it holds the account until a person acts; \
             its mails wait and lose no attempt (consent). Gives this connection up.",
        ),
        (
            "unsolicited",
            "Gives the mail up: it lies in the dead letters with its bytes. After 3 such replies it lets the account \
             wait, without counting an attempt, for 1 h at first and up to 24 h. Raises an alert.",
        ),
        (
            "recipient-rate",
            "Tries again with growing pauses, not before 24 h for this recipient, once; then it gives this recipient up \
             and goes on with the others.",
        ),
        (
            "too-many-recipients",
            "Sends again at once in smaller transactions, in halves, 3 times; then it lets the account wait, without \
             counting an attempt, for 1 h at first and up to 24 h (quota).",
        ),
    ] {
        assert_eq!(does(name), said);
    }
}
