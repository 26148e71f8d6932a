//! `postroom dead` and `mail show --raw` against a real Redis, without a worker program.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::{Ran, Redis};
use postroom_shared::queue::{Claim, Outcome, Queue, SessionId, Settlement};
use postroom_shared::reason::Reason;
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";
const NEWS: &str = "news@example.com";
const LEASE: Duration = Duration::from_secs(60);

fn mail(number: u32) -> Value {
    json!({ "from": SHOP, "to": ["ann@example.org"], "subject": format!("Order {number}"), "text": "Thank you." })
}

fn send(redis: &Redis, mails: &Value) -> Vec<String> {
    redis.run_with(&["send", "-"], &[], &mails.to_string()).ok().lines().map(str::to_owned).collect()
}

/// Lets all that waits die of a reason, as a worker would.
fn let_die(redis: &Redis, reason: Reason) {
    let work = async {
        let mut source = Source::from_pairs([("POSTROOM_REDIS_URL".to_owned(), redis.url())]);
        let settings = RedisSettings::read(&mut source);
        let queue = Queue::connect(&settings, LimitSettings::read(&mut source)).await.unwrap();
        let session = SessionId::random();
        queue.open_session(0, &session, "test", LEASE).await.unwrap();
        let claim = Claim { free: 100, depth: 100, ahead: 0, lease: LEASE, releases: &[] };
        loop {
            let jobs = queue.claim(0, &session, &claim).await.unwrap().jobs;
            let dead = |claimed: &postroom_shared::queue::Claimed| Settlement {
                spent: 0,
                proves: true,
                id: claimed.id,
                session: session.clone(),
                fence: claimed.fence,
                outcome: Outcome::Dead,
                reason,
                counted: true,
                recipients: None,
                event: None,
                job: None,
            };
            let settlements: Vec<_> = jobs.iter().map(dead).collect();
            if settlements.is_empty() {
                return queue.leave(0, &session, LEASE).await.unwrap();
            }
            queue.settle(0, &settlements).await.unwrap();
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn states(redis: &Redis) -> Value {
    redis.run(&["queue", "stats", "--json"]).json()["states"].clone()
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

/// What the program said on both channels, if it ended with this code.
fn ended(ran: Ran, code: i32) -> (String, String) {
    assert_eq!(ran.code, code, "{} {}", ran.out, ran.err);
    (ran.out, ran.err)
}

#[test]
fn a_list_is_filtered_and_tells_how_many_there_are() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    redis.add(&[NEWS]);
    assert_eq!(redis.run(&["dead", "list", "--json"]).json(), json!([]));
    assert_eq!(redis.run(&["dead", "list"]).ok(), "");
    let mut tagged = mail(1);
    tagged["tags"] = json!({ "campaign": "spring" });
    let other = json!({ "from": NEWS, "to": ["bob@example.net"], "subject": "News", "text": "New." });
    let expired = send(&redis, &json!([tagged, other]));
    let_die(&redis, Reason::Expired);
    let uncertain = send(&redis, &json!([mail(2)]));
    let_die(&redis, Reason::Uncertain);

    let list = |arguments: &[&str]| redis.run(&[&["dead", "list", "--json"], arguments].concat()).json();
    let table: [(&[&str], Vec<&String>); 9] = [
        (&["--reason", "uncertain"], vec![&uncertain[0]]),
        (&["--account", NEWS], vec![&expired[1]]),
        (&["--domain", "Example.NET"], vec![&expired[1]]),
        (&["--tag", "campaign"], vec![&expired[0]]),
        (&["--tag", "campaign=spring"], vec![&expired[0]]),
        (&["--tag", "campaign=autumn"], vec![]),
        (&["--older-than", "2h"], vec![]),
        (&["--newer-than", "7d", "--reason", "expired", "--account", SHOP], vec![&expired[0]]),
        (&["--limit", "1"], vec![&uncertain[0]]),
    ];
    for (arguments, expected) in table {
        assert_eq!(ids(&list(arguments)), expected, "{arguments:?}");
    }
    let one = &list(&["--reason", "uncertain"])[0];
    assert_eq!((&one["may_double"], one["bytes"].as_u64().unwrap() > 100), (&json!(true), true));

    let text = redis.run(&["dead", "list", "--limit", "1"]).ok();
    assert!(text.contains("uncertain (!)") && text.contains("1 of 3 dead letters"), "{text}");
    assert!(text.contains("1 of them are uncertain") && text.contains("a second time"), "{text}");
    let shown = redis.run(&["mail", "show", &uncertain[0]]).ok();
    assert!(shown.contains("a retry may send it a second time") && shown.contains("bytes in Redis"), "{shown}");
    let count = redis.run(&["dead", "list", "--count", "--json"]).json();
    assert_eq!(count["by_reason"], json!({ "expired": 2, "uncertain": 1 }));
    assert_eq!(count["by_account"], json!({ SHOP: 2, NEWS: 1 }));
    assert_eq!((&count["total"], &count["may_double"]), (&json!(3), &json!(1)));
    assert_eq!(count["bytes"], redis.run(&["queue", "stats", "--json"]).json()["dead_bytes"]);
}

#[test]
fn nothing_is_done_to_all_before_it_was_counted_and_agreed_to() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    send(&redis, &json!([mail(1), mail(2)]));
    let_die(&redis, Reason::Uncertain);
    send(&redis, &json!([mail(3)]));
    let_die(&redis, Reason::Expired);

    // Without a terminal it takes --yes: the preview, exit code 2, and nothing was done.
    let (out, err) = ended(redis.run(&["dead", "retry", "--all"]), 2);
    for words in ["3 dead letters would be tried again", "reason uncertain: 2", "reason expired: 1", "a second time"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.contains(&format!("account {SHOP}: 3")) && err.contains("--yes"), "{out} {err}");
    let (out, _) = ended(redis.run(&["dead", "discard", "--all", "--reason", "expired"]), 2);
    assert!(out.contains("1 dead letter would be thrown away for good"), "{out}");
    let out = redis.run(&["dead", "discard", "--all", "--yes", "--dry-run"]).ok();
    assert!(out.contains("3 dead letters would be thrown away") && !out.contains("discarded"), "{out}");
    assert_eq!(states(&redis)["dead"], 3);

    let out = redis.run(&["dead", "discard", "--all", "--reason", "config", "--yes"]).ok();
    assert_eq!(out, "0 dead letters: discarded\n");
    let out = redis.run(&["dead", "retry", "--all", "--limit", "1", "--yes"]).ok();
    assert!(out.contains("1 dead letter would be") && out.ends_with("1 dead letters: ready again\n"), "{out}");
    let out = redis.run(&["dead", "discard", "--all", "--reason", "uncertain", "--yes"]).ok();
    assert!(out.ends_with("2 dead letters: discarded\n"), "{out}");
    let states = states(&redis);
    assert_eq!((&states["ready"], &states["dead"], &states["discarded"]), (&json!(1), &json!(0), &json!(2)));
}

#[test]
fn some_are_retried_or_discarded_by_their_ids() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let mails = send(&redis, &json!([mail(1), mail(2), mail(3)]));
    let err = redis.run(&["account", "remove", SHOP]).failed();
    assert!(err.contains("3 mails become dead letters at once") && err.contains("--yes"), "{err}");
    assert!(redis.run(&["account", "remove", SHOP, "--yes"]).ok().contains("3 mails are dead letters"));
    assert!(redis.run(&["dead", "retry", &mails[0]]).failed().contains("its account was removed"));
    redis.add(&[SHOP]);
    let out = redis.run(&["dead", "retry", &mails[0], &mails[1]]).ok();
    assert_eq!(out, format!("{0} ready again\n{1} ready again\n", mails[0], mails[1]));
    assert!(redis.run(&["dead", "retry", &mails[0]]).failed().contains("its state is ready"));
    redis.run(&["dead", "discard", &mails[2]]).ok();
    assert!(redis.run(&["dead", "discard", &mails[2]]).failed().contains("its state is discarded"));
    let states = states(&redis);
    assert_eq!((&states["ready"], &states["dead"], &states["discarded"]), (&json!(2), &json!(0), &json!(1)));
}

#[test]
fn the_new_deadline_is_the_one_asked_for_or_that_of_a_new_mail() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let mails = send(&redis, &json!([mail(1), mail(2)]));
    let_die(&redis, Reason::Expired);
    redis.run(&["dead", "retry", &mails[0], "--ttl", "12h"]).ok();
    redis.run_with(&["dead", "retry", &mails[1]], &[("POSTROOM_MAIL_TTL", "2h")], "").ok();
    for (id, hours) in [(&mails[0], 12), (&mails[1], 2)] {
        let shown = redis.run(&["mail", "show", id, "--json"]).json();
        let retried = shown["timeline"].as_array().unwrap().last().unwrap()["at"].as_u64().unwrap();
        let left = shown["deadline"].as_u64().unwrap() - retried;
        // The timeline is told by this machine's clock, the deadline by that of Redis.
        assert!(left.abs_diff(hours * 3_600_000) < 5_000, "{left}");
    }
    assert_eq!(redis.run(&["dead", "retry", &mails[0], "--ttl", "31d"]).code, 2);
}

#[test]
fn another_account_is_named_by_via_and_must_be_allowed_to_send_it() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    redis.add(&[NEWS]);
    let mails = send(&redis, &json!([mail(1), mail(2)]));
    let_die(&redis, Reason::Consent);
    let err = redis.run(&["dead", "retry", &mails[0], "--via", "nobody@example.com"]).failed();
    assert!(err.contains("not known"), "{err}");
    let retry = ["dead", "retry", "--all", "--account", SHOP, "--via", NEWS];
    let (out, err) = ended(redis.run(&[&retry[..], &["--yes"]].concat()), 1);
    assert!(out.contains(&format!("2 dead letters would be tried again through {NEWS}")), "{out}");
    assert!(err.contains("Gmail would rewrite From") && err.contains("2 of 2 could not be changed"), "{err}");
    redis.run(&["account", "add", NEWS, "--alias", SHOP, "--keep-credentials"]).ok();
    assert!(redis.run(&[&retry[..], &["--yes"]].concat()).ok().ends_with("2 dead letters: ready again\n"));
    let shown = redis.run(&["mail", "show", &mails[0], "--json"]).json();
    assert_eq!((&shown["account"], &shown["from"]), (&json!(NEWS), &json!(SHOP)));
    let text = redis.run(&["mail", "show", &mails[0]]).ok();
    assert!(text.contains(&format!("by an operator, through {NEWS}")), "{text}");
}

#[test]
fn the_bytes_are_those_that_were_frozen() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let id = &send(&redis, &json!([mail(1)]))[0];
    let_die(&redis, Reason::Message);
    let bytes = redis.run(&["mail", "show", id, "--raw"]).ok();
    assert!(
        bytes.contains("Subject: Order 1\r\n") && bytes.contains("Message-ID: ") && bytes.ends_with("\r\n"),
        "{bytes}"
    );
    let longer = redis.file("longer.eml", &"what was there before".repeat(100));
    let new = longer.replace("longer", "new");
    for file in [&longer, &new] {
        assert_eq!(redis.run(&["mail", "show", id, "--raw", "--output", file]).ok(), "");
        assert_eq!(std::fs::read_to_string(file).unwrap(), bytes);
    }
    assert_eq!(std::fs::metadata(&new).unwrap().permissions().mode() & 0o777, 0o600);
    let err = redis.run(&["mail", "show", id, "--raw", "--output", "/nowhere/at/all.eml"]).failed();
    assert!(err.contains("could not be written"), "{err}");
    redis.run(&["dead", "discard", id]).ok();
    let err = redis.run(&["mail", "show", id, "--raw"]).failed();
    assert!(err.contains("its bytes are gone, for it is discarded"), "{err}");
    let unknown = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10";
    assert!(redis.run(&["mail", "show", unknown, "--raw"]).failed().contains("there is no such mail"));
}

#[test]
fn wrong_use_is_told_and_nothing_is_done() {
    let redis = Redis::start();
    for arguments in [
        &["dead", "retry"][..],
        &["dead", "retry", "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10", "--reason", "expired"],
        &["dead", "discard", "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10", "--dry-run"],
        &["dead", "discard", "--all", "--via", SHOP],
        &["dead", "list", "--domain", "ann@example.org"],
        &["dead", "list", "--tag", "=spring"],
        &["dead", "list", "--older-than", "7d", "--newer-than", "2h"],
        &["mail", "show", "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10", "--output", "x.eml"],
    ] {
        assert_eq!(redis.run(arguments).code, 2, "{arguments:?}");
    }
}
