//! What is to be said of an account by what lies in Redis: credentials, holds, budget, limits, what waits and what died. Pure.

use postroom_shared::account::{Account, AccountKind, Hold};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{DeadSummary, Standing, Use};
use postroom_shared::reason::Reason;
use postroom_shared::tokens::examine::Sealed;

use super::consent::{self, Consent};
use super::dns::OWN;
use super::finding::{Finding, Severity};
use super::ids::Id;

/// Gmail refuses logins from about so many at once (gmail.md, "Limits").
const MOST_CONNECTIONS: u32 = 15;
/// Words of the token endpoint that mean a lost consent, as they stand in a hold's note.
const GONE: [&str; 5] =
    ["invalid_grant", "admin_policy_enforced", "access_denied", "consent_required", "restricted_client"];
/// Consents of one client that end so near each other have one cause.
const TOGETHER: u64 = 86_400_000;

/// What a look at the sealed credentials means. `first` is the id of the key that seals now.
pub(crate) fn sealed(sealed: &Sealed, first: Option<&str>) -> Finding {
    match sealed {
        Sealed::Missing => Finding::error(Id::CredentialsMissing, "no credentials are stored"),
        Sealed::Opens(key) if first.is_some_and(|first| first != key) => {
            Finding::note(Id::Credentials, format!("they open, with the old key {key}"))
        }
        Sealed::Opens(key) => Finding::ok(Id::Credentials, format!("they open, with the key {key}")),
        Sealed::UnknownKey(key) => Finding::error(
            Id::CredentialsKey,
            format!("sealed with the key {key}, which is not in POSTROOM_SECRET_KEY"),
        ),
        Sealed::Cut(bytes) => Finding::error(Id::CredentialsCut, format!("only {bytes} bytes of the record are left")),
        Sealed::Of(other) => {
            Finding::error(Id::CredentialsSwapped, format!("the record is that of {}", other.reveal()))
        }
        Sealed::Damaged => Finding::error(Id::CredentialsDamaged, "the record was changed, cut or moved here"),
        Sealed::Other(what) => Finding::error(Id::CredentialsDamaged, what.clone()),
    }
}

/// What its standing in the queue says.
pub(crate) fn standing(standing: &Standing, all: &[Account]) -> Vec<Finding> {
    let account = &standing.account;
    let mut findings: Vec<Finding> = account.holds.iter().map(held).collect();
    findings.extend(gone(standing, all));
    findings.push(budget(standing));
    findings.push(limits(account));
    findings.push(waiting(standing));
    findings.extend(aliases(account));
    findings
}

fn held(hold: &Hold) -> Finding {
    let until = hold.until.map_or_else(|| "until a person acts".to_owned(), |until| format!("until {until}"));
    let what = format!("{} since {}, {until}: {}", hold.reason.as_str(), hold.since, hold.note);
    let severity = if hold.until.is_none() { Severity::Error } else { Severity::Warning };
    let finding = Finding::new(Id::Held, severity, what);
    if hold.reason == Reason::Consent {
        finding.mended_by(Id::ConsentGone.mend())
    } else if hold.reason == Reason::Client {
        finding.mended_by(Id::ClientRefused.mend())
    } else if hold.until.is_some() {
        finding.mended_by("Nothing: it ends by itself. `postroom account resume ADDRESS` ends it now.")
    } else {
        finding
    }
}

/// A consent that a worker found gone, with what it may have died of.
fn gone(standing: &Standing, all: &[Account]) -> Option<Finding> {
    let hold = consent_hold(&standing.account)?;
    let error = GONE.into_iter().find(|word| hold.note.contains(word))?;
    let what = format!("a worker heard it at {}: {}", hold.since, hold.note);
    Some(consent_gone(standing, all, hold.since, error, &hold.note, what))
}

fn consent_hold(account: &Account) -> Option<&Hold> {
    account.holds.iter().find(|hold| hold.reason == Reason::Consent)
}

/// The token endpoint's word for a lost consent, with the likeliest causes.
pub(crate) fn consent_gone(
    standing: &Standing,
    all: &[Account],
    seen: Millis,
    error: &str,
    description: &str,
    what: String,
) -> Finding {
    let account = &standing.account;
    let with_it = |other: &&Account| {
        let is_of_client = other.client.is_some() && other.client == account.client && other.id != account.id;
        is_of_client && consent_hold(other).is_some_and(|hold| hold.since.0.abs_diff(seen.0) <= TOGETHER)
    };
    let consent = Consent {
        given: account.consented,
        seen,
        last_delivery: standing.last_delivery,
        error: error.to_owned(),
        description: description.to_owned(),
        others_with_it: all.iter().filter(with_it).count(),
        is_gmail: OWN.contains(&domain(account)),
    };
    Finding::error(Id::ConsentGone, what).because(consent::causes(&consent))
}

pub(crate) fn domain(account: &Account) -> &str {
    account.id.reveal().rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn budget(standing: &Standing) -> Finding {
    let budget = &standing.budget;
    let words = format!("{}; {}", used("messages", &budget.messages), used("recipients", &budget.recipients));
    let frees = budget.frees_at.map(|at| format!("; the next are free again at {at}")).unwrap_or_default();
    let what = format!("{words}{frees}");
    if [budget.messages, budget.recipients].iter().any(|it| it.left == Some(0)) {
        return Finding::warning(Id::BudgetUsedUp, what);
    }
    let nearly = |it: &Use| it.limit.zip(it.left).is_some_and(|(limit, left)| left * 5 < limit);
    let severity =
        if nearly(&budget.messages) || nearly(&budget.recipients) { Severity::Warning } else { Severity::Ok };
    Finding::new(Id::Budget, severity, what)
}

fn used(what: &str, it: &Use) -> String {
    match it.limit.zip(it.left) {
        None => format!("{} {what} in 24 hours, no limit", it.used),
        Some((limit, left)) => format!("{} of {limit} {what} in 24 hours, {left} left", it.used),
    }
}

fn limits(account: &Account) -> Finding {
    let is_gmail = OWN.contains(&domain(account));
    let (messages, recipients) = account.budget();
    let (kind, most) = (account.kind.as_str(), account.kind.messages());
    let mut odd = Vec::new();
    if is_gmail && account.kind != AccountKind::Consumer {
        odd.push(format!("a gmail.com mailbox is a consumer's, not of the kind {kind}"));
    }
    if let Some((messages, most)) = messages.zip(most).filter(|(messages, most)| messages > most) {
        odd.push(format!("{messages} messages in 24 hours, but Gmail lets the kind {kind} send {most}"));
    }
    let most = account.kind.recipients();
    if let Some((recipients, most)) = recipients.zip(most).filter(|(recipients, most)| recipients > most) {
        odd.push(format!("{recipients} recipients in 24 hours, but Gmail allows {most}"));
    }
    if account.connections.is_some_and(|connections| connections > MOST_CONNECTIONS) {
        odd.push("Gmail refuses logins from about 16 connections at once".to_owned());
    }
    if !odd.is_empty() {
        return Finding::warning(Id::Limits, odd.join("; "));
    }
    let own = if !is_gmail && account.kind == AccountKind::Consumer {
        "; if it is a Workspace mailbox it may send 2,000: --kind workspace"
    } else {
        ""
    };
    let messages = messages.map_or_else(|| "any number of".to_owned(), |messages| messages.to_string());
    Finding::ok(Id::Limits, format!("{kind}, {messages} messages in 24 hours{own}"))
}

fn waiting(standing: &Standing) -> Finding {
    let [urgent, normal, bulk] = standing.waiting;
    let what = format!("{urgent} urgent, {normal} normal, {bulk} bulk");
    if urgent + normal + bulk == 0 {
        return Finding::ok(Id::Waiting, "nothing waits for its turn");
    }
    Finding::note(Id::Waiting, what)
}

fn aliases(account: &Account) -> Option<Finding> {
    let mut domains: Vec<&str> = account.aliases.iter().map(postroom_shared::address::Address::domain).collect();
    domains.sort_unstable();
    domains.dedup();
    let what = format!("{} at {}", account.aliases.len(), domains.join(", "));
    (!domains.is_empty()).then(|| Finding::note(Id::Aliases, what))
}

/// What died within a day.
pub(crate) fn dead(summary: &DeadSummary) -> Finding {
    if summary.total == 0 {
        return Finding::ok(Id::DeadLetters, "none within a day");
    }
    let reasons: Vec<String> = summary.by_reason.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    Finding::warning(Id::DeadLetters, format!("{} within a day: {}", summary.total, reasons.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(address: &str) -> Account {
        Account::new(address.parse().unwrap())
    }

    #[test]
    fn sealed_records_are_named() {
        for (seen, id, severity) in [
            (Sealed::Missing, Id::CredentialsMissing, Severity::Error),
            (Sealed::Opens("aa".to_owned()), Id::Credentials, Severity::Ok),
            (Sealed::Opens("bb".to_owned()), Id::Credentials, Severity::Note),
            (Sealed::UnknownKey("cc".to_owned()), Id::CredentialsKey, Severity::Error),
            (Sealed::Cut(3), Id::CredentialsCut, Severity::Error),
            (Sealed::Of("bob@example.com".parse().unwrap()), Id::CredentialsSwapped, Severity::Error),
            (Sealed::Damaged, Id::CredentialsDamaged, Severity::Error),
            (Sealed::Other("version 9".to_owned()), Id::CredentialsDamaged, Severity::Error),
        ] {
            let finding = sealed(&seen, Some("aa"));
            assert_eq!((finding.id, finding.severity), (id, severity), "{seen:?}");
            assert!(!finding.what.contains("bob@"), "{}", finding.what);
        }
    }

    #[test]
    fn limits_fit_the_kind() {
        let of = |account: &Account| limits(account).severity;
        let gmail = account("a@gmail.com");
        let shop = Account { kind: AccountKind::Workspace, ..account("a@example.com") };
        assert_eq!((of(&gmail), of(&shop)), (Severity::Ok, Severity::Ok));
        for odd in [
            Account { kind: AccountKind::Workspace, ..gmail.clone() },
            Account { limit: Some(501), ..gmail.clone() },
            Account { recipients: Some(10_001), ..shop.clone() },
            Account { connections: Some(16), ..shop },
        ] {
            assert_eq!(of(&odd), Severity::Warning, "{odd:?}");
        }
    }

    #[test]
    fn a_hold_that_waits_for_a_person_is_an_error_and_says_what_to_do() {
        let hold = |reason, until| Hold { reason, until, since: Millis(0), note: "note".to_owned(), times: 1 };
        let operator = held(&hold(Reason::Operator, None)).about("a@example.com");
        assert_eq!(operator.severity, Severity::Error);
        assert!(operator.mend().unwrap().contains("postroom account resume a@example.com"));
        assert!(held(&hold(Reason::Consent, None)).mend().unwrap().contains("consent again"));
        assert!(held(&hold(Reason::Client, None)).mend().unwrap().contains("console.cloud.google.com"));
        let quota = held(&hold(Reason::Quota, Some(Millis(1))));
        assert!(quota.severity == Severity::Warning && quota.mend().unwrap().contains("by itself"));
    }

    #[test]
    fn what_died_is_told_by_reason() {
        let mut summary = DeadSummary::default();
        assert_eq!(dead(&summary).severity, Severity::Ok);
        summary.total = 3;
        summary.by_reason.insert("expired".to_owned(), 3);
        assert!(dead(&summary).what.contains("3 expired"));
    }
}
