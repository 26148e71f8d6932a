//! When mails go, as tables: state, holds, budget, rate and what is ahead against time and reason.

use super::*;
use crate::account::Account;
use crate::queue::budget::{State, Step, read_step};

const NOW_AT: Millis = Millis(1_800_000_000_000);
const HOUR: u64 = 3_600_000;
/// 24 hours and a step of the ledger.
const DAY: u64 = 24 * HOUR + 300_000;

fn waiting(ahead: u64) -> Waiting {
    Waiting {
        state: MailState::Ready,
        at: NOW_AT,
        deadline: Millis(NOW_AT.0 + 90 * 24 * HOUR),
        priority: Priority::Normal,
        recipients: 1,
        in_doubt: false,
        ahead,
    }
}

fn hold(reason: Reason, until: Option<u64>) -> Hold {
    Hold {
        reason,
        until: until.map(|span| Millis(NOW_AT.0 + span)),
        since: NOW_AT,
        note: "said so".to_owned(),
        times: 1,
    }
}

/// Steps `(hours ago, messages)`, one recipient each; in hand so many; proven a moment ago.
fn standing(account: Account, steps: &[(u64, u64)], in_hand: u64, rate_used_to: u64) -> Standing {
    let step = |(ago, messages): &(u64, u64)| -> Step {
        read_step(&format!("{}:{messages}:{messages}", NOW_AT.0 - ago * HOUR)).unwrap()
    };
    let state =
        State::read(Some(&format!("0 0 {} 0 {in_hand} {in_hand} 0 0 0 0 0 0 0 0 {rate_used_to}.000", NOW_AT.0)));
    let standing = Standing::new(account, &state, steps.iter().map(step).collect(), NOW_AT);
    Standing { workers: 1, ..standing }
}

fn account() -> Account {
    Account::new("alice@example.com".parse().unwrap())
}

fn limited(limit: u32) -> Account {
    Account { limit: Some(limit), ..account() }
}

/// In how many ms from now (`None`: a person must act), and why.
fn look(mail: &Waiting, standing: &Standing) -> (Option<u64>, Option<&'static str>) {
    let outlook = outlook(mail, Some(standing), NOW_AT).unwrap();
    assert!(outlook.note.len() > 8, "{outlook:?}");
    (outlook.likely_at.map(|at| at.0 - NOW_AT.0), outlook.why.map(Why::as_str))
}

#[test]
fn states() {
    let free = standing(account(), &[], 0, 0);
    let table = [
        (MailState::Ready, (Some(0), None)),
        (MailState::Sending, (Some(0), None)),
        (MailState::Scheduled, (Some(HOUR), Some("due"))),
        (MailState::Retry, (Some(HOUR), Some("retry"))),
    ];
    for (state, expected) in table {
        let at = if state == MailState::Ready { NOW_AT } else { Millis(NOW_AT.0 + HOUR) };
        assert_eq!(look(&Waiting { state, at, ..waiting(0) }, &free), expected, "{state:?}");
    }
    for state in [MailState::Sent, MailState::Dead, MailState::Cancelled, MailState::Discarded] {
        assert_eq!(outlook(&Waiting { state, ..waiting(0) }, Some(&free), NOW_AT), None);
    }
    let doubt = Waiting { state: MailState::Retry, at: Millis(NOW_AT.0 + 9), in_doubt: true, ..waiting(0) };
    assert_eq!(look(&doubt, &free), (Some(9), Some("in_doubt")));
    let gone = outlook(&waiting(0), None, NOW_AT).unwrap();
    assert_eq!((gone.likely_at, gone.why), (None, Some(Why::NoAccount)));
}

#[test]
fn holds_and_workers() {
    let held = |holds: Vec<Hold>, workers| Standing { workers, ..standing(Account { holds, ..account() }, &[], 0, 0) };
    let (person, quota) = (hold(Reason::Consent, None), hold(Reason::Quota, Some(HOUR)));
    let login = hold(Reason::LoginLimit, Some(HOUR / 2));
    let later = Waiting { state: MailState::Scheduled, at: Millis(NOW_AT.0 + 2 * HOUR), ..waiting(0) };
    assert_eq!(look(&waiting(0), &held(vec![quota.clone(), person.clone()], 1)), (None, Some("held")));
    assert_eq!(look(&later, &held(vec![person], 1)), (None, Some("held")));
    assert_eq!(look(&waiting(0), &held(vec![login, quota.clone()], 1)), (Some(HOUR), Some("held")));
    assert_eq!(look(&later, &held(vec![quota.clone()], 1)), (Some(2 * HOUR), Some("due")));
    assert_eq!(look(&waiting(0), &held(vec![], 0)), (None, Some("no_worker")));
    // Workers may be started until it is due.
    assert_eq!(look(&later, &held(vec![], 0)), (Some(2 * HOUR), Some("due")));
    let told = outlook(&waiting(0), Some(&held(vec![quota], 1)), NOW_AT).unwrap();
    assert_eq!(told.reason, Some(Reason::Quota));
    assert!(told.note.contains("quota"), "{told:?}");
}

#[test]
fn a_budget_is_free_again_step_by_step() {
    // 10 a day: 4 went 23 hours ago, 4 an hour ago, 1 is in hand; 1 is left.
    let used = standing(limited(10), &[(23, 4), (1, 4)], 1, 0);
    let table = [
        (0, 0, None),
        (1, DAY - 23 * HOUR, Some("budget")),
        (4, DAY - 23 * HOUR, Some("budget")),
        (5, DAY - HOUR, Some("budget")),
        (8, DAY - HOUR, Some("budget")),
        (9, DAY, Some("budget")),
        // The second day: the place that is free now is free again a day later.
        (10, DAY, Some("budget")),
        (11, 2 * DAY - 23 * HOUR, Some("budget")),
    ];
    for (ahead, at, why) in table {
        assert_eq!(look(&waiting(ahead), &used), (Some(at), why), "{ahead}");
    }
}

#[test]
fn a_share_is_for_urgent_mail_alone() {
    let shared = |share, steps: &[(u64, u64)]| standing(Account { urgent_share: share, ..limited(10) }, steps, 0, 0);
    let urgent = Waiting { priority: Priority::Urgent, ..waiting(0) };
    let used = shared(20, &[(3, 1), (2, 8)]);
    assert_eq!(look(&urgent, &used), (Some(0), None));
    // 8 of 10 are for normal mail and 9 are used: the first that is free again is not for it.
    assert_eq!(look(&waiting(0), &used), (Some(DAY - 2 * HOUR), Some("budget")));
    assert_eq!(look(&waiting(0), &shared(100, &[])), (None, Some("budget")));
}

#[test]
fn recipients_count_too() {
    let used = standing(Account { recipients: Some(5), ..account() }, &[(1, 3)], 0, 0);
    assert_eq!(look(&Waiting { recipients: 2, ..waiting(0) }, &used), (Some(0), None));
    assert_eq!(look(&Waiting { recipients: 3, ..waiting(0) }, &used), (Some(DAY - HOUR), Some("budget")));
}

#[test]
fn rate_trial_and_what_is_ahead() {
    let paced = |burst, used_to| {
        standing(Account { rate: Some(0.5), burst: Some(burst), limit: Some(9_999), ..account() }, &[], 0, used_to)
    };
    assert_eq!(look(&waiting(0), &paced(1, 0)), (Some(0), None));
    assert_eq!(look(&waiting(10), &paced(1, 0)), (Some(20_000), Some("rate")));
    assert_eq!(look(&waiting(10), &paced(5, 0)), (Some(12_000), Some("rate")));
    assert_eq!(look(&waiting(0), &paced(1, NOW_AT.0 + 8_000)), (Some(10_000), Some("rate")));

    let free = standing(limited(9_999), &[], 0, 0);
    assert_eq!(look(&waiting(9), &free), (Some(0), None));
    assert_eq!(look(&waiting(900), &free), (Some(300_000), Some("ahead")));
    let mut untried = free;
    untried.budget.proven = false;
    assert_eq!(look(&waiting(0), &untried), (Some(0), None));
    assert_eq!(look(&waiting(3), &untried), (Some(3_000), Some("trial")));
    // A rate counts from the end of a hold.
    let held = Account { holds: vec![hold(Reason::Quota, Some(HOUR))], ..paced(1, 0).account };
    assert_eq!(look(&waiting(10), &standing(held, &[], 0, 0)), (Some(HOUR + 20_000), Some("held")));
}

#[test]
fn a_mail_that_cannot_go_before_its_deadline_says_so() {
    let used = standing(limited(1), &[(1, 1)], 0, 0);
    let told = outlook(&Waiting { deadline: Millis(NOW_AT.0 + HOUR), ..waiting(0) }, Some(&used), NOW_AT).unwrap();
    assert!(told.too_late && told.note.contains("expired"), "{told:?}");
    assert!(!outlook(&waiting(0), Some(&used), NOW_AT).unwrap().too_late);
}
