//! The audit log: what was changed over the API and at the command line stands in it, with who did it and without addresses.

use postroom_it::Rig;
use postroom_shared::audit::{Action, Actor, Audit, Outcome, Subject};
use serde_json::{Value, json};

use crate::support::{account, queue};

#[tokio::test]
async fn the_log_is_read_in_pages_the_newest_first_and_is_capped() {
    let (redis, queue) = queue().await;
    let log = Audit::new(queue.store());
    assert!(log.page(10, None).await.unwrap().entries.is_empty());
    let alice = account(&queue, "alice@example.com").await;
    for action in Action::ALL {
        log.record(&Actor::cli(), *action, &Subject::Account(alice.clone()), Outcome::Done).await.unwrap();
    }
    let (mut words, mut after) = (Vec::new(), None);
    loop {
        let page = log.page(5, after.as_deref()).await.unwrap();
        assert!(page.entries.len() <= 5);
        assert!(page.entries.iter().all(|entry| !entry.subject.contains('@') && entry.at.0 > 0));
        words.extend(page.entries.into_iter().map(|entry| entry.action));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let newest_first: Vec<_> = Action::ALL.iter().rev().map(|action| action.as_str()).collect();
    assert_eq!(words, newest_first);
    assert!(log.page(5, Some("(1-1")).await.is_err());
    for _ in 0..10_500 {
        log.record(&Actor::cli(), Action::MailCancel, &Subject::None, Outcome::Done).await.unwrap();
    }
    let length: u64 = redis.ask(&["XLEN", &queue.store().keys(0).audit()]).await.unwrap();
    assert!((10_000..10_500).contains(&length), "{length}");
}

#[tokio::test]
async fn changes_over_the_api_and_at_the_command_line_stand_in_it() {
    let rig = Rig::start().await.unwrap();
    rig.add_account("alice@example.com").await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let mail = json!({"from": "alice@example.com", "to": "bob@example.org", "subject": "x", "text": "y", "scheduled_at": "in 1 hour"});
    let sent = api.post("/emails", &mail).await.unwrap();
    let id = sent.text("id").to_owned();
    let cancelled = api.post(&format!("/emails/{id}/cancel"), &Value::Null).await.unwrap();
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    let held = api.post("/accounts/alice@example.com/hold", &Value::Null).await.unwrap();
    assert_eq!(held.status, 200, "{}", held.body);
    // Refused, and so no change.
    assert_eq!(api.post("/accounts/nobody@example.com/hold", &Value::Null).await.unwrap().status, 404);
    let resumed = rig.postroom(&["account", "resume", "alice@example.com"]).await.unwrap();
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    // An app's own key cancels its own mail: that is no operator's doing.
    let key = rig.key(&["create", "app"]).await.unwrap();
    let again = api.ask_with(&key, "POST", "/emails", &[], &mail).await.unwrap();
    let path = format!("/emails/{}/cancel", again.text("id"));
    assert_eq!(api.ask_with(&key, "POST", &path, &[], &Value::Null).await.unwrap().status, 200);

    let told = rig.postroom(&["audit", "--json"]).await.unwrap();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(!told.stdout.contains('@'), "{}", told.stdout);
    let entries: Vec<Value> = serde_json::from_str(&told.stdout).unwrap();
    let told: Vec<(String, String, String)> = entries
        .iter()
        .map(|entry| {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (word(&entry["action"]), word(&entry["actor"]["role"]), word(&entry["subject"]))
        })
        .collect();
    let actions: Vec<&str> = told.iter().map(|(action, _, _)| action.as_str()).collect();
    assert_eq!(actions, ["key.create", "account.resume", "account.hold", "mail.cancel", "key.create"]);
    let roles: Vec<&str> = told.iter().map(|(_, role, _)| role.as_str()).collect();
    assert_eq!(roles, ["cli", "cli", "admin", "admin", "cli"]);
    assert_eq!(told[3].2, format!("mail {id}"));
    assert_eq!(entries[2]["actor"]["name"], "test");
}
