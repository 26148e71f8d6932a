//! No address, token or secret reaches a log, whatever goes wrong.

use postroom_it::{Rig, mail_json, run};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::MailState;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn logs_and_complaints_hold_no_address_and_no_secret() {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    // A reply that names the recipient, a temporary one, a cut, a refused login, a revoked consent.
    let words = "550 5.1.1 <gone@example.org> of bob@example.net does not exist - gsmtp";
    rig.sandbox.add_fault(Fault::new(Stage::Rcpt, Action::reply(words)).recipient("gone")).unwrap();
    rig.sandbox
        .add_fault(Fault::new(Stage::Final, Action::reply("451 4.3.0 not now, alice@example.com")).times(2))
        .unwrap();
    rig.sandbox.add_fault(Fault::new(Stage::Final, Action::Cut).times(1)).unwrap();
    let settings = [("POSTROOM_LOG", "trace"), ("POSTROOM_RETRY_BASE", "20ms"), ("POSTROOM_LOG_FORMAT", "json")];
    let mut worker = rig.worker(&settings).unwrap();
    for (to, state) in [("bob@example.net", MailState::Sent), ("gone@example.org", MailState::Dead)] {
        let new = mail(&queue, &alice, &mail_json(ALICE, to, "a confidential subject"));
        queue.push(&new).await.unwrap();
        in_state(&queue, new.id, state).await;
    }
    rig.sandbox.expire_tokens(None);
    rig.sandbox.revoke(ALICE);
    let refused = run(
        "postroom",
        &["send", "-"],
        &rig.environment,
        br#"{"from":"carol@example.com","to":"dave@example.org","subject":"x","text":"y"}"#,
    )
    .await
    .unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(worker.stop().await.unwrap().success());
    let log = worker.log() + &refused.stderr;
    assert!(log.contains("attempt finished") && log.contains("g***@example.org"), "{log}");
    let body = "this is a test";
    for secret in [
        ALICE,
        "bob@example.net",
        "gone@example.org",
        "carol@example.com",
        "dave@example.org",
        "confidential",
        "sandbox-access.",
        body,
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret:?} stands in: {}", line.unwrap_or_default());
    }
    let secrets = rig.secrets([ALICE]);
    assert!(secrets.values() > 4, "no token was issued");
    assert_eq!(secrets.search("the log", log.as_bytes()), Vec::<String>::new());
    // What lies in Redis is sealed: a dump gives nothing to send with.
    let files = rig.redis.files().await.unwrap();
    for (name, bytes) in &files {
        assert_eq!(secrets.search(name, bytes), Vec::<String>::new());
    }
    let dump = files.iter().find(|(name, _)| name == "dump.rdb").unwrap();
    assert!(dump.1.windows(ALICE.len()).any(|window| window == ALICE.as_bytes()), "the dump cannot be searched");
}
