//! Why a consent probably died, from what is known: when it was given, what the endpoint said, and what else is held. Pure.
//!
//! Nobody can know it for sure: Google says `invalid_grant` for most of it. So causes are ranked, and those that cannot be
//! are left out (gmail.md, "OAuth2 at Google": what ends a refresh token).

use std::time::Duration;

use postroom_shared::clock::Millis;

use super::finding::{Cause, Likelihood};

const DAY: Duration = Duration::from_secs(86_400);
/// A consent to a client in Testing lives so long.
const TESTING: Duration = Duration::from_secs(7 * 86_400);
/// How much later the end is noticed, at most: the last token lives an hour, and mail may be rare.
const NOTICED: Duration = Duration::from_secs(86_400);
/// "Six months" without use.
const UNUSED: Duration = Duration::from_secs(180 * 86_400);

/// What is known of a consent that is gone.
#[derive(Debug, Clone)]
pub(crate) struct Consent {
    /// When it was given, as far as it was noted.
    pub(crate) given: Option<Millis>,
    /// When it was first seen to be gone.
    pub(crate) seen: Millis,
    /// About when the account delivered last.
    pub(crate) last_delivery: Option<Millis>,
    /// The endpoint's word, such as `invalid_grant`, and its own text.
    pub(crate) error: String,
    pub(crate) description: String,
    /// Other accounts of the same client that lost their consent within a day of it.
    pub(crate) others_with_it: usize,
    /// Whether the mailbox is a gmail.com one, over which no administrator rules.
    pub(crate) is_gmail: bool,
}

/// What it may have died of, the likeliest first.
pub(crate) fn causes(consent: &Consent) -> Vec<Cause> {
    let mut causes: Vec<Cause> =
        [told(consent), testing(consent), unused(consent), policy(consent)].into_iter().flatten().collect();
    causes.extend(always_possible(consent));
    // Stable: of equal likelihood the order above stays.
    causes.sort_by_key(|cause| cause.likelihood);
    let mut seen = Vec::new();
    causes.retain(|cause| {
        !seen.contains(&cause.cause) && {
            seen.push(cause.cause);
            true
        }
    });
    causes
}

fn cause(cause: &'static str, likelihood: Likelihood, text: impl Into<String>) -> Cause {
    Cause { cause, likelihood, text: text.into() }
}

/// What the endpoint's own words say.
fn told(consent: &Consent) -> Option<Cause> {
    let words = consent.description.to_lowercase();
    let has = |part: &str| words.contains(part);
    if ["admin_policy_enforced", "access_denied", "restricted_client"].contains(&consent.error.as_str()) {
        let text = "an administrator's policy forbids this client: allow it at https://admin.google.com/ac/owl/list?tab=configuredApps";
        return Some(cause("policy", Likelihood::Told, text));
    }
    if has("rapt") || has("reauth") {
        let text = "the organisation's session control asks for a new login: trust the client at https://admin.google.com/ac/security/reauth/admin-tools, or use a service account";
        return Some(cause("policy", Likelihood::Told, text));
    }
    if has("account has been deleted") || has("account disabled") || has("account is disabled") {
        return Some(cause("mailbox", Likelihood::Told, "the mailbox itself was deleted or disabled"));
    }
    None
}

/// Seven days while the consent screen is in Testing.
fn testing(consent: &Consent) -> Option<Cause> {
    let text = "the OAuth consent screen is in Testing, where a consent lives 7 days: publish it at https://console.cloud.google.com/auth/audience";
    let Some(given) = consent.given else { return Some(cause("testing", Likelihood::Possible, text)) };
    let lived_longer = consent.last_delivery.is_some_and(|at| at.since(given) > TESTING + Duration::from_secs(3_600));
    let age = consent.seen.since(given);
    if age < TESTING || lived_longer {
        return None;
    }
    let likelihood = if age <= TESTING + NOTICED { Likelihood::Probable } else { Likelihood::Possible };
    Some(cause("testing", likelihood, format!("{} old when it was first refused: {text}", days(age))))
}

/// Six months without use.
fn unused(consent: &Consent) -> Option<Cause> {
    let used = consent.last_delivery.or(consent.given)?;
    let idle = consent.seen.since(used);
    if idle < UNUSED {
        return None;
    }
    // Deliveries are known for a day only: an old consent may have been used since.
    let text = format!("no use of it is known for {}: Google ends a consent after six months without use", days(idle));
    Some(cause("unused", Likelihood::Possible, text))
}

/// Several accounts of one client at once: not each person's own doing.
fn policy(consent: &Consent) -> Option<Cause> {
    if consent.is_gmail {
        return None;
    }
    let text = "an administrator took the client's access away, or limits it to some hours: https://admin.google.com/ac/owl/list?tab=configuredApps";
    let many = consent.others_with_it > 0;
    let with = format!("{} other accounts of this client lost theirs within a day: {text}", consent.others_with_it);
    Some(if many { cause("policy", Likelihood::Probable, with) } else { cause("policy", Likelihood::Possible, text) })
}

fn always_possible(consent: &Consent) -> [Cause; 3] {
    // A person's own doing strikes one account, not several at once.
    let own = if consent.others_with_it > 0 { Likelihood::Unlikely } else { Likelihood::Possible };
    let password = "the mailbox's password was changed, which ends consents to mail: consent again";
    let revoked = "the person took it back: https://myaccount.google.com/connections";
    let many = "more than 100 consents of this mailbox to this client: the oldest goes silently; keep and reuse one, and use one client for each installation";
    [cause("password", own, password), cause("revoked", own, revoked), cause("too-many", Likelihood::Unlikely, many)]
}

fn days(span: Duration) -> String {
    match span.as_secs() / DAY.as_secs() {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_000_000_000);

    fn ago(days: u64) -> Millis {
        Millis(NOW.0 - days * 86_400_000)
    }

    fn consent(given: Option<Millis>) -> Consent {
        Consent {
            given,
            seen: NOW,
            last_delivery: None,
            error: "invalid_grant".to_owned(),
            description: "Token has been expired or revoked.".to_owned(),
            others_with_it: 0,
            is_gmail: true,
        }
    }

    fn ranked(consent: &Consent) -> Vec<(&'static str, Likelihood)> {
        causes(consent).into_iter().map(|cause| (cause.cause, cause.likelihood)).collect()
    }

    #[test]
    fn seven_days_point_to_testing_and_fewer_or_many_more_do_not() {
        use Likelihood::{Possible, Probable};
        assert_eq!(ranked(&consent(Some(ago(7))))[0], ("testing", Probable));
        assert_eq!(ranked(&consent(None))[0], ("testing", Possible));
        assert!(ranked(&consent(Some(ago(30)))).contains(&("testing", Possible)));
        for survivor in [consent(Some(ago(6))), Consent { last_delivery: Some(ago(1)), ..consent(Some(ago(30))) }] {
            assert!(ranked(&survivor).iter().all(|(cause, _)| *cause != "testing"), "{survivor:?}");
            assert_eq!(ranked(&survivor)[0], ("password", Possible));
        }
    }

    #[test]
    fn half_a_year_without_use_counts() {
        use Likelihood::Possible;
        assert!(ranked(&consent(Some(ago(200)))).contains(&("unused", Possible)));
        for used in [consent(Some(ago(100))), Consent { last_delivery: Some(ago(1)), ..consent(Some(ago(200))) }] {
            assert!(ranked(&used).iter().all(|(cause, _)| *cause != "unused"), "{used:?}");
        }
    }

    #[test]
    fn the_endpoints_words_come_first() {
        use Likelihood::Told;
        let says = |error: &str, description: &str| {
            let (error, description) = (error.to_owned(), description.to_owned());
            ranked(&Consent { error, description, ..consent(Some(ago(7))) })[0]
        };
        assert_eq!(says("admin_policy_enforced", ""), ("policy", Told));
        assert_eq!(says("invalid_grant", "reauth related error (invalid_rapt)"), ("policy", Told));
        assert_eq!(says("invalid_grant", "Account has been deleted"), ("mailbox", Told));
    }

    #[test]
    fn several_at_once_are_nobodys_own_doing() {
        use Likelihood::{Probable, Unlikely};
        let several = Consent { others_with_it: 3, is_gmail: false, ..consent(Some(ago(40))) };
        let ranked = ranked(&several);
        assert_eq!(ranked[0], ("policy", Probable));
        assert!(ranked.contains(&("password", Unlikely)) && ranked.contains(&("revoked", Unlikely)));
    }
}
