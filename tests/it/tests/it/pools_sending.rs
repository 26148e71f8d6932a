//! A pool end to end: two accounts behind a real worker, one of which Gmail refuses for the day.

use postroom_it::{PATIENCE, Rig, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, What};
use postroom_shared::reason::Reason;
use serde_json::{Value, json};

use crate::support::in_state;

const SHOP: &str = "shop@example.com";
const MAILS: usize = 40;

async fn postroom(rig: &Rig, arguments: &[&str]) -> String {
    let ran = rig.postroom(arguments).await.unwrap();
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    ran.stdout
}

#[tokio::test]
async fn an_account_that_is_refused_for_the_day_hands_its_mails_to_the_other() {
    let rig = Rig::start().await.unwrap();
    let queue = rig.queue().await.unwrap();
    let mut accounts: Vec<AccountId> = Vec::new();
    for address in ["alice@example.com", "bob@example.com"] {
        accounts.push(rig.add_account(address).await.unwrap());
        postroom(&rig, &["account", "add", address, "--alias", SHOP, "--keep-credentials", "--limit", "500"]).await;
    }
    postroom(&rig, &["pool", "put", "shop", "alice@example.com", "bob@example.com"]).await;
    let refused = "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail";
    rig.sandbox.add_fault(Fault::new(Stage::Mail, Action::reply(refused)).account("alice@example.com")).unwrap();

    let mail = |i: usize| json!({ "from": SHOP, "to": "ann@example.org", "subject": format!("{i}"), "text": "Hi" });
    let lines: Vec<String> = (0..MAILS).map(|i| mail(i).to_string()).collect();
    let sent = rig.postroom_with(&["send", "-", "--pool", "shop"], lines.join("\n").as_bytes()).await.unwrap();
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let ids: Vec<MailId> = sent.stdout.lines().map(|id| id.parse().unwrap()).collect();
    for account in &accounts {
        let waiting: u64 = queue.standing(account).await.unwrap().unwrap().waiting.iter().sum();
        assert_eq!(waiting, MAILS as u64 / 2, "both have the same left, so each gets its half");
    }

    let _worker = rig.worker(&[]).unwrap();
    let mut moved = 0;
    for id in &ids {
        let status = in_state(&queue, *id, MailState::Sent).await;
        assert_eq!((status.account.reveal(), status.attempts), ("bob@example.com", 1), "{:?}", status.timeline);
        moved += usize::from(status.timeline.iter().any(|event| matches!(event.what, What::Moved { .. })));
    }
    assert_eq!(moved, MAILS / 2);
    let received = rig.sandbox.mails();
    assert!(received.len() == MAILS && received.iter().all(|mail| mail.account == "bob@example.com"));
    let held = queue.account(&accounts[0]).await.unwrap().unwrap();
    assert_eq!(held.hold().unwrap().reason, Reason::Quota);
    until("alice's lane to be empty", PATIENCE, || async {
        let standing = queue.standing(&accounts[0]).await?.unwrap();
        Ok((standing.waiting == [0; 3] && standing.budget.messages.in_hand == 0).then_some(()))
    })
    .await
    .unwrap();

    let shown: Value = serde_json::from_str(&postroom(&rig, &["pool", "show", "shop", "--json"]).await).unwrap();
    let told: Vec<_> = shown["accounts"].as_array().unwrap().iter().map(|it| (&it["held"], &it["left"])).collect();
    assert_eq!((told[0].0, told[1]), (&json!("quota"), (&Value::Null, &json!(500 - MAILS))));
}
