//! Test mode: mails go the whole way and end at the stand-in in the worker; Gmail hears and sees nothing of them.

use std::time::Duration;

use postroom::{DirectClient, Draft, SendError, Sent};
use postroom_it::{PATIENCE, Process, Rig, mail_json, until};
use postroom_shared::account::{AccountId, Pause};
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, MailStatus, Queue, ViaError};
use postroom_shared::reason::Reason;
use serde_json::{Value, json};

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
const DELIVERED: &str = "delivered@postroom.test";
const NOTHING_SENT: &str = "(test mode: nothing was sent)";
const QUICK: [(&str, &str); 4] = [
    ("POSTROOM_RETRY_BASE", "50ms"),
    ("POSTROOM_RETRY_CAP", "100ms"),
    ("POSTROOM_LEASE", "1s"),
    ("POSTROOM_LOG", "info"),
];

struct Setting {
    rig: Rig,
    queue: Queue,
    client: DirectClient,
}

impl Setting {
    async fn start() -> Self {
        let rig = Rig::start().await.unwrap();
        let queue = rig.queue().await.unwrap();
        Self { rig, client: DirectClient::over(queue.clone()), queue }
    }

    fn worker(&self, further: &[(&str, &str)]) -> Process {
        let settings: Vec<_> = QUICK.iter().chain(further).copied().collect();
        self.rig.worker(&settings).unwrap()
    }

    async fn send(&self, mail: Value) -> MailId {
        self.sent(mail.into()).await.id
    }

    async fn sent(&self, draft: Draft) -> Sent {
        self.client.send(draft).await.unwrap()
    }

    /// What is wrong with a mail, as a caller reads it.
    async fn refused(&self, draft: Draft) -> String {
        match self.client.send(draft).await {
            Err(SendError::Refused(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn ends_as(&self, id: MailId, state: MailState) -> MailStatus {
        in_state(&self.queue, id, state).await
    }

    /// Neither Gmail nor Google's token endpoint was asked for anything.
    fn nobody_was_asked(&self) {
        let stats = self.rig.sandbox.stats();
        assert_eq!((stats.connections, stats.imap_connections, stats.token_requests), (0, 0, 0));
    }

    async fn postroom(&self, arguments: &[&str]) -> String {
        let ran = self.rig.postroom(arguments).await.unwrap();
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }
}

fn to(recipients: Value) -> Value {
    json!({ "from": ALICE, "to": recipients, "subject": "Hi", "text": "Hello" })
}

fn attempts(status: &MailStatus) -> Vec<(Reason, &str)> {
    let attempts = status.timeline.iter().filter_map(|event| event.what.attempt());
    attempts.map(|attempt| (attempt.reason, attempt.next.as_str())).collect()
}

#[tokio::test]
async fn a_first_try_needs_no_account_and_no_google() {
    let setting = Setting::start().await;
    let worker = setting.worker(&[]);
    let input = mail_json("anybody@example.com", "ann@example.org", "Hello").to_string();
    let ran = setting.rig.postroom_with(&["send", "-", "--test", "--json", "--wait"], input.as_bytes()).await.unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["state"], &told["test"]), (&json!("sent"), &json!(true)));
    // Those to the names of test mode are test mails without being asked for.
    let sent = setting.sent(to(json!([DELIVERED, "Delivered+order-7@Postroom.test"])).into()).await;
    assert!(sent.test && !sent.known);
    let status = setting.ends_as(sent.id, MailState::Sent).await;
    assert_eq!((status.test, status.account.is_test()), (true, true));
    assert_eq!(attempts(&status), [(Reason::Delivered, "sent")]);
    let reply = status.timeline.last().unwrap().what.attempt().unwrap().reply.clone().unwrap();
    assert_eq!(reply.words(), format!("250 2.0.0 OK {NOTHING_SENT}"));
    setting.nobody_was_asked();
    until("the log to tell it", PATIENCE, || async { Ok(worker.log().contains("mail.test=true").then_some(())) })
        .await
        .unwrap();
    // It is seen for what it is wherever it is seen.
    let id = sent.id.to_string();
    for (arguments, words) in [
        (vec!["mail", "show", &id], "it ends at a stand-in in the worker: nothing is sent"),
        (vec!["mail", "show", &id, "--json"], "\"test\": true"),
        (vec!["mail", "list"], "sent (test)"),
        (vec!["queue", "stats"], "test@postroom.test (test mode)"),
        (vec!["account", "list"], "test (built in)"),
        (vec!["account", "show", "test@postroom.test"], "test (built in)"),
    ] {
        let shown = setting.postroom(&arguments).await;
        assert!(shown.contains(words), "{arguments:?}: {shown}");
    }
}

#[tokio::test]
async fn a_bounced_recipient_is_refused_in_gmails_words() {
    let setting = Setting::start().await;
    let _worker = setting.worker(&[]);
    let alone = setting.send(to(json!("bounced+a@postroom.test"))).await;
    let status = setting.ends_as(alone, MailState::Dead).await;
    assert_eq!((status.reason, status.attempts, status.test), (Some(Reason::Recipient), 1, true));
    let words = status.recipients[0].reply.as_ref().unwrap().words();
    assert!(words.starts_with("550 5.1.1 The email account that you tried to reach does not exist."), "{words}");
    assert!(words.ends_with(NOTHING_SENT), "{words}");

    let several = setting.send(to(json!([DELIVERED, "bounced@postroom.test", "delayed@postroom.test"]))).await;
    let status = setting.ends_as(several, MailState::Dead).await;
    let fates: Vec<&str> = status.recipients.iter().map(|one| one.fate.as_str()).collect();
    assert_eq!(fates, ["delivered", "refused", "delivered"], "{:?}", status.timeline);
    // A retry is a test mail like the first, and no real account ever gets it.
    let alice = setting.rig.add_account(ALICE).await.unwrap();
    let ttl = Duration::from_secs(60);
    let through = setting.queue.retry_dead_via(alone, ttl, &alice).await;
    assert!(matches!(through, Err(ViaError::TestMode)), "{through:?}");
    assert_eq!(setting.queue.retry_dead(alone, ttl).await.unwrap(), Some(Ok(())));
    let status = setting.ends_as(alone, MailState::Dead).await;
    assert_eq!((status.attempts, status.account.is_test()), (2, true));
    setting.nobody_was_asked();
}

#[tokio::test]
async fn a_delayed_recipient_is_taken_at_the_third_attempt_whichever_worker_makes_it() {
    let setting = Setting::start().await;
    let ids: Vec<MailId> = {
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(setting.send(to(json!(format!("delayed+{number}@postroom.test")))).await);
        }
        ids
    };
    let _workers = [setting.worker(&[]), setting.worker(&[])];
    for id in ids {
        let status = setting.ends_as(id, MailState::Sent).await;
        let busy = (Reason::ServerBusy, "retry");
        assert_eq!(attempts(&status), [busy, busy, (Reason::Delivered, "sent")]);
    }
    setting.nobody_was_asked();
}

#[tokio::test]
async fn where_there_is_no_bdat_a_test_mail_goes_dot_by_dot() {
    let setting = Setting::start().await;
    let _worker = setting.worker(&[("POSTROOM_SMTP_CHUNKING", "off")]);
    let mut mail = to(json!([DELIVERED, "Grüße@example.org", "bounced@postroom.test"]));
    mail["text"] =
        json!(format!(".\n..\n. \n{}", "a line of some length that fills more than one pipe\n".repeat(4_000)));
    let several = setting.sent(Draft::from(mail).as_test()).await;
    let alone = setting.send(to(json!("bounced@postroom.test"))).await;
    let status = setting.ends_as(several.id, MailState::Dead).await;
    let fates: Vec<&str> = status.recipients.iter().map(|one| one.fate.as_str()).collect();
    assert_eq!(fates, ["delivered", "delivered", "refused"], "{:?}", status.timeline);
    assert_eq!(setting.ends_as(alone, MailState::Dead).await.reason, Some(Reason::Recipient));
    setting.nobody_was_asked();
}

#[tokio::test]
async fn a_mail_is_no_test_mail_in_part_and_its_from_is_checked() {
    let setting = Setting::start().await;
    let mixed = setting.refused(to(json!([DELIVERED, "ann@example.org"])).into()).await;
    assert!(mixed.contains("to: 1 of 2 recipients are at postroom.test"), "{mixed}");
    setting.rig.add_account(ALICE).await.unwrap();
    // With a key of test mode every mail is one, whomever it goes to.
    setting.sent(Draft::from(to(json!([DELIVERED, "ann@example.org"]))).as_test()).await;
    let unknown = setting.refused(Draft::from(to(json!("bouncd@postroom.test"))).as_test()).await;
    assert!(unknown.contains("did you mean \"bounced\"?"), "{unknown}");

    let mut other = to(json!([DELIVERED, "ann@example.org"]));
    other["from"] = json!("other@example.com");
    let both = setting.refused(other.clone().into()).await;
    assert!(both.contains("from: no account sends as") && both.contains("1 of 2 recipients"), "{both}");
    other["to"] = json!(DELIVERED);
    for draft in [Draft::from(other.clone()), Draft::from(other).as_test()] {
        let refused = setting.refused(draft).await;
        assert!(refused.starts_with("from: no account sends as o***@example.com"), "{refused}");
    }
    let named = Draft::from(to(json!("ann@example.org"))).with_account(AccountId::of_test_mode());
    let named = setting.refused(named).await;
    assert!(named.starts_with("account: this account is built in"), "{named}");
    setting.nobody_was_asked();
}

#[tokio::test]
async fn a_real_account_is_not_touched_by_test_mails() {
    let setting = Setting::start().await;
    let alice = setting.rig.add_account(ALICE).await.unwrap();
    setting.queue.hold(&alice, Reason::Operator, "a test", Pause::UntilAPerson).await.unwrap();
    let before = setting.queue.standing(&alice).await.unwrap().unwrap();
    let live = setting.send(to(json!("ann@example.org"))).await;
    let drafts: Vec<Draft> = (0..50).map(|_| Draft::from(to(json!("ann@example.org"))).as_test()).collect();
    let sent: Vec<Sent> = setting.client.send_many(drafts).await.into_iter().map(Result::unwrap).collect();
    let _worker = setting.worker(&[]);
    for one in &sent {
        setting.ends_as(one.id, MailState::Sent).await;
    }
    let after = setting.queue.standing(&alice).await.unwrap().unwrap();
    assert_eq!((&after.budget, &after.account), (&before.budget, &before.account));
    assert_eq!(setting.queue.mail(live).await.unwrap().unwrap().state, MailState::Ready);
    setting.nobody_was_asked();
    // Nor is one made or changed through that of test mode.
    let ran = setting.rig.postroom(&["pool", "put", "shop", ALICE, "test@postroom.test"]).await.unwrap();
    assert!(ran.code == Some(1) && ran.stderr.contains("sends nothing"), "{}", ran.stderr);
    for verb in ["add", "login", "remove"] {
        let ran = setting.rig.postroom(&["account", verb, "test@postroom.test"]).await.unwrap();
        assert!(ran.code == Some(1) && ran.stderr.contains("built in"), "{verb}: {}", ran.stderr);
    }
    let doctor = setting.rig.postroom(&["doctor", "test@postroom.test"]).await.unwrap();
    assert!(doctor.stdout.contains("nothing that could be examined"), "{}{}", doctor.stdout, doctor.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_amid_test_mails_lose_none_and_ask_nobody() {
    const MAILS: usize = 3_000;
    let setting = Setting::start().await;
    // Sent would be believed only after ten minutes, and who cannot ask it gives up: neither is for test mails.
    let strict = [("POSTROOM_SENT_ALLOWANCE", "10m"), ("POSTROOM_UNCERTAIN", "dead")];
    let drafts: Vec<Draft> = (0..MAILS).map(|_| to(json!(DELIVERED)).into()).collect();
    assert!(setting.client.send_many(drafts).await.iter().all(Result::is_ok));
    for wanted in [100, 600, 1_200] {
        let mut worker = setting.worker(&strict);
        until("some mails to be sent", PATIENCE, || async {
            Ok((setting.queue.stats().await?.states["sent"] >= wanted).then_some(()))
        })
        .await
        .unwrap();
        worker.kill().await.unwrap();
    }
    let _worker = setting.worker(&strict);
    until("all mails to be sent", PATIENCE * 4, || async {
        Ok((setting.queue.stats().await?.states["sent"] == MAILS as u64).then_some(()))
    })
    .await
    .unwrap();
    let stats = setting.queue.stats().await.unwrap();
    assert!(stats.leases_lost > 0 && stats.states["dead"] == 0, "{stats:?}");
    setting.nobody_was_asked();
}

#[tokio::test]
async fn idempotency_keys_of_test_mails_and_of_live_ones_never_meet() {
    let setting = Setting::start().await;
    let mut keyed = to(json!("ann@example.org"));
    keyed["idempotency_key"] = json!("order-1001");
    let test = || Draft::from(keyed.clone()).as_test();
    // The first of them makes the account of test mode; its key counts all the same.
    let first = setting.sent(test()).await;
    setting.rig.add_account(ALICE).await.unwrap();
    let again = setting.sent(test()).await;
    assert_eq!((again.id, again.known, again.test), (first.id, true, true));
    let live = setting.sent(keyed.clone().into()).await;
    assert!(live.id != first.id && !live.known && !live.test);
    assert_eq!(setting.sent(keyed.clone().into()).await.id, live.id);
    keyed["text"] = json!("Another text");
    let other = setting.client.send(Draft::from(keyed).as_test()).await;
    assert!(matches!(other, Err(SendError::Conflict(id)) if id == first.id), "{other:?}");
}

#[tokio::test]
async fn a_live_mail_is_never_retried_through_test_mode() {
    let setting = Setting::start().await;
    let alice = setting.rig.add_account(ALICE).await.unwrap();
    setting.send(to(json!(DELIVERED))).await;
    let job = mail(&setting.queue, &alice, &to(json!("ann@example.org")));
    setting.queue.push(&job).await.unwrap();
    setting.queue.remove_account(&alice).await.unwrap();
    setting.ends_as(job.id, MailState::Dead).await;
    let through = setting.queue.retry_dead_via(job.id, Duration::from_secs(60), &AccountId::of_test_mode()).await;
    assert!(matches!(through, Err(ViaError::TestMode)), "{through:?}");
}
