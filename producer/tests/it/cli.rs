//! The program `postroom` against a real Redis, without a worker.

use std::io::Read as _;

use crate::support::{CREDENTIALS, KEY, Redis};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";

fn mail(number: u32) -> Value {
    json!({ "from": SHOP, "to": ["ann@example.org"], "subject": format!("Order {number}"), "text": "Thank you." })
}

fn ids(out: &str) -> Vec<&str> {
    out.lines().inspect(|line| assert_eq!(line.len(), 36, "{line}")).collect()
}

#[test]
fn an_account_from_add_to_remove() {
    let redis = Redis::start();
    let added =
        redis.add(&["Shop@Example.com", "--kind", "workspace", "--alias", "sales@example.com", "--limit", "90"]);
    assert_eq!(added, "shop@example.com (workspace) added\n");
    let mut listed = redis.run(&["account", "list", "--json"]).json();
    let client = listed[0].as_object_mut().unwrap().remove("client").unwrap();
    assert_eq!(client.as_str().unwrap().len(), 16);
    assert!(listed[0].as_object_mut().unwrap().remove("consented").unwrap().is_u64());
    let expected = json!([{ "id": SHOP, "kind": "workspace", "aliases": ["sales@example.com"], "connections": null,
        "limit": 90, "recipients": null, "urgent_share": 0, "rate": null, "burst": null, "fewer": null,
        "holds": [] }]);
    assert_eq!(listed, expected);

    redis.run(&["account", "hold", SHOP, "--for", "2h", "--note", "password changed"]).ok();
    let shown = redis.run(&["account", "show", SHOP, "--json"]).json();
    let hold = &shown["holds"][0];
    assert_eq!((&hold["reason"], &hold["note"]), (&json!("operator"), &json!("password changed")));
    assert_eq!(hold["until"].as_u64().unwrap() - hold["since"].as_u64().unwrap(), 7_200_000);
    assert!(redis.run(&["account", "show", SHOP]).ok().contains("`postroom account resume` ends it"));

    // Changing it keeps its hold, adding it again ends it; what is not given stays.
    redis.run(&["account", "add", SHOP, "--connections", "5", "--keep-credentials"]).ok();
    let shown = redis.run(&["account", "show", SHOP, "--json"]).json();
    assert_eq!(
        (&shown["connections"], &shown["limit"], &shown["holds"][0]["reason"]),
        (&json!(5), &json!(90), &json!("operator"))
    );
    assert_eq!(redis.add(&[SHOP]), "shop@example.com (workspace) renewed, and its hold ended\n");
    let shown = redis.run(&["account", "show", SHOP, "--json"]).json();
    assert_eq!((&shown["holds"], &shown["aliases"][0]), (&json!([]), &json!("sales@example.com")));
    assert_eq!((&shown["waiting"], &shown["permits"]), (&json!({"urgent": 0, "normal": 0, "bulk": 0}), &json!(0)));

    redis.run(&["account", "hold", SHOP]).ok();
    redis.run(&["account", "resume", SHOP]).ok();
    assert_eq!(redis.run(&["account", "remove", SHOP]).ok(), "shop@example.com removed\n");
    assert_eq!(redis.run(&["account", "list"]).ok(), "");
    for command in ["show", "hold", "resume", "remove"] {
        assert!(redis.run(&["account", command, SHOP]).failed().contains("there is no such account"), "{command}");
    }
}

#[test]
fn credentials_come_from_the_environment_or_files_and_never_silently_not() {
    let redis = Redis::start();
    let with = |environment: &[(&str, &str)]| redis.run_with(&["account", "add", SHOP], environment, "");
    let err = with(&[("POSTROOM_SECRET_KEY", KEY), ("POSTROOM_CLIENT_ID", "x")]).failed();
    assert!(err.contains("POSTROOM_CLIENT_SECRET, POSTROOM_REFRESH_TOKEN: not set"), "{err}");
    let err = with(&CREDENTIALS[1..]).failed();
    assert!(err.contains("POSTROOM_SECRET_KEY is not set") && err.contains("head -c 32"), "{err}");
    let err = with(&[("POSTROOM_SECRET_KEY", "c2hvcnQ="), CREDENTIALS[1], CREDENTIALS[2], CREDENTIALS[3]]).failed();
    assert!(err.contains("key 1 has 5 bytes"), "{err}");
    assert_eq!(redis.run(&["account", "list", "--json"]).json(), json!([]));

    let token = redis.file("token", "the-refresh-token\n");
    let files = [CREDENTIALS[0], CREDENTIALS[1], CREDENTIALS[2], ("POSTROOM_REFRESH_TOKEN_FILE", token.as_str())];
    with(&files).ok();
    let err = with(&[files[0], files[1], files[2], files[3], CREDENTIALS[3]]).failed();
    assert!(err.contains("both set"), "{err}");
    assert!(
        redis.run(&["account", "add", "other@example.com", "--keep-credentials"]).failed().contains("no such account")
    );
}

#[test]
fn mails_in_every_form() {
    let redis = Redis::start();
    redis.add(&[SHOP, "--alias", "sales@example.com"]);
    let one = serde_json::to_string_pretty(&mail(1)).unwrap();
    let lines = format!("{}\n\n{}\n", mail(2), mail(3));
    let array = json!([mail(4), mail(5)]).to_string();
    let eml = "From: Sales <sales@example.com>\nTo: ann@example.org\nBcc: bob@example.org\nSubject: Order 6\n\nHi\n";
    let files = [
        (redis.file("one.json", &one), 1),
        (redis.file("lines.jsonl", &lines), 2),
        (redis.file("lines.txt", &lines), 2),
        (redis.file("array.json", &array), 2),
        (redis.file("six.eml", eml), 1),
    ];
    let mut all = 0;
    for (file, count) in &files {
        assert_eq!(ids(&redis.run(&["send", file]).ok()).len(), *count, "{file}");
        all += count;
    }
    for (arguments, input) in [(vec!["send", "-"], one.as_str()), (vec!["send", "-", "--eml"], eml)] {
        assert_eq!(ids(&redis.run_with(&arguments, &[], input).ok()).len(), 1);
        all += 1;
    }
    let listed = redis.run(&["mail", "list", "--json"]).json();
    assert_eq!(listed.as_array().unwrap().len(), all);
    assert!(listed.as_array().unwrap().iter().all(|mail| mail["account"] == SHOP && mail["state"] == "ready"));
    assert_eq!(redis.run(&["queue", "stats", "--json"]).json()["states"]["ready"], all);
    assert_eq!(redis.run(&["mail", "list", "--state", "sent", "--json"]).json(), json!([]));
    assert_eq!(redis.run(&["mail", "list", "--limit", "3", "--json"]).json().as_array().unwrap().len(), 3);
}

#[test]
fn bad_mails_are_all_told_and_the_good_ones_go() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let bad = json!({ "from": "nobody@example.com", "to": ["no address", "ann@example.org"], "subjct": "x" });
    let err = redis.run(&["send", &redis.file("bad.json", &bad.to_string())]).failed();
    for words in [
        "line 1: to[0]: not a mail address",
        "did you mean \"subject\"?",
        "no body",
        "no account sends as n***@example.com",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    let lines = format!("{}\n{bad}\n{}\nnonsense\n{{\"from\":1,\"from\":2}}\n{}\n", mail(1), mail(2), mail(3));
    let ran = redis.run(&["send", &redis.file("lines.jsonl", &lines)]);
    assert_eq!((ran.code, ids(&ran.out).len()), (1, 3), "{}", ran.err);
    for words in [
        "line 2: to[0]: ",
        "line 4: not JSON",
        "line 5: the field \"from\" is given twice",
        "3 of 6 mails were refused",
    ] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let ran = redis.run_with(&["send", "-"], &[], &json!([mail(1), bad]).to_string());
    assert_eq!((ran.code, ids(&ran.out).len()), (1, 1));
    assert!(ran.err.contains("mail 2: to[0]: "), "{}", ran.err);
    for (input, words) in [("", "there is no mail in it"), ("hello", "say --eml"), ("[{}", "not a JSON array")] {
        assert!(redis.run_with(&["send", "-"], &[], input).failed().contains(words), "{input}");
    }
    assert!(redis.run(&["send", "/nowhere/at/all"]).failed().contains("cannot be read"));
    assert_eq!(redis.run_with(&["send", "-"], &[], "[]").ok(), "");
}

#[test]
fn only_an_account_that_may_write_from_sends_it() {
    let redis = Redis::start();
    let send = |from: &str, more: &[&str]| {
        let mut mail = mail(1);
        mail["from"] = json!(from);
        redis.run_with(&[&["send", "-"], more].concat(), &[], &mail.to_string())
    };
    assert!(send(SHOP, &[]).failed().contains("no account has been added yet"));
    redis.add(&[SHOP, "--alias", "Sales@example.com"]);
    redis.add(&["news@example.com"]);
    send("SHOP@example.com", &[]).ok();
    send("Sales <sales@example.com>", &[]).ok();
    send("sales@example.com", &["--account", SHOP]).ok();
    let err = send("sales@example.com", &["--account", "news@example.com"]).failed();
    assert!(err.contains("Gmail would rewrite From") && err.contains("--alias"), "{err}");
    assert!(send(SHOP, &["--account", "gone@example.com"]).failed().contains("no such account (2 accounts are known"));
    let ran = send(SHOP, &["--account", "gone@@example.com"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("--account <ADDRESS>") && !ran.err.contains("gone"), "{}", ran.err);
}

#[test]
fn the_same_key_is_the_same_mail() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let send = |text: &str| redis.run_with(&["send", "-", "--json"], &[], text);
    let first = send(r#"{"from":"shop@example.com","to":"ann@example.org","text":"a","idempotency_key":"k"}"#).json();
    assert_eq!((&first["state"], &first["known"]), (&json!("ready"), &json!(false)));
    let id = first["id"].as_str().unwrap();
    redis.run(&["mail", "cancel", id]).ok();
    let again = send(r#"{"idempotency_key":"k","text":"a","to":["ann@example.org"],"from":"shop@example.com"}"#).json();
    assert_eq!(
        again,
        json!({ "id": id, "state": "cancelled", "known": true, "reason": "operator",
        "likely_at": null, "why": null })
    );
    let err = send(r#"{"from":"shop@example.com","to":"ann@example.org","text":"b","idempotency_key":"k"}"#).failed();
    assert!(err.contains("used for another mail") && err.contains(id), "{err}");
}

#[test]
fn a_mail_can_be_looked_up_and_cancelled() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let mut later = mail(7);
    later["send_at"] = json!("2099-01-01T00:00:00Z");
    assert!(redis.run_with(&["send", "-"], &[], &later.to_string()).failed().contains("30 days"));
    let out = redis.run_with(&["send", "-"], &[], &mail(7).to_string()).ok();
    let id = out.trim();
    let shown = redis.run(&["mail", "show", id, "--json"]).json();
    assert_eq!((&shown["id"], &shown["state"], &shown["subject"]), (&json!(id), &json!("ready"), &json!("Order 7")));
    assert_eq!(shown["recipients"], json!([{ "address": "ann@example.org", "kind": "to", "fate": "waiting" }]));
    assert_eq!(shown["timeline"][0]["event"], "queued");
    let text = redis.run(&["mail", "show", id]).ok();
    assert!(text.contains("ann@example.org") && text.contains("Timeline"), "{text}");

    assert_eq!(redis.run(&["mail", "cancel", id]).ok(), format!("{id} cancelled\n"));
    assert!(redis.run(&["mail", "cancel", id]).failed().contains("its state is cancelled"));
}

fn with_key(mail: &Value, key: &str) -> Value {
    let mut mail = mail.clone();
    mail["idempotency_key"] = json!(key);
    mail
}

#[test]
fn waiting_tells_what_was_not_sent() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let keyed = with_key(&mail(1), "k").to_string();
    let out = redis.run_with(&["send", "-"], &[], &keyed).ok();
    redis.run(&["mail", "cancel", out.trim()]).ok();
    let ran = redis.run_with(&["send", "-", "--wait"], &[], &keyed);
    assert_eq!((ran.code, ran.out), (1, out));
    assert!(ran.err.contains("cancelled (operator: ") && ran.err.contains("1 of 1 mails were not sent"), "{}", ran.err);
}

#[test]
fn many_lines_go_in_slices_and_a_closed_pipe_is_no_panic() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let lines: String = (0..3_000).map(|number| format!("{}\n", mail(number))).collect();
    let file = redis.file("many.jsonl", &lines);
    assert_eq!(ids(&redis.run(&["send", &file]).ok()).len(), 3_000);
    // Nobody reads the ids, but the mails are handed over all the same.
    for arguments in [vec!["send", file.as_str()], vec!["mail", "list", "--limit", "3000"]] {
        let mut child = redis.command(&arguments).spawn().unwrap();
        drop((child.stdout.take(), child.stdin.take()));
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
    }
    let stats = redis.run(&["queue", "stats", "--json"]).json();
    assert_eq!((&stats["states"]["ready"], &stats["lanes"][0]["waiting"]["normal"]), (&json!(6_000), &json!(6_000)));
}

#[test]
fn wrong_use_and_no_redis() {
    let redis = Redis::start();
    for arguments in [
        &["send"][..],
        &["frobnicate"],
        &["mail", "show", "12"],
        &["mail", "list", "--state", "lost"],
        &["account", "add", "ann@example.org", "--refresh-token=the-refresh-token"],
        &["queue"],
    ] {
        assert_eq!(redis.run(arguments).code, 2, "{arguments:?}");
    }
    assert!(redis.run(&["send", "--help"]).ok().contains("JSON Lines"));
    let elsewhere = [("POSTROOM_REDIS_URL", "redis://127.0.0.1:1/0")];
    let err = redis.run_with(&["queue", "stats"], &elsewhere, "").failed();
    assert!(err.contains("POSTROOM_REDIS_URL"), "{err}");
    let wrong = [("POSTROOM_MAIL_TTL", "soon"), ("POSTROOM_SHARDS", "0")];
    let err = redis.run_with(&["queue", "stats"], &wrong, "").failed();
    assert!(err.contains("POSTROOM_MAIL_TTL") && err.contains("POSTROOM_SHARDS"), "{err}");
}
