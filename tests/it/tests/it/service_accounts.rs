//! Service accounts with domain-wide delegation: one key for many accounts, what its refusals lead to, and where it lies.

use std::time::Duration;

use postroom_it::{Finished, OTHER_SECRET_KEY, PATIENCE, Process, Rig, RigOptions, SECRET_KEY, mail_json, until};
use postroom_sandbox::{Action, Config, Fault, ServiceAccount, Stage};
use postroom_shared::account::{AccountId, Hold};
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, Queue};
use postroom_shared::reason::Reason;
use serde_json::{Value, json};

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const CAROL: &str = "carol@elsewhere.example";
const EMAIL: &str = "robot@project.iam.gserviceaccount.com";
const ONE: (&str, &str, &str) =
    ("key-one", include_str!("../../../keys/one.pem"), include_str!("../../../keys/one.pub.pem"));
const TWO: (&str, &str, &str) =
    ("key-two", include_str!("../../../keys/two.pem"), include_str!("../../../keys/two.pub.pem"));

struct Setup {
    rig: Rig,
    queue: Queue,
}

/// Several shards: a service account serves accounts of all of them.
async fn setup() -> Setup {
    let settings = vec![("POSTROOM_SHARDS".to_owned(), "4".to_owned())];
    // Whose token has ended logs in anew, instead of using its warm connection.
    let sandbox = Config { close_sessions_at_expiry: true, ..Config::default() };
    let rig = Rig::start_with(RigOptions { settings, sandbox, ..RigOptions::default() }).await.unwrap();
    let queue = rig.queue().await.unwrap();
    Setup { rig, queue }
}

fn key_file((id, pem, _): (&str, &str, &str)) -> Value {
    json!({
        "type": "service_account",
        "private_key_id": id,
        "private_key": pem,
        "client_email": EMAIL,
        "client_id": "123456789012345678901",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

impl Setup {
    /// What Google knows: this key, and these domains that have delegated.
    fn google_knows(&self, (key_id, _, public): (&str, &str, &str), domains: &[&str]) {
        let account = ServiceAccount {
            email: EMAIL.to_owned(),
            key_id: key_id.to_owned(),
            public_key: public.to_owned(),
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
            disabled: false,
        };
        self.rig.sandbox.put_service_account(account).unwrap();
    }

    async fn add(&self, address: &str, key: (&str, &str, &str)) -> AccountId {
        let done = self.add_by(address, &key_file(key).to_string(), &[]).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        address.parse().unwrap()
    }

    async fn add_by(&self, address: &str, file: &str, further: &[&str]) -> Finished {
        let path = self.rig.folder().join("key.json");
        std::fs::write(&path, file).unwrap();
        let arguments = ["account", "add", address, "--service-account", path.to_str().unwrap()];
        self.rig.postroom(&[&arguments[..], further].concat()).await.unwrap()
    }

    fn worker(&self) -> Process {
        self.rig.worker(&[("POSTROOM_LOG", "trace")]).unwrap()
    }

    async fn push(&self, account: &AccountId, count: usize) -> Vec<MailId> {
        let json = |n: usize| mail_json(account.reveal(), "x@example.org", &n.to_string());
        let jobs: Vec<_> = (0..count).map(|n| mail(&self.queue, account, &json(n))).collect();
        assert!(self.queue.push_many(&jobs).await.iter().all(Result::is_ok));
        jobs.iter().map(|job| job.id).collect()
    }

    async fn all_are(&self, ids: &[MailId], state: MailState, attempts: u32) {
        for id in ids {
            assert_eq!(in_state(&self.queue, *id, state).await.attempts, attempts, "{id}");
        }
    }

    async fn held(&self, account: &AccountId) -> Hold {
        until("the account to be held", PATIENCE, || async {
            Ok(self.queue.account(account).await?.and_then(|account| account.hold().cloned()))
        })
        .await
        .unwrap()
    }

    async fn keys(&self, pattern: &str) -> Vec<String> {
        self.rig.redis.ask(&["KEYS", pattern]).await.unwrap()
    }

    async fn show(&self, address: &str) -> Value {
        let shown = self.rig.postroom(&["account", "show", address, "--json"]).await.unwrap();
        serde_json::from_str(&shown.stdout).unwrap()
    }
}

#[tokio::test]
async fn two_accounts_send_by_one_key_that_goes_with_the_last_of_them() {
    let setup = setup().await;
    setup.google_knows(ONE, &["example.com"]);
    let (alice, bob) = (setup.add(ALICE, ONE).await, setup.add(BOB, ONE).await);
    assert_ne!(
        setup.queue.store().shard_of(&alice),
        setup.queue.store().shard_of(&bob),
        "another shard for one of them"
    );
    let worker = setup.worker();
    let mails = [setup.push(&alice, 10).await, setup.push(&bob, 10).await].concat();
    setup.all_are(&mails, MailState::Sent, 1).await;
    assert_eq!(setup.rig.sandbox.stats().tokens_issued, 2);
    assert_eq!(setup.keys("*service-key*").await, [format!("pr:{{0}}:service-key:{EMAIL}")]);
    let account = setup.show(ALICE).await;
    assert_eq!(account["kind"], "workspace");
    let expected = json!({ "email": "r***@project.iam.gserviceaccount.com", "key_id": "key-one", "accounts": 2 });
    assert_eq!(account["service_account"], expected);
    let shown = setup.rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    assert!(
        shown.contains("by service account r***@project.iam.gserviceaccount.com, key key-one, for 2 accounts"),
        "{shown}"
    );
    // Bob's key is not taken away with Alice.
    assert_eq!(setup.rig.postroom(&["account", "remove", ALICE, "--yes"]).await.unwrap().code, Some(0));
    setup.rig.sandbox.expire_tokens(None);
    let more = setup.push(&bob, 10).await;
    setup.all_are(&more, MailState::Sent, 1).await;
    assert_eq!(setup.rig.sandbox.stats().tokens_issued, 3);
    assert_eq!(setup.show(BOB).await["service_account"]["accounts"], 1);
    // With a consent in its place nobody uses it any more.
    let token = postroom_sandbox::Sandbox::refresh_token(BOB);
    let environment = setup.rig.with(&[("POSTROOM_REFRESH_TOKEN", &token)]);
    let added = postroom_it::run("postroom", &["account", "add", BOB], &environment, b"").await.unwrap();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    assert_eq!((setup.keys("*service-*").await, &setup.show(BOB).await["service_account"]), (vec![], &Value::Null));
    let last = setup.push(&bob, 1).await;
    setup.all_are(&last, MailState::Sent, 1).await;
    assert!(!worker.log().contains(ALICE), "{}", worker.log());
}

#[tokio::test]
async fn a_domain_that_has_not_delegated_yet_is_told_how_and_holds_only_its_own_accounts() {
    let setup = setup().await;
    setup.google_knows(ONE, &["elsewhere.example"]);
    let (alice, carol) = (setup.add(ALICE, ONE).await, setup.add(CAROL, ONE).await);
    let _worker = setup.worker();
    let waiting = setup.push(&alice, 20).await;
    let hold = setup.held(&alice).await;
    assert_eq!(hold.reason, Reason::Client);
    // It ends by itself: Google takes up to a day.
    assert!(hold.until.unwrap().since(hold.since) >= Duration::from_secs(900), "{hold:?}");
    let shown = setup.rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    for words in [
        "unauthorized_client",
        "client id 123456789012345678901 with the scope https://mail.google.com/",
        "Security > Access and data control > API controls > Manage domain-wide delegation",
        "https://admin.google.com/ac/owl/domainwidedelegation",
        "24 hours",
        "it is tried again by itself",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let others = setup.push(&carol, 20).await;
    setup.all_are(&others, MailState::Sent, 1).await;
    assert!(setup.queue.account(&carol).await.unwrap().unwrap().holds.is_empty());
    setup.all_are(&waiting, MailState::Ready, 0).await;
    assert!(setup.rig.sandbox.stats().account(ALICE).token_requests <= 2);
    setup.google_knows(ONE, &["example.com", "elsewhere.example"]);
    assert_eq!(setup.rig.postroom(&["account", "resume", ALICE]).await.unwrap().code, Some(0));
    setup.all_are(&waiting, MailState::Sent, 1).await;
}

#[tokio::test]
async fn a_key_that_was_deleted_is_replaced_for_all_accounts_at_once() {
    let setup = setup().await;
    setup.google_knows(ONE, &["example.com"]);
    let (alice, bob) = (setup.add(ALICE, ONE).await, setup.add(BOB, ONE).await);
    setup.google_knows(TWO, &["example.com"]);
    let worker = setup.worker();
    let mails = [setup.push(&alice, 10).await, setup.push(&bob, 10).await].concat();
    for account in [&alice, &bob] {
        let hold = setup.held(account).await;
        assert_eq!((hold.reason, hold.until), (Reason::Client, None));
        for words in ["key key-one is not accepted", "Invalid JWT Signature.", "--service-account FILE"] {
            assert!(hold.note.contains(words), "{words}: {}", hold.note);
        }
    }
    setup.all_are(&mails, MailState::Ready, 0).await;
    setup.add(ALICE, TWO).await;
    setup.all_are(&mails, MailState::Sent, 1).await;
    assert_eq!(setup.keys("*service-key*").await.len(), 1);
    assert_eq!(setup.show(BOB).await["service_account"]["key_id"], "key-two", "{}", worker.log());
}

#[tokio::test]
async fn what_a_jwt_is_refused_for_is_never_called_a_consent() {
    let clock = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.";
    for (error, description, reason, by_itself, to_do) in [
        ("", "Invalid email or User ID", Reason::Config, false, "primary address"),
        ("invalid_grant", clock, Reason::Config, true, "NTP"),
        ("invalid_grant", "Robot is disabled.", Reason::Client, false, "enable it"),
        ("admin_policy_enforced", "By policy.", Reason::Config, false, "By policy."),
    ] {
        let setup = setup().await;
        setup.google_knows(ONE, &["example.com"]);
        let alice = setup.add(ALICE, ONE).await;
        if error.is_empty() {
            setup.rig.sandbox.revoke(ALICE);
        } else {
            let body = json!({ "error": error, "error_description": description }).to_string();
            setup.rig.sandbox.add_fault(Fault::new(Stage::Token, Action::http(400, &body))).unwrap();
        }
        let mails = setup.push(&alice, 3).await;
        let worker = setup.worker();
        let hold = setup.held(&alice).await;
        assert_eq!((hold.reason, hold.until.is_some()), (reason, by_itself), "{description}");
        assert!(hold.note.contains(description) && hold.note.contains(to_do), "{}", hold.note);
        assert!(!hold.note.contains("consent"), "{}", hold.note);
        setup.rig.sandbox.restore(ALICE);
        setup.rig.sandbox.clear_faults();
        setup.queue.resume(&alice).await.unwrap();
        setup.all_are(&mails, MailState::Sent, 1).await;
        assert!(!worker.log().contains(ALICE), "{}", worker.log());
    }
}

#[tokio::test]
async fn a_wrong_key_file_is_told_and_nothing_of_it_is_stored_or_repeated() {
    let setup = setup().await;
    let secret = "not-to-be-repeated";
    let small = key_file(("key-small", include_str!("../../../keys/small.pem"), ""));
    let ec = key_file(("key-ec", include_str!("../../../keys/ec.pem"), ""));
    for (file, words) in [
        (secret.to_owned(), "key.json: it is not JSON"),
        (json!({ "installed": { "client_secret": secret } }).to_string(), "file of an OAuth client"),
        (json!({ "type": "authorized_user", "refresh_token": secret }).to_string(), "authorized_user"),
        (key_file(("key-one", secret, "")).to_string(), "its private key cannot be read"),
        (ec.to_string(), "its private key is not RSA"),
        (small.to_string(), "fewer than 2,048 bits"),
    ] {
        let refused = setup.add_by(ALICE, &file, &[]).await;
        assert_eq!(refused.code, Some(1), "{words}");
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        assert!(!refused.stderr.contains(secret) && !refused.stderr.contains("MI"), "{}", refused.stderr);
    }
    let good = key_file(ONE).to_string();
    let refused = setup.add_by(ALICE, &good, &["--kind", "consumer"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--kind workspace"), "{}", refused.stderr);
    assert_eq!(setup.add_by(ALICE, &good, &["--keep-credentials"]).await.code, Some(2));
    let missing = ["account", "add", ALICE, "--service-account", "/no/such/file"];
    let refused = setup.rig.postroom(&missing).await.unwrap();
    assert!(
        refused.code == Some(1) && refused.stderr.contains("/no/such/file: it cannot be read"),
        "{}",
        refused.stderr
    );
    assert_eq!((setup.keys("*service-*").await, setup.queue.accounts().await.unwrap()), (vec![], vec![]));
}

#[tokio::test]
async fn nothing_of_the_key_lies_open_in_redis_or_in_any_output() {
    let setup = setup().await;
    setup.google_knows(ONE, &["example.com"]);
    let alice = setup.add(ALICE, ONE).await;
    let mut worker = setup.worker();
    let mails = setup.push(&alice, 3).await;
    setup.all_are(&mails, MailState::Sent, 1).await;
    setup.google_knows(TWO, &["example.com"]);
    setup.rig.sandbox.expire_tokens(None);
    setup.push(&alice, 1).await;
    setup.held(&alice).await;
    let mut output = setup.rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    output += &setup.rig.postroom(&["account", "show", ALICE, "--json"]).await.unwrap().stdout;
    assert!(worker.stop().await.unwrap().success());
    output += &worker.log();
    // Uncompressed, as it lies there.
    setup.rig.redis.ask::<()>(&["CONFIG", "SET", "rdbcompression", "no"]).await.unwrap();
    for key in setup.keys("*").await {
        if let Ok(Some(value)) = setup.rig.redis.ask::<Option<Vec<u8>>>(&["DUMP", &key]).await {
            output += &String::from_utf8_lossy(&value);
        }
    }
    assert!(output.contains("new access token") && output.contains("key-one"), "{output}");
    let lines = ONE.1.lines().filter(|line| !line.starts_with("---"));
    // The head of a JWT of RS256, and whatever its signature may be.
    for secret in
        lines.map(|line| &line[..16.min(line.len())]).chain(["PRIVATE KEY", "eyJhbGciOiJSUzI1NiIs", "sandbox-access."])
    {
        assert!(!output.contains(secret), "{secret} lies open");
    }
}

#[tokio::test]
async fn the_key_that_seals_is_changed_for_service_accounts_too() {
    let setup = setup().await;
    setup.google_knows(ONE, &["example.com"]);
    let (alice, _bob) = (setup.add(ALICE, ONE).await, setup.add(BOB, ONE).await);
    let keys = format!("{OTHER_SECRET_KEY},{SECRET_KEY}");
    let environment = setup.rig.with(&[("POSTROOM_SECRET_KEY", &keys)]);
    let ran = postroom_it::run("postroom", &["account", "reseal", "--json"], &environment, b"").await.unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&told["moved"]["service_keys"], &told["moved"]["credentials"]), (&json!(1), &json!(2)), "{told}");
    let worker = setup.rig.worker(&[("POSTROOM_SECRET_KEY", OTHER_SECRET_KEY)]).unwrap();
    let mails = setup.push(&alice, 1).await;
    setup.all_are(&mails, MailState::Sent, 1).await;
    assert!(!worker.log().contains("opened"), "{}", worker.log());
}
