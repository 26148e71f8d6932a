//! A token endpoint in trouble, as an operator sees it: what is told, what is counted, what a resume does.

use postroom_it::{PATIENCE, Rig, mail_json, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::MailState;
use postroom_shared::reason::Reason;
use serde_json::{Value, json};

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";

async fn shown(rig: &Rig) -> Value {
    serde_json::from_str(&rig.postroom(&["account", "show", ALICE, "--json"]).await.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_of_and_asked_again_at_once_when_a_person_resumes() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    let text = rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    assert!(text.contains("none now") && text.contains("none yet"), "{text}");
    rig.sandbox.add_fault(Fault::new(Stage::Token, Action::http(403, "<html>Forbidden</html>"))).unwrap();
    // As if it had failed for long, so that the account rests for half a minute at least.
    let store = rig.store().await.unwrap();
    let mut failing = redis::cmd("HSET");
    failing.arg(store.keys_of(&alice).token_figures(&alice)).arg("in_a_row").arg(10);
    failing.query_async::<()>(&mut store.connection()).await.unwrap();
    queue.push(&mail(&queue, &alice, &mail_json(ALICE, "x@example.org", "1"))).await.unwrap();
    // Three workers, one refresh of three tries: what one of them was told the others do not ask again.
    let workers: Vec<_> = (0..3).map(|_| rig.worker(&[("POSTROOM_RETRY_BASE", "15m")]).unwrap()).collect();
    let hold = until("the account to be held", PATIENCE, || async {
        Ok(queue.account(&alice).await?.and_then(|account| account.hold().cloned()))
    })
    .await
    .unwrap();
    assert_eq!(hold.reason, Reason::TokenUnavailable);
    assert_eq!(rig.sandbox.stats().token_requests, 3, "{}", workers[0].log());
    let tokens = shown(&rig).await["tokens"].take();
    assert_eq!((&tokens["failures"]["unavailable"], &tokens["failed_in_a_row"]), (&json!(1), &json!(11)), "{tokens}");
    assert!(tokens["rests_s"].as_u64().unwrap() > 10, "{tokens}");
    let text = rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    for words in ["1 failed (1 unavailable)", "the token endpoint answered 403"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    rig.sandbox.clear_faults();
    let next = mail(&queue, &alice, &mail_json(ALICE, "x@example.org", "2"));
    queue.push(&next).await.unwrap();
    assert_eq!(rig.postroom(&["account", "resume", ALICE]).await.unwrap().code, Some(0));
    in_state(&queue, next.id, MailState::Sent).await;
    let tokens = shown(&rig).await["tokens"].take();
    assert_eq!((&tokens["refreshes"]["none"], &tokens["failed_in_a_row"]), (&json!(1), &json!(0)), "{tokens}");
    assert!(tokens["token_ends"].is_number() && tokens["rests_s"] == 0, "{tokens}");
    assert_eq!(rig.sandbox.stats().token_requests, 4, "{}", workers[0].log());
}
