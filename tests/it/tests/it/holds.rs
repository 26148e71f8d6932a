//! A refusal of the account holds the account: its mails lose nothing, the others' go on, and the server is left alone.

use std::time::Duration;

use postroom_it::{PATIENCE, Persistence, Process, Rig, RigOptions, mail_json, until};
use postroom_sandbox::{Action, ConfigChange, Fault, Stage};
use postroom_shared::account::{AccountId, Hold};
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, Queue};
use postroom_shared::reason::Reason;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const DAILY_LIMIT: &str = "550 5.4.5 Daily user sending limit exceeded. - gsmtp";

struct Setup {
    rig: Rig,
    queue: Queue,
}

async fn setup_with(persistence: Persistence) -> Setup {
    let rig = Rig::start_with(RigOptions { persistence, ..RigOptions::default() }).await.unwrap();
    let queue = rig.queue().await.unwrap();
    Setup { rig, queue }
}

async fn setup() -> Setup {
    setup_with(Persistence::None).await
}

impl Setup {
    fn fault(&self, fault: Fault) {
        self.rig.sandbox.add_fault(fault).unwrap();
    }

    /// A worker, with rows of its own if there are any.
    fn worker(&self, rows: &str) -> Process {
        let quick = [("POSTROOM_RETRY_BASE", "50ms"), ("POSTROOM_RETRY_CAP", "200ms")];
        if rows.is_empty() {
            return self.rig.worker(&quick).unwrap();
        }
        let path = self.rig.folder().join("rows.toml");
        std::fs::write(&path, rows).unwrap();
        self.rig.worker(&[quick[0], quick[1], ("POSTROOM_REPLIES_FILE", path.to_str().unwrap())]).unwrap()
    }

    async fn push(&self, account: &AccountId, count: usize) -> Vec<MailId> {
        let json = |n: usize| mail_json(account.reveal(), "x@example.org", &n.to_string());
        let jobs: Vec<_> = (0..count).map(|n| mail(&self.queue, account, &json(n))).collect();
        assert!(self.queue.push_many(&jobs).await.iter().all(Result::is_ok));
        jobs.iter().map(|job| job.id).collect()
    }

    async fn held(&self, account: &AccountId) -> Hold {
        until("the account to be held", PATIENCE, || async {
            Ok(self.queue.account(account).await?.and_then(|account| account.hold().cloned()))
        })
        .await
        .unwrap()
    }

    async fn all_are(&self, ids: &[MailId], state: MailState, attempts: u32) {
        for id in ids {
            assert_eq!(in_state(&self.queue, *id, state).await.attempts, attempts, "{id}");
        }
    }

    fn commands(&self, verb: &str) -> u64 {
        self.rig.sandbox.stats().command(verb)
    }

    fn refusals(&self, code: u16) -> u64 {
        self.rig.sandbox.stats().refused.get(&code).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn a_daily_limit_costs_one_refused_attempt_and_nobody_else_anything() {
    let setup = setup().await;
    let (alice, bob) = (setup.rig.add_account(ALICE).await.unwrap(), setup.rig.add_account(BOB).await.unwrap());
    setup.fault(Fault::new(Stage::Final, Action::reply(DAILY_LIMIT)).account(ALICE));
    let waiting = setup.push(&alice, 1_000).await;
    let worker = setup.worker("");
    let hold = setup.held(&alice).await;
    assert_eq!((hold.reason, hold.times), (Reason::Quota, 1));
    assert!(hold.until.unwrap().since(hold.since) >= Duration::from_secs(3_600), "{hold:?}");
    assert!(hold.note.contains("550 5.4.5 Daily user sending limit"), "{}", hold.note);
    let others = setup.push(&bob, 300).await;
    setup.all_are(&others, MailState::Sent, 1).await;
    setup.all_are(&waiting, MailState::Ready, 0).await;
    assert_eq!((setup.refusals(550), setup.commands("MAIL")), (1, 301), "{}", worker.log());
    let budget = setup.queue.budget(&alice).await.unwrap().unwrap();
    assert_eq!((budget.messages.left, budget.messages.elsewhere > 0), (Some(0), true), "{budget:?}");
    setup.rig.sandbox.clear_faults();
    setup.queue.resume(&alice).await.unwrap();
    setup.all_are(&waiting, MailState::Sent, 1).await;
    assert_eq!(setup.rig.sandbox.stats().doubled, 0);
}

#[tokio::test]
async fn mails_in_hand_of_an_account_that_is_refused_go_back_unsent() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    let worker = setup.worker("");
    let before = setup.push(&alice, 60).await;
    setup.all_are(&before, MailState::Sent, 1).await;
    setup.fault(Fault::new(Stage::Final, Action::reply(DAILY_LIMIT)));
    let so_far = setup.commands("MAIL");
    let waiting = setup.push(&alice, 500).await;
    setup.held(&alice).await;
    setup.all_are(&waiting, MailState::Ready, 0).await;
    let tried = setup.commands("MAIL") - so_far;
    assert!((1..=3).contains(&tried), "{tried} mails on three connections");
    // One line for each that was refused; none for those that only went back.
    let lines = worker.log().matches("outcome=\"back\"").count();
    assert_eq!(lines as u64, tried, "{}", worker.log());
}

#[tokio::test]
async fn the_hold_is_stored_before_any_mail_goes_back_even_if_redis_was_away() {
    let setup = setup_with(Persistence::Always).await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    let worker = setup.worker("");
    let before = setup.push(&alice, 60).await;
    setup.all_are(&before, MailState::Sent, 1).await;
    // The refusals come while Redis is away.
    setup.rig.sandbox.set_config(&ConfigChange { latency_ms: Some(700), ..ConfigChange::default() });
    setup.fault(Fault::new(Stage::Final, Action::reply(DAILY_LIMIT)));
    let so_far = setup.commands("MAIL");
    let waiting = setup.push(&alice, 200).await;
    until("the first mails to be under way", PATIENCE, || async {
        Ok((setup.commands("MAIL") > so_far).then_some(()))
    })
    .await
    .unwrap();
    setup.rig.redis.restart(Duration::from_secs(2)).await.unwrap();
    // The first call of this test's own connection finds it broken.
    let _ = setup.queue.account(&alice).await;
    setup.held(&alice).await;
    setup.all_are(&waiting, MailState::Ready, 0).await;
    let tried = setup.commands("MAIL") - so_far;
    assert!((1..=3).contains(&tried), "{tried} mails on three connections: {}", worker.log());
}

#[tokio::test]
async fn a_quota_with_a_short_row_of_the_operators_ends_by_itself() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    setup.fault(Fault::new(Stage::Final, Action::reply(DAILY_LIMIT)).times(2));
    let ids = setup.push(&alice, 100).await;
    let _worker = setup.worker(&row("short-limit", "code = 550\nenhanced = \"5.4.5\"", "quota", "quota", "1s"));
    let first = setup.held(&alice).await;
    assert!(first.until.unwrap().since(first.since) >= Duration::from_secs(1));
    setup.all_are(&ids, MailState::Sent, 1).await;
    // Once for each hold, and no herd after the first.
    assert_eq!((setup.refusals(550), setup.commands("MAIL")), (2, 102));
}

fn row(name: &str, when: &str, class: &str, reason: &str, floor: &str) -> String {
    format!(
        "[[row]]\nname = \"{name}\"\n{when}\nclass = \"{class}\"\nreason = \"{reason}\"\nfloor = \"{floor}\"\nhold = \
         \"{floor}\"\nscope = \"account\"\nmeans = \"A test.\"\ndo = \"Nothing.\"\nsource = \"seen: in a test\"\n"
    )
}

#[tokio::test]
async fn too_many_logins_hold_the_account_until_a_login_is_taken_again() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    let words = "454 4.7.0 Too many login attempts, please try again later. - gsmtp";
    setup.fault(Fault::new(Stage::Auth, Action::reply(words)).times(1));
    let ids = setup.push(&alice, 50).await;
    let when = "code = 454\nenhanced = \"4.7.0\"\nwords = [\"login attempts\"]";
    let _worker = setup.worker(&row("short-throttle", when, "quota", "login_limit", "2s"));
    let hold = setup.held(&alice).await;
    assert_eq!(hold.reason, Reason::LoginLimit);
    assert_eq!(setup.commands("AUTH"), 1);
    setup.all_are(&ids, MailState::Sent, 1).await;
    assert_eq!((setup.refusals(454), setup.rig.sandbox.stats().doubled), (1, 0));
}

#[tokio::test]
async fn logins_beyond_the_bucket_wait_and_cost_no_attempt() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    // Every connection is lost, so that each attempt asks for another.
    setup.fault(Fault::new(Stage::Ehlo, Action::Cut));
    let ids = setup.push(&alice, 1).await;
    let worker = setup
        .rig
        .worker(&[
            ("POSTROOM_RETRY_BASE", "50ms"),
            ("POSTROOM_RETRY_CAP", "50ms"),
            ("POSTROOM_LOGIN_BURST", "4"),
            ("POSTROOM_LOGIN_INTERVAL", "3s"),
        ])
        .unwrap();
    until("all logins to be used up", PATIENCE, || async {
        Ok(setup.queue.mail(ids[0]).await?.filter(|status| status.attempts == 4))
    })
    .await
    .unwrap();
    setup.rig.sandbox.clear_faults();
    let status = in_state(&setup.queue, ids[0], MailState::Sent).await;
    assert_eq!((setup.rig.sandbox.stats().connections, status.attempts), (5, 5), "{}", worker.log());
    let attempts: Vec<_> = status.timeline.iter().filter_map(|event| event.what.attempt()).collect();
    let waited = attempts.last().unwrap().claimed.since(attempts[0].claimed);
    assert!(waited >= Duration::from_millis(2_500), "{waited:?}");
}

#[tokio::test]
async fn a_revoked_consent_tells_what_to_do_and_goes_on_after_account_add() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    setup.rig.sandbox.revoke(ALICE);
    let ids = setup.push(&alice, 20).await;
    let worker = setup.worker("");
    let hold = setup.held(&alice).await;
    assert_eq!((hold.reason, hold.until), (Reason::Consent, None));
    setup.all_are(&ids, MailState::Ready, 0).await;
    assert_eq!(setup.rig.sandbox.stats().account(ALICE).token_requests, 1);
    let shown = setup.rig.postroom(&["account", "show", ALICE]).await.unwrap().stdout;
    for words in ["consent", "invalid_grant", "postroom account login", "until a person acts"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    setup.rig.sandbox.restore(ALICE);
    let token = postroom_sandbox::Sandbox::refresh_token(ALICE);
    let environment = setup.rig.with(&[("POSTROOM_REFRESH_TOKEN", &token)]);
    let added = postroom_it::run("postroom", &["account", "add", ALICE], &environment, b"").await.unwrap();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    setup.all_are(&ids, MailState::Sent, 1).await;
    assert!(!worker.log().contains(ALICE), "{}", worker.log());
}

#[tokio::test]
async fn a_refused_client_holds_all_its_accounts_and_no_other() {
    let setup = setup().await;
    let wrong = "a-client-that-is-refused";
    let (alice, carol) = (
        setup.rig.add_account_of(ALICE, wrong).await.unwrap(),
        setup.rig.add_account_of("carol@example.com", wrong).await.unwrap(),
    );
    let bob = setup.rig.add_account(BOB).await.unwrap();
    let mut held = Vec::new();
    for account in [&alice, &carol] {
        held.extend(setup.push(account, 20).await);
    }
    let _worker = setup.worker("");
    let others = setup.push(&bob, 50).await;
    for account in [&alice, &carol] {
        let hold = setup.held(account).await;
        assert_eq!((hold.reason, hold.until), (Reason::Client, None));
        assert!(hold.note.contains("invalid_client"), "{}", hold.note);
    }
    setup.all_are(&others, MailState::Sent, 1).await;
    setup.all_are(&held, MailState::Ready, 0).await;
    let stats = setup.rig.sandbox.stats();
    let asked: u64 = [&alice, &carol].iter().map(|account| stats.account(account.reveal()).token_requests).sum();
    assert_eq!(asked, 1, "one request finds out for both: {:?}", stats.accounts);
    // The client is corrected for one of them: the other's own credentials are still wrong, and it is held again.
    setup.rig.add_account(ALICE).await.unwrap();
    setup.all_are(&held[..20], MailState::Sent, 1).await;
    setup.all_are(&held[20..], MailState::Ready, 0).await;
}

#[tokio::test]
async fn no_mail_dies_of_what_the_server_says_before_any_mail() {
    for (stage, words, reason) in [
        (Stage::Greeting, "421 4.7.0 Try again later, closing connection. - gsmtp", Reason::ServerBusy),
        (Stage::Greeting, "554 5.0.0 No service for you - gsmtp", Reason::Config),
        (Stage::Ehlo, "550 5.7.1 No - gsmtp", Reason::Config),
        (Stage::Auth, "535 5.5.4 Optional Argument not permitted for that AUTH mode. - gsmtp", Reason::Config),
    ] {
        let setup = setup().await;
        let alice = setup.rig.add_account(ALICE).await.unwrap();
        setup.fault(Fault::new(stage, Action::reply(words)));
        let ids = setup.push(&alice, 30).await;
        let worker = setup.worker("");
        let hold = setup.held(&alice).await;
        assert_eq!(hold.reason, reason, "{words}");
        assert!(hold.until.unwrap().since(hold.since) >= Duration::from_secs(60), "{words}: {hold:?}");
        assert_eq!(setup.rig.sandbox.stats().connections, 1, "{words}: {}", worker.log());
        setup.rig.sandbox.clear_faults();
        setup.queue.resume(&alice).await.unwrap();
        // With 421 the one mail that heard it waits for the row's minute as well.
        let waits = usize::from(reason == Reason::ServerBusy);
        assert!(setup.rig.sandbox.wait_for_mails(ids.len() - waits, PATIENCE).await, "{words}: {}", worker.log());
        let stats = setup.queue.stats().await.unwrap();
        assert_eq!(stats.states["dead"], 0, "{words}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_at_the_next_command_is_exchanged_without_an_attempt() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    let words = "535-5.7.8 Username and Password not accepted.\n535 5.7.8 Learn more - gsmtp";
    setup.fault(Fault::new(Stage::Mail, Action::reply(words)).times(1));
    let ids = setup.push(&alice, 5).await;
    let _worker = setup.worker("");
    setup.all_are(&ids, MailState::Sent, 1).await;
    assert_eq!(setup.rig.sandbox.stats().token_requests, 2);
    // Again with the newest token: a person has to act.
    setup.fault(Fault::new(Stage::Mail, Action::reply(words)));
    let ids = setup.push(&alice, 5).await;
    assert_eq!(setup.held(&alice).await.reason, Reason::Consent);
    setup.all_are(&ids, MailState::Ready, 0).await;
}

#[tokio::test]
async fn mails_taken_for_spam_hold_the_account_after_three_in_the_whole_fleet() {
    let setup = setup().await;
    let alice = setup.rig.add_account(ALICE).await.unwrap();
    let words = "550-5.7.1 Our system has detected that this message is likely unsolicited mail.\n550 5.7.1 - gsmtp";
    setup.fault(Fault::new(Stage::Final, Action::reply(words)));
    let ids = setup.push(&alice, 20).await;
    let workers = [setup.worker(""), setup.worker("")];
    let hold = setup.held(&alice).await;
    assert_eq!(hold.reason, Reason::Reputation);
    assert!(hold.note.contains("unsolicited") && hold.note.contains("Postmaster"), "{}", hold.note);
    // The fourth holds; up to two others may have been on their way over the account's other connections.
    until("the rest to be back", PATIENCE, || async {
        let stats = setup.queue.stats().await?;
        Ok(((stats.states["dead"], stats.states["ready"]) == (3, 17)).then_some(()))
    })
    .await
    .unwrap();
    assert!((4..=6).contains(&setup.refusals(550)), "{}: {}", setup.refusals(550), workers[0].log());
    let dead = in_state(&setup.queue, ids[0], MailState::Dead).await;
    assert_eq!(dead.reason, Some(Reason::Reputation));
}

#[tokio::test]
async fn all_that_is_wrong_with_the_operators_rows_is_told_at_the_start() {
    let setup = setup().await;
    let rows = "[[row]]\nname = \"a\"\nclass = \"later\"\n[[row]]\nname = \"b\"\nclas = \"soon\"\n";
    let mut worker = setup.worker(rows);
    assert_eq!(worker.wait(PATIENCE).await.unwrap().code(), Some(1));
    // Its words come by a pipe, so the last of them may be read later than its end is seen.
    for words in ["POSTROOM_REPLIES_FILE", "row a, class: unknown variant", "row b, clas: no such field: class?"] {
        until(words, PATIENCE, || async { Ok(worker.log().contains(words).then_some(())) }).await.unwrap();
    }
}
