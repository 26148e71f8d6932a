//! What `send`, `mail show` and `account show` say about when a mail goes, without a worker and with the sign of one.

use crate::support::Redis;
use postroom_shared::queue::{Queue, SessionId};
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";

fn mail() -> Value {
    json!({ "from": SHOP, "to": ["ann@example.org"], "subject": "Order", "text": "Thank you." })
}

fn send(redis: &Redis, mails: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = mails.iter().map(Value::to_string).collect();
    let out = redis.run_with(&["send", "-", "--json"], &[], &lines.join("\n")).ok();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A worker in the eyes of the queue, for a minute.
fn sign_of_a_worker(redis: &Redis) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut source = Source::from_pairs([("POSTROOM_REDIS_URL".to_owned(), redis.url())]);
        let (settings, limits) = (RedisSettings::read(&mut source), LimitSettings::read(&mut source));
        let queue = Queue::connect(&settings, limits).await.unwrap();
        queue.open_session(0, &SessionId::random(), "test", std::time::Duration::from_secs(60)).await.unwrap();
    });
}

#[test]
fn send_and_show_say_why_a_mail_does_not_go() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let told = send(&redis, &[mail()]).remove(0);
    assert_eq!(
        (&told["state"], &told["why"], &told["likely_at"]),
        (&json!("ready"), &json!("no_worker"), &Value::Null)
    );
    let id = told["id"].as_str().unwrap();
    let shown = redis.run(&["mail", "show", id]).ok();
    assert!(
        shown.contains("not before a person acts (no_worker): no worker is running: start `postroom-worker`"),
        "{shown}"
    );
    // One id a line and nothing else: nobody sits at standard error.
    let plain = redis.run_with(&["send", "-"], &[], &mail().to_string()).ok();
    assert_eq!(plain.len(), 37, "{plain}");

    sign_of_a_worker(&redis);
    let shown = redis.run(&["mail", "show", id, "--json"]).json();
    assert_eq!((&shown["outlook"]["why"], &shown["outlook"]["note"]), (&Value::Null, &json!("it goes now")));
    assert!(shown["outlook"]["likely_at"].is_u64());

    redis.run(&["account", "hold", SHOP, "--note", "password changed"]).ok();
    let told = send(&redis, &[mail()]).remove(0);
    assert_eq!((&told["why"], &told["reason"], &told["likely_at"]), (&json!("held"), &json!("operator"), &Value::Null));
    redis.run(&["account", "hold", SHOP, "--for", "2h"]).ok();
    let told = send(&redis, &[mail()]).remove(0);
    assert!(told["why"] == "held" && told["likely_at"].is_u64(), "{told}");
    redis.run(&["mail", "cancel", id]).ok();
    assert_eq!(redis.run(&["mail", "show", id, "--json"]).json().get("outlook"), None);
}

#[test]
fn a_rate_and_a_budget_are_told_for_each_mail_of_a_file() {
    let redis = Redis::start();
    redis.add(&[SHOP, "--limit", "3", "--rate", "0.1", "--burst", "1", "--urgent-share", "34"]);
    sign_of_a_worker(&redis);
    let mut mails = vec![mail(), mail(), mail()];
    mails[0]["send_at"] = json!(jiff::Timestamp::now().as_second() + 3_600);
    let told = send(&redis, &mails);
    let whys: Vec<&Value> = told.iter().map(|told| &told["why"]).collect();
    assert_eq!(whys, [&json!("due"), &Value::Null, &json!("rate")], "{told:?}");
    let all: Vec<Value> = send(&redis, &[mail()]);
    assert_eq!(all[0]["why"], "budget", "two of three are for mail that is not urgent: {all:?}");

    let shown = redis.run(&["account", "show", SHOP, "--json"]).json();
    let budget = &shown["budget"];
    let messages = json!({ "limit": 3, "used": 0, "in_hand": 0, "elsewhere": 0, "left": 3 });
    assert_eq!((&budget["messages"], &budget["recipients"]["limit"]), (&messages, &Value::Null));
    assert_eq!((&budget["rate"]["per_second"], &budget["rate"]["burst"]), (&json!(0.1), &json!(1)));
    assert_eq!(
        (&budget["proven"], &budget["frees_at"], &budget["urgent_share"]),
        (&json!(false), &Value::Null, &json!(34))
    );
    let shown = redis.run(&["account", "show", SHOP]).ok();
    for words in
        ["0 of 3 used in 24 hours, 0 in hand, 3 left", "34 % of both", "0.1 mails a second", "tried with one mail"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}
