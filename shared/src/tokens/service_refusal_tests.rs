//! Each refusal of a JWT: which fault it is, and that its sentence says what to do.

use std::time::Duration;

use super::*;
use crate::tokens::service_account::tests::{key_file, key_one};

fn judged(error: &str, description: &str) -> ServiceRefusal {
    let service = ServiceAccount::from_key_file(&key_file(key_one())).unwrap();
    let (error, description) = (error.to_owned(), description.to_owned());
    let RefreshError::Service(refusal) = of_a_jwt(RefreshError::Client { error, description }, &service) else {
        panic!("not told as a service account's");
    };
    *refusal
}

#[test]
fn each_refusal_says_what_is_wrong_and_what_to_do() {
    use ServiceFault::{Clock, Gone, Key, NotDelegated, Other, User};
    let unauthorized = "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any \
                        of the scopes requested.";
    let short = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and \
                 exp values in the JWT claim.";
    for (error, description, fault, to_do) in [
        (
            "unauthorized_client",
            unauthorized,
            NotDelegated,
            "client id 123456789012345678901 with the scope https://mail.google.com/",
        ),
        ("unauthorized_client", "Unauthorized client or scope in request.", NotDelegated, DELEGATION),
        ("access_denied", "Requested client not authorized.", NotDelegated, "Manage domain-wide delegation"),
        ("invalid_grant", short, Clock, "NTP"),
        ("invalid_grant", "Invalid JWT Signature.", Key, "key key-one is not accepted"),
        ("invalid_grant", "Invalid email or User ID", User, "primary address"),
        ("invalid_grant", "Not a valid email.", User, "primary address"),
        ("invalid_grant", "The account has been deleted", User, "active user"),
        ("invalid_request", "Invalid impersonation \"sub\" field.", User, "primary address"),
        ("invalid_grant", "Robot is disabled.", Gone, "IAM & Admin > Service Accounts"),
        ("invalid_grant", "Invalid grant: account not found", Gone, "deleted"),
        ("disabled_client", "The OAuth client was disabled.", Gone, "enable it"),
        ("invalid_client", "The OAuth client was not found.", Gone, "enable it"),
        ("admin_policy_enforced", "", Other, "(admin_policy_enforced)"),
        ("invalid_grant", "words of tomorrow", Other, "words of tomorrow"),
    ] {
        let refusal = judged(error, description);
        let text = refusal.to_string();
        assert_eq!(refusal.fault, fault, "{error} {description}");
        assert!(text.contains(to_do) && text.contains(error) && text.contains(description), "{text}");
        assert!(!text.contains("consent"), "{text}");
    }
}

#[test]
fn addresses_in_the_words_are_masked_and_a_passing_refusal_stays_one() {
    let text = judged("invalid_grant", "Invalid email alice@example.com").to_string();
    assert!(text.contains("a***@example.com") && !text.contains("alice"), "{text}");
    let service = ServiceAccount::from_key_file(&key_file(key_one())).unwrap();
    let passing = RefreshError::Passing { what: "429".to_owned(), retry_after: Some(Duration::from_secs(1)) };
    assert_eq!(of_a_jwt(passing.clone(), &service), passing);
}
