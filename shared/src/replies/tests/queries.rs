//! What `postroom explain` asks, and what it gets.

use super::super::query::stage;
use super::table;
use crate::reply::Stage;

fn names(text: &str, at: Option<Stage>) -> Vec<&'static str> {
    let query = table().query(text).unwrap_or_else(|error| panic!("{error}"));
    table().answer(&query, at).into_iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn a_code_brings_all_rows_that_may_answer_it() {
    assert_eq!(names("550-5.4.5", None), ["daily-limit"]);
    assert_eq!(names("550 5.4.5", None), ["daily-limit"]);
    assert_eq!(names("5.4.5", None), ["daily-limit"]);
    assert_eq!(names("535", None), ["web-login-required", "auth-argument", "token-refused"]);
    assert_eq!(
        names("421-4.7.0", Some(Stage::Rcpt)),
        ["system-problem-policy", "connection-expired", "suspicious-sender", "recipient-domain-wants", "other-421"]
    );
    assert_eq!(names("455", Some(Stage::Rcpt)), ["other-4xx"]);
    assert_eq!(names("599", None), ["other-5xx-rcpt", "other-5xx"]);
}

#[test]
fn a_whole_reply_brings_the_row_that_answers_it() {
    let whole = "421-4.7.0 TLS required for RCPT domain, closing connection. - gsmtp";
    assert_eq!(names(whole, Some(Stage::Rcpt)), ["recipient-domain-wants"]);
    assert_eq!(
        names("550 5.7.1 This message violates email policy. - gcdp 1 - gsmtp", Some(Stage::Final)),
        ["policy-of-a-domain"]
    );
}

#[test]
fn whole_examples_bring_what_classify_finds() {
    for row in table().rows().filter(|row| !row.when.codes.is_empty()) {
        let example = row.example.as_ref().unwrap();
        assert_eq!(names(&example.said, Some(example.stage)), [row.name.as_str()], "{}", example.said);
    }
}

#[test]
fn words_bring_reasons_classes_and_rows() {
    assert_eq!(names("login_limit", None), ["too-many-logins"]);
    assert!(names("quota", None).contains(&"daily-limit"));
    assert!(names("soon", None).contains(&"other-4xx"));
    assert_eq!(names("Daily-Limit", None), ["daily-limit"]);
    assert!(names("expired", None).is_empty(), "a reason that no reply leads to");
}

#[test]
fn what_is_unknown_is_told_with_the_nearest() {
    let error = |text: &str| table().query(text).unwrap_err();
    assert!(error("qouta").ends_with("the nearest is quota"), "{}", error("qouta"));
    assert!(error("daily_limit").ends_with("the nearest is daily-limit"), "{}", error("daily_limit"));
    assert!(error("250").contains("no refusal"), "{}", error("250"));
    assert!(error("635").contains("535"), "{}", error("635"));
    assert!(!error("%%%").contains("nearest"));
    assert!(stage("rctp").unwrap_err().contains("rcpt"));
}
