//! The Redis user of `docs/redis/postroom.acl` may do all that Postroom does, and nothing else; a Redis that evicts is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use postroom_it::{PATIENCE, Rig, mail_json, run, until};
use postroom_sandbox::{Action, CLIENT_ID, CLIENT_SECRET, Fault, Sandbox, Stage};
use serde_json::json;

const ALICE: &str = "alice@example.com";
const PASSWORD: &str = "only-for-this-test";

/// The rules of the file: what follows `user postroom`.
fn rules() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/redis/postroom.acl");
    let text = fs::read_to_string(path).unwrap();
    let line = text.strip_prefix("user postroom ").expect("one line, for one user");
    assert_eq!(text.lines().count(), 1);
    line.split_whitespace().map(str::to_owned).collect()
}

async fn admin(rig: &Rig, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(rig.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(*word);
    });
    command.query_async(&mut connection).await.unwrap()
}

/// A rig of which every process comes to Redis as that user.
async fn rig_with_least_rights() -> Rig {
    let mut rig = Rig::start().await.unwrap();
    let password = format!(">{PASSWORD}");
    let mut words = vec!["ACL".to_owned(), "SETUSER".to_owned(), "postroom".to_owned()];
    words.extend(rules());
    words.push(password);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    admin(&rig, &words).await;
    let url = rig.redis.url().replace("redis://", &format!("redis://postroom:{PASSWORD}@"));
    rig.environment = rig.with(&[("POSTROOM_REDIS_URL", &url)]);
    rig
}

async fn does(rig: &Rig, arguments: &[&str], input: &str) -> String {
    let done = rig.postroom_with(arguments, input.as_bytes()).await.unwrap();
    assert_eq!(done.code, Some(0), "postroom {arguments:?}: {}", done.stderr);
    done.stdout.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_with_least_rights_can_do_all_that_postroom_does() {
    let rig = rig_with_least_rights().await;
    let credentials = [
        ("POSTROOM_CLIENT_ID", CLIENT_ID),
        ("POSTROOM_CLIENT_SECRET", CLIENT_SECRET),
        ("POSTROOM_REFRESH_TOKEN", &Sandbox::refresh_token(ALICE)),
    ];
    let added = run("postroom", &["account", "add", ALICE], &rig.with(&credentials), b"").await.unwrap();
    assert_eq!(added.code, Some(0), "{}", added.stderr);

    // Hand over, wait, move, cancel; one that is refused, and its dead letter.
    rig.sandbox.add_fault(Fault::new(Stage::Rcpt, Action::reply("550 5.1.1 no such user")).recipient("gone")).unwrap();
    rig.sandbox.add_fault(Fault::new(Stage::Final, Action::reply("451 4.3.0 not now")).times(1)).unwrap();
    let mut later = mail_json(ALICE, "bob@example.org", "later");
    later["send_at"] = "in 2 hours".into();
    later["idempotency_key"] = "once".into();
    let later = does(&rig, &["send", "-"], &later.to_string()).await;
    does(&rig, &["mail", "reschedule", &later, "in 3 hours"], "").await;
    does(&rig, &["mail", "cancel", &later], "").await;
    let mut worker = rig.worker(&[("POSTROOM_RETRY_BASE", "20ms")]).unwrap();
    does(&rig, &["send", "-", "--wait"], &mail_json(ALICE, "bob@example.org", "now").to_string()).await;
    let gone = does(&rig, &["send", "-"], &mail_json(ALICE, "gone@example.org", "gone").to_string()).await;
    until("the dead letter", PATIENCE, || async {
        Ok(does(&rig, &["dead", "list", "--json"], "").await.contains(&gone).then_some(()))
    })
    .await
    .unwrap();
    for arguments in [
        &["mail", "show", &gone][..],
        &["mail", "list"],
        &["dead", "retry", &gone],
        &["dead", "list", "--count"],
        &["account", "list"],
        &["account", "show", ALICE],
        &["account", "hold", ALICE, "--for", "1m"],
        &["account", "resume", ALICE],
        &["account", "reseal"],
        &["pool", "put", "all", ALICE],
        &["pool", "list"],
        &["pool", "show", "all"],
        &["pool", "remove", "all"],
        &["key", "create", "app"],
        &["key", "list"],
        &["queue", "stats"],
    ] {
        does(&rig, arguments, "").await;
    }
    let api = rig.serve(&[]).await.unwrap();
    let sent =
        api.post("/emails", &json!({ "from": ALICE, "to": "bob@example.org", "subject": "x", "text": "y" })).await;
    assert!(sent.unwrap().status.is_success());
    assert!(worker.stop().await.unwrap().success());
    does(&rig, &["account", "remove", ALICE, "--yes"], "").await;

    let refused = admin(&rig, &["ACL", "LOG"]).await;
    assert_eq!(refused, redis::Value::Array(Vec::new()), "what was refused");
}

#[tokio::test]
async fn the_user_with_least_rights_can_do_nothing_else() {
    let rig = rig_with_least_rights().await;
    let url = rig.redis.url().replace("redis://", &format!("redis://postroom:{PASSWORD}@"));
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    for words in [
        &["FLUSHALL"][..],
        &["KEYS", "*"],
        &["SCAN", "0"],
        &["CONFIG", "GET", "requirepass"],
        &["ACL", "WHOAMI"],
        &["CLIENT", "LIST"],
        &["MONITOR"],
        &["SAVE"],
        &["SCRIPT", "FLUSH"],
        &["GET", "others"],
        &["SET", "others", "1"],
        &["SUBSCRIBE", "others"],
    ] {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        let error = command.query_async::<redis::Value>(&mut connection).await.expect_err(words[0]);
        assert_eq!(error.code(), Some("NOPERM"), "{words:?}: {error}");
    }
}

/// The commands that stand in quotes after one of these words, in small letters.
fn commands(text: &str, before: &[&str], quote: char) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in before {
        for rest in text.split(&format!("{word}{quote}")).skip(1) {
            let name: String = rest.chars().take_while(char::is_ascii_uppercase).collect();
            if !name.is_empty() {
                found.insert(name.to_ascii_lowercase());
            }
        }
    }
    found
}

#[test]
fn the_file_names_each_command_that_the_source_names_and_no_other() {
    let granted: BTreeSet<String> =
        rules().iter().filter_map(|rule| rule.strip_prefix('+')).map(str::to_owned).collect();
    let mut used = BTreeSet::new();
    for (name, text) in crate::tidy::files_of(&["shared/src", "worker/src", "producer/src"], &[".rs", ".lua"]) {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        used.extend(if name.ends_with(".lua") {
            commands(text, &["redis.call(", "redis.pcall("], '\'')
        } else {
            commands(text, &["cmd("], '"')
        });
    }
    assert!(used.len() > 40, "{used:?}");
    // The library's own, and those that belong to being connected: ROLE where there are Sentinels, CLUSTER SLOTS in a Cluster.
    // CONFIG is for `doctor`, which does without.
    let of_connections = ["subscribe", "unsubscribe", "publish", "role", "cluster|slots", "@connection"];
    let librarys: Vec<_> =
        ["eval", "evalsha", "script|load", "multi", "exec"].into_iter().chain(of_connections).collect();
    let missing: Vec<_> =
        used.iter().filter(|name| !["config", "ping"].contains(&name.as_str()) && !granted.contains(*name)).collect();
    assert!(missing.is_empty(), "not granted: {missing:?}");
    let idle: Vec<_> =
        granted.iter().filter(|name| !librarys.contains(&name.as_str()) && !used.contains(*name)).collect();
    assert!(idle.is_empty(), "granted and not used: {idle:?}");
}

#[tokio::test]
async fn a_redis_that_throws_mail_away_is_refused_at_the_start() {
    let rig = Rig::start().await.unwrap();
    admin(&rig, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    for (program, arguments) in [("postroom-worker", &[][..]), ("postroom", &["serve"])] {
        let listen = rig.with(&[("POSTROOM_LISTEN", "127.0.0.1:0")]);
        let refused = run(program, arguments, &listen, b"").await.unwrap();
        assert_eq!(refused.code, Some(1), "{program}");
        let said = refused.stderr;
        assert!(
            said.contains("maxmemory-policy allkeys-lru") && said.contains("POSTROOM_REDIS_EVICTION_OK"),
            "{program}: {said}"
        );
    }
    // Whoever only looks, or hands over, is not kept from it.
    assert_eq!(rig.postroom(&["queue", "stats"]).await.unwrap().code, Some(0));
    let mut worker = rig.worker(&[("POSTROOM_REDIS_EVICTION_OK", "yes")]).unwrap();
    until("the worker's session", PATIENCE, || async {
        Ok(rig.queue().await?.stats().await?.workers.gt(&0).then_some(()))
    })
    .await
    .unwrap();
    assert!(worker.stop().await.unwrap().success());
}
