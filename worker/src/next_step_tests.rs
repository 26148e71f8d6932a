//! What follows: one table for the classes, one for every row's example, and how recipients come together.

use postroom_shared::replies::class::Connection;
use postroom_shared::replies::{Row, Table};
use postroom_shared::reply::Reply;

use super::*;
use crate::verdict::{Nth, meaning};

const NOW: Millis = Millis(1_000_000);
const POLICY: RetryPolicy = RetryPolicy { base: Duration::from_secs(10), cap: Duration::from_secs(60) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    Table::builtin().unwrap().rows()
}

fn row(name: &str) -> &'static Row {
    rows().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}"))
}

fn refused(name: &str) -> Verdict {
    Verdict::Refused(Meaning::nth(row(name), 1))
}

fn decide_after(findings: &[(usize, Verdict)], failed: &[usize], answered: Option<Stage>) -> NextStep {
    let (attempt, policy) = (1, &POLICY);
    next_step(findings, &Situation { attempt, failed, answered, now: NOW, asks_sent: true, policy, jitter: 0.5 })
}

fn decide(findings: &[(usize, Verdict)]) -> NextStep {
    decide_after(findings, &[], None)
}

fn hold(reason: Reason, least: u64, most: u64) -> AccountStep {
    let pause = Pause::For { least: seconds(least), most: seconds(most) };
    AccountStep::Hold { reason, pause, used_up: false, fewer: false }
}

fn until_a_person(reason: Reason) -> AccountStep {
    AccountStep::Hold { reason, pause: Pause::UntilAPerson, used_up: false, fewer: false }
}

fn later(span: Duration) -> Outcome {
    Outcome::Retry(NOW.after(span))
}

#[test]
fn every_class_leads_where_it_should() {
    let some = row("other-4xx");
    let of = |class: Class, reason: Reason, floor: u64, hold: u64| {
        Verdict::Refused(Meaning { class, reason, floor: seconds(floor), hold: seconds(hold), alert: false, row: some })
    };
    let (nothing, day) = (AccountStep::Nothing, 86_400);
    let used_up = AccountStep::Hold {
        reason: Reason::Quota,
        pause: Pause::For { least: seconds(3_600), most: seconds(day) },
        used_up: true,
        fewer: false,
    };
    for (verdict, outcome, counted, account) in [
        (of(Class::Soon, Reason::ServerBusy, 0, 0), later(seconds(5)), true, nothing),
        (of(Class::Soon, Reason::ServerBusy, 600, 0), later(seconds(600)), true, nothing),
        (of(Class::Soon, Reason::ServerBusy, 1, 2), later(seconds(2)), true, nothing),
        (of(Class::Reconnect, Reason::Connection, 0, 0), later(seconds(5)), true, nothing),
        (of(Class::Token, Reason::TokenRefused, 0, 0), later(seconds(5)), true, nothing),
        (of(Class::Split, Reason::Split, 0, 0), later(seconds(5)), true, nothing),
        (of(Class::Quota, Reason::Quota, 3_600, day), Outcome::Back, false, used_up),
        (of(Class::Quota, Reason::Quota, 600, 600), Outcome::Back, false, hold(Reason::Quota, 600, 600)),
        (of(Class::Consent, Reason::Consent, 0, 0), Outcome::Back, false, until_a_person(Reason::Consent)),
        (of(Class::Recipient, Reason::Recipient, 0, 0), Outcome::Dead, true, nothing),
        (of(Class::Message, Reason::Message, 0, 0), Outcome::Dead, true, nothing),
        (of(Class::Config, Reason::Config, 0, 0), Outcome::Dead, true, nothing),
        (of(Class::Uncertain, Reason::Uncertain, 0, 0), Outcome::Check(NOW.after(seconds(5))), true, nothing),
        (Verdict::Delivered, Outcome::Sent, true, nothing),
        (Verdict::NoLogin(NoLogin::Consent), Outcome::Back, false, until_a_person(Reason::Consent)),
        (Verdict::NoLogin(NoLogin::Client), Outcome::Back, false, AccountStep::HoldClient),
        (Verdict::NoLogin(NoLogin::Config), Outcome::Back, false, until_a_person(Reason::Config)),
        (Verdict::NoLogin(NoLogin::NotDelegated), Outcome::Back, false, hold(Reason::Client, 900, 3_600)),
        (Verdict::NoLogin(NoLogin::Clock), Outcome::Back, false, hold(Reason::Config, 60, 900)),
        (Verdict::BrokenOff(Reason::Stuck), Outcome::Check(NOW.after(seconds(5))), true, nothing),
        (Verdict::Untried(Reason::HandedBack), Outcome::Back, false, nothing),
    ] {
        let step = decide(&[(0, verdict)]);
        assert_eq!((step.outcome, step.counted, step.account), (outcome, counted, account), "{verdict:?}");
    }
}

/// What a row's example must lead to, told apart from the code under test: by its class, its scope and its stage.
fn expected(row: &Row, reply: &Reply) -> (&'static str, bool, &'static str) {
    let opening = reply.stage < Stage::Mail;
    match row.class {
        Class::Recipient | Class::Message | Class::Config if opening => ("back", false, "for"),
        Class::Recipient | Class::Message | Class::Config => ("dead", true, "nothing"),
        Class::Quota => ("back", false, "for"),
        Class::Consent => ("back", false, "person"),
        Class::Soon if matches!(row.scope, Scope::Account | Scope::Logins) => ("retry", true, "for"),
        Class::Soon | Class::Reconnect | Class::Token | Class::Split => ("retry", true, "nothing"),
        Class::Uncertain => ("check", true, "nothing"),
    }
}

#[test]
fn every_rows_example_gets_the_next_step_that_its_class_demands() {
    let mut seen = 0;
    for row in rows() {
        let Some(reply) = row.example.as_ref().map(|example| example.reply().unwrap()) else { continue };
        let nth = Nth { attempt: 1, turn: 1, fleet: Vec::new() };
        let found = meaning(Table::builtin().unwrap(), &reply, &nth);
        assert_eq!(found.row.name, row.name);
        let step = decide(&[(0, Verdict::Refused(found))]);
        let account = match step.account {
            AccountStep::Nothing => "nothing",
            AccountStep::Hold { pause: Pause::For { .. }, .. } => "for",
            AccountStep::Hold { pause: Pause::UntilAPerson, .. } => "person",
            AccountStep::HoldClient => "client",
        };
        assert_eq!((step.outcome.as_str(), step.counted, account), expected(row, &reply), "{}", row.name);
        if let Outcome::Retry(at) = step.outcome {
            assert!(at >= NOW.after(found.floor), "{}: {at:?}", row.name);
        }
        if let AccountStep::Hold { pause: Pause::For { least, most }, .. } = step.account {
            assert!(least >= row.floor && most >= least && !least.is_zero(), "{}: {least:?} {most:?}", row.name);
        }
        // What the table says of connections is never lost, whatever else a row says.
        let is_fewer = matches!(step.account, AccountStep::Hold { fewer: true, .. });
        assert_eq!(is_fewer, row.connection == Connection::Fewer, "{}", row.name);
        seen += 1;
    }
    assert!(seen > 50, "{seen} rows with an example");
    assert!(rows().any(|row| row.connection == Connection::Fewer));
}

#[test]
fn rows_that_must_never_be_taken_for_something_else() {
    let limit = decide(&[(0, refused("daily-limit"))]);
    let AccountStep::Hold { reason, pause, used_up, .. } = limit.account else { panic!("{limit:?}") };
    assert_eq!((limit.outcome, limit.counted, reason, used_up), (Outcome::Back, false, Reason::Quota, true));
    assert_eq!(pause, Pause::For { least: seconds(3_600), most: seconds(86_400) });
    assert_eq!(decide(&[(0, refused("relay-peak"))]).account, hold(Reason::Quota, 600, 600));
    assert_eq!(decide(&[(0, refused("too-many-logins"))]).account, hold(Reason::LoginLimit, 600, 3_600));
    let greeting = decide(&[(0, refused("too-many-connections"))]);
    assert_eq!(greeting.account, hold(Reason::ServerBusy, 60, 300));
    assert_eq!((greeting.outcome, greeting.counted), (later(seconds(60)), true));
    // Without a pause of its own: as the retry settings say.
    assert_eq!(decide(&[(0, refused("login-trouble"))]).account, hold(Reason::ServerBusy, 10, 60));
}

#[test]
fn a_retry_goes_only_to_those_still_open() {
    let step = decide(&[(0, Verdict::Delivered), (1, refused("other-4xx")), (2, refused("no-such-user"))]);
    assert_eq!(step.outcome, later(seconds(5)));
    assert_eq!((step.open, step.failed, step.spent), (vec![1], vec![2], 1));
}

#[test]
fn a_mail_with_a_refused_recipient_ends_as_a_dead_letter_for_those_recipients() {
    let step = decide_after(&[(1, Verdict::Delivered), (0, refused("no-such-user"))], &[2], None);
    assert_eq!((step.outcome, step.reason, step.open), (Outcome::Dead, Reason::Recipient, vec![0, 2]));
    assert_eq!((step.failed, step.spent), (vec![], 1));
}

#[test]
fn the_longest_pause_of_all_recipients_holds() {
    let step = decide(&[(0, refused("recipient-too-fast")), (1, refused("other-4xx"))]);
    assert_eq!((step.outcome, step.reason), (later(seconds(600)), Reason::RecipientBusy));
}

#[test]
fn an_uncertain_end_for_some_is_asked_for_those_and_keeps_the_others_open() {
    let step = decide(&[(0, refused("lost-after-the-dot")), (1, refused("other-4xx")), (2, refused("no-such-user"))]);
    assert_eq!(step.outcome, Outcome::Check(NOW.after(seconds(5))));
    assert_eq!((step.open, step.failed, step.in_doubt, step.spent), (vec![0, 1], vec![2], vec![0], 1));
}

#[test]
fn what_concerns_the_account_costs_no_attempt_even_if_others_were_taken() {
    let step = decide(&[(0, Verdict::Delivered), (1, refused("daily-limit")), (2, refused("other-4xx"))]);
    assert_eq!((step.outcome, step.reason, step.counted), (Outcome::Back, Reason::Quota, false));
    assert_eq!((step.open, step.spent, step.proves), (vec![1, 2], 1, false));
    // What was only not tried does not hide what was.
    let step = decide(&[(0, Verdict::Untried(Reason::Connection)), (1, refused("other-4xx"))]);
    assert_eq!((step.outcome, step.open), (later(seconds(5)), vec![0, 1]));
    // A person's part is more pressing than time's.
    let step = decide(&[(0, refused("daily-limit")), (1, refused("sending-denied"))]);
    assert_eq!(step.account, until_a_person(Reason::Consent));
}

#[test]
fn an_account_proves_itself_by_an_answer_that_is_not_about_itself() {
    for (name, answered, proves) in [
        ("no-such-user", Some(Stage::Rcpt), true),
        ("temporarily-rejected", Some(Stage::Final), true),
        ("temporarily-rejected", Some(Stage::Mail), false),
        ("lost-before-the-dot", None, false),
        ("daily-limit", Some(Stage::Final), false),
        ("not-authorised", Some(Stage::Rcpt), false),
        ("token-refused", Some(Stage::Rcpt), false),
    ] {
        assert_eq!(decide_after(&[(0, refused(name))], &[], answered).proves, proves, "{name} {answered:?}");
    }
    assert!(decide(&[(0, Verdict::Delivered)]).proves);
    assert!(!decide(&[(0, Verdict::Untried(Reason::LoginLimit))]).proves);
}
