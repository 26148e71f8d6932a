//! `postroom account reseal`, without a worker.

use crate::support::{KEY, Redis};
use serde_json::json;

const OTHER: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

#[test]
fn the_key_of_an_account_is_changed() {
    let redis = Redis::start();
    redis.add(&["shop@example.com"]);
    redis.add(&["post@example.com"]);
    let both = format!("{OTHER},{KEY}");
    let reseal = |keys: &str, further: &[&str]| {
        redis.run_with(&[&["account", "reseal"], further].concat(), &[("POSTROOM_SECRET_KEY", keys)], "")
    };
    assert!(redis.run(&["account", "reseal"]).failed().contains("POSTROOM_SECRET_KEY is not set"));
    let due = reseal(&both, &["--dry-run"]).ok();
    assert!(
        due.starts_with(
            "2 records (2 credentials, 0 access tokens, 0 keys of service accounts) would be moved, 0 were"
        ),
        "{due}"
    );
    let report = reseal(&both, &["--json"]).json();
    assert_eq!(report["moved"], json!({ "credentials": 2, "access_tokens": 0, "service_keys": 0 }));
    assert_eq!((&report["dry_run"], &report["accounts"], &report["failures"]), (&json!(false), &json!(2), &json!([])));
    let again = reseal(&both, &[]).ok();
    assert!(
        again.starts_with("0 records (0 credentials, 0 access tokens, 0 keys of service accounts) moved, 2 were"),
        "{again}"
    );
    assert!(again.contains("number 2: opens") && again.contains("no, once every process seals"), "{again}");
    assert!(reseal(OTHER, &["--dry-run"]).ok().contains("2 were sealed with the first key already, 0 cannot"));
    let wrong = reseal(KEY, &[]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains("2 records could not be opened") && wrong.out.contains("s***@example.com"),
        "{}",
        wrong.out
    );
    // What a log calls the account can be looked up.
    let shown = redis.run(&["account", "show", "shop@example.com", "--json"]).json();
    assert!(wrong.out.contains(shown["hash"].as_str().unwrap()), "{}", wrong.out);
    assert!(!wrong.out.contains("shop@example.com"), "{}", wrong.out);
}
