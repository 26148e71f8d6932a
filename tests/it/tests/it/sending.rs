//! A mail goes all the way, and every reply of the server leads to the right end.

use std::time::Duration;

use postroom_it::{PATIENCE, Rig, RigOptions, mail_json, until};
use postroom_sandbox::{Action, Config, ConfigChange, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, MailStatus, Queue, What};
use postroom_shared::reason::Reason;
use serde_json::json;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
const QUICK: &[(&str, &str)] = &[("POSTROOM_RETRY_BASE", "50ms"), ("POSTROOM_RETRY_CAP", "200ms")];

struct Setup {
    rig: Rig,
    queue: Queue,
    alice: AccountId,
}

async fn setup_with(sandbox: Config) -> Setup {
    let rig = Rig::start_with(RigOptions { sandbox, ..RigOptions::default() }).await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    Setup { rig, queue, alice }
}

async fn setup() -> Setup {
    setup_with(Config::default()).await
}

impl Setup {
    async fn send(&self, to: &str, subject: &str) -> MailId {
        let new = mail(&self.queue, &self.alice, &mail_json(ALICE, to, subject));
        self.queue.push(&new).await.unwrap().id()
    }

    async fn send_json(&self, json: &serde_json::Value) -> (MailId, Vec<u8>) {
        let new = mail(&self.queue, &self.alice, json);
        (self.queue.push(&new).await.unwrap().id(), new.job.bytes)
    }

    async fn ends_as(&self, id: MailId, state: MailState) -> MailStatus {
        in_state(&self.queue, id, state).await
    }

    fn received(&self) -> usize {
        self.rig.sandbox.mails().len()
    }
}

fn attempts(status: &MailStatus) -> Vec<(Reason, String)> {
    let attempts = status.timeline.iter().filter_map(|event| event.what.attempt());
    attempts.map(|attempt| (attempt.reason, attempt.next.clone())).collect()
}

#[tokio::test]
async fn a_mail_arrives_byte_for_byte_with_its_envelope_and_without_bcc() {
    let setup = setup().await;
    let _worker = setup.rig.worker(QUICK).unwrap();
    let json = json!({
        "from": "Älice <alice@example.com>", "to": ["bob@example.org", "Carol <carol@example.net>"],
        "bcc": "secret@example.org", "subject": "Grüße 🎉", "text": ".hidden dot\n..two\nHéllo\n", "html": "<b>Hi</b>",
        "attachments": [{ "filename": "ä.bin", "content": "AAECAwQF" }]
    });
    let (id, bytes) = setup.send_json(&json).await;
    let status = setup.ends_as(id, MailState::Sent).await;
    let mails = setup.rig.sandbox.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(setup.rig.sandbox.mail_bytes(mails[0].n).unwrap().as_ref(), bytes);
    assert!(mails[0].chunked);
    assert_eq!(mails[0].recipients, ["bob@example.org", "carol@example.net", "secret@example.org"]);
    assert!(!String::from_utf8_lossy(&bytes).to_lowercase().contains("bcc"));
    assert_eq!(status.message_id, mails[0].message_id);
    assert_eq!((status.attempts, attempts(&status)), (1, vec![(Reason::Delivered, "sent".to_owned())]));
    assert!(status.recipients.iter().all(|recipient| recipient.fate == "delivered"));
    assert_eq!(setup.queue.mail_bytes(id).await.unwrap(), None);
}

#[tokio::test]
async fn servers_without_chunking_or_pipelining_get_the_same_bytes() {
    for (chunking, pipelining) in [(false, true), (false, false)] {
        let setup = setup_with(Config { chunking, pipelining, ..Config::default() }).await;
        let _worker = setup.rig.worker(QUICK).unwrap();
        let mut json = mail_json(ALICE, "bob@example.org", "dots");
        json["text"] = ".\n..\n.hidden\nplain\n.\n".into();
        for _ in 0..3 {
            let (id, bytes) = setup.send_json(&json).await;
            setup.ends_as(id, MailState::Sent).await;
            let last = setup.rig.sandbox.mails().pop().unwrap();
            assert_eq!(setup.rig.sandbox.mail_bytes(last.n).unwrap().as_ref(), bytes);
            assert!(!last.chunked);
        }
        assert_eq!(setup.rig.sandbox.stats().pipelining_violations, 0);
        assert_eq!(setup.rig.sandbox.stats().connections, 1);
    }
}

#[tokio::test]
async fn a_temporary_failure_is_retried_and_told() {
    let setup = setup().await;
    let fault = Fault::new(Stage::Final, Action::reply("451 4.3.0 Temporarily rejected. Try again later.")).times(2);
    setup.rig.sandbox.add_fault(fault).unwrap();
    let _worker = setup.rig.worker(QUICK).unwrap();
    let id = setup.send("bob@example.org", "later").await;
    let status = setup.ends_as(id, MailState::Sent).await;
    let retry = (Reason::ServerBusy, "retry".to_owned());
    assert_eq!(attempts(&status), [retry.clone(), retry, (Reason::Delivered, "sent".to_owned())]);
    assert_eq!((status.attempts, setup.received()), (3, 1));
    let What::Attempt(first) = &status.timeline[1].what else { panic!("{:?}", status.timeline) };
    assert!(first.reply.as_ref().unwrap().words().starts_with("451 4.3.0 Temporarily rejected"));
}

#[tokio::test]
async fn losses_before_the_final_dot_are_retried_and_never_doubled() {
    for stage in [Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data] {
        let setup = setup().await;
        setup.rig.sandbox.add_fault(Fault::new(stage, Action::Cut).times(1)).unwrap();
        let _worker = setup.rig.worker(QUICK).unwrap();
        let id = setup.send("bob@example.org", "cut").await;
        setup.ends_as(id, MailState::Sent).await;
        assert_eq!((setup.received(), setup.rig.sandbox.stats().doubled), (1, 0), "{stage:?}");
    }
}

#[tokio::test]
async fn a_loss_after_the_final_dot_is_told_as_uncertain() {
    let setup = setup().await;
    setup.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::Cut).times(1)).unwrap();
    let _worker = setup.rig.worker(QUICK).unwrap();
    let id = setup.send("bob@example.org", "cut").await;
    let status = setup.ends_as(id, MailState::Sent).await;
    assert_eq!(attempts(&status)[0], (Reason::Uncertain, "check".to_owned()));
}

#[tokio::test]
async fn a_silent_server_holds_a_mail_only_until_the_time_limit() {
    let setup = setup().await;
    setup.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::Silence).times(1)).unwrap();
    let _worker = setup.rig.worker(&[QUICK[0], QUICK[1], ("POSTROOM_ATTEMPT_LIMIT", "1s")]).unwrap();
    let id = setup.send("bob@example.org", "silence").await;
    let status = setup.ends_as(id, MailState::Sent).await;
    assert_eq!(attempts(&status)[0], (Reason::Stuck, "check".to_owned()));
}

#[tokio::test]
async fn a_refused_mail_is_a_dead_letter_with_its_bytes_and_the_servers_words() {
    let setup = setup().await;
    setup
        .rig
        .sandbox
        .add_fault(Fault::new(Stage::Final, Action::reply("552 5.7.0 Blocked content - gsmtp")).times(1))
        .unwrap();
    let _worker = setup.rig.worker(QUICK).unwrap();
    let (id, bytes) = setup.send_json(&mail_json(ALICE, "bob@example.org", "blocked")).await;
    let status = setup.ends_as(id, MailState::Dead).await;
    assert_eq!((status.reason, status.attempts, setup.received()), (Some(Reason::Policy), 1, 0));
    assert_eq!(setup.queue.mail_bytes(id).await.unwrap().unwrap(), bytes);
    setup.queue.retry_dead(id, Duration::from_secs(60)).await.unwrap();
    setup.ends_as(id, MailState::Sent).await;
    assert_eq!(setup.rig.sandbox.mail_bytes(setup.rig.sandbox.mails()[0].n).unwrap().as_ref(), bytes);
}

#[tokio::test]
async fn warm_connections_are_used_for_fifty_mails_and_never_more_than_three() {
    let setup = setup().await;
    let _worker = setup.rig.worker(QUICK).unwrap();
    let jobs: Vec<_> = (0..400)
        .map(|n| mail(&setup.queue, &setup.alice, &mail_json(ALICE, "bob@example.org", &format!("{n}"))))
        .collect();
    assert!(setup.queue.push_many(&jobs).await.iter().all(Result::is_ok));
    assert!(setup.rig.sandbox.wait_for_mails(400, PATIENCE).await);
    let stats = setup.rig.sandbox.stats();
    assert_eq!(stats.account(ALICE).max_sessions, 3);
    assert!((8..=12).contains(&stats.connections), "{} connections for 400 mails", stats.connections);
    assert_eq!((stats.doubled, stats.token_requests), (0, 1));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_costs_no_attempt() {
    let setup = setup_with(Config { mails_per_connection: 1, ..Config::default() }).await;
    let _worker = setup.rig.worker(QUICK).unwrap();
    for number in 0..5 {
        let id = setup.send("bob@example.org", &number.to_string()).await;
        let status = setup.ends_as(id, MailState::Sent).await;
        assert_eq!((status.attempts, attempts(&status).len()), (1, 1));
    }
}

#[tokio::test]
async fn a_token_that_was_ended_early_is_refreshed_once_and_the_mail_goes() {
    let setup = setup_with(Config { mails_per_connection: 1, ..Config::default() }).await;
    let _worker = setup.rig.worker(QUICK).unwrap();
    let first = setup.send("bob@example.org", "one").await;
    setup.ends_as(first, MailState::Sent).await;
    setup.rig.sandbox.expire_tokens(Some(ALICE));
    let second = setup.send("bob@example.org", "two").await;
    let status = setup.ends_as(second, MailState::Sent).await;
    assert_eq!(status.attempts, 1);
    let stats = setup.rig.sandbox.stats();
    assert_eq!((stats.token_requests, stats.logins_refused), (2, 1));
}

#[tokio::test]
async fn a_revoked_consent_holds_the_account_until_it_is_added_again() {
    let setup = setup().await;
    setup.rig.sandbox.revoke(ALICE);
    let worker = setup.rig.worker(QUICK).unwrap();
    let bob = setup.rig.add_account("bob@example.com").await.unwrap();
    let ids = [setup.send("x@example.org", "1").await, setup.send("x@example.org", "2").await];
    let hold = until("the account to be held", PATIENCE, || async {
        Ok(setup.queue.account(&setup.alice).await?.and_then(|account| account.hold().cloned()))
    })
    .await
    .unwrap();
    assert_eq!((hold.reason, hold.until), (Reason::Consent, None));
    assert!(hold.note.contains("invalid_grant"), "{}", hold.note);
    // The others go on, and the held ones lose nothing.
    let other = mail(&setup.queue, &bob, &mail_json("bob@example.com", "x@example.org", "3"));
    setup.queue.push(&other).await.unwrap();
    setup.ends_as(other.id, MailState::Sent).await;
    for id in ids {
        let status = setup.ends_as(id, MailState::Ready).await;
        assert_eq!(status.attempts, 0);
        assert_eq!(status.held.unwrap().reason, Reason::Consent);
    }
    let requests = setup.rig.sandbox.stats().account(ALICE).token_requests;
    assert!(requests <= 2, "{requests} token requests");
    setup.rig.sandbox.restore(ALICE);
    setup.rig.add_account(ALICE).await.unwrap();
    for id in ids {
        setup.ends_as(id, MailState::Sent).await;
    }
    assert!(!worker.log().contains("alice@example.com"), "{}", worker.log());
}

#[tokio::test]
async fn a_refusal_that_was_on_its_way_when_a_person_resumed_holds_nobody() {
    let setup = setup().await;
    let words = "550 5.4.5 Daily user sending limit exceeded. - gsmtp";
    let slow = setup.rig.sandbox.add_fault(Fault::new(Stage::Data, Action::DelayMs(2_000)).times(1)).unwrap();
    setup.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::reply(words)).times(1)).unwrap();
    let worker = setup.rig.worker(QUICK).unwrap();
    let id = setup.send("x@example.org", "1").await;
    let fired = || setup.rig.sandbox.faults().iter().any(|view| view.id == slow && view.fired > 0);
    until("the mail to be under way", PATIENCE, || async { Ok(fired().then_some(())) }).await.unwrap();
    setup.queue.resume(&setup.alice).await.unwrap();
    setup.ends_as(id, MailState::Sent).await;
    assert!(setup.queue.account(&setup.alice).await.unwrap().unwrap().hold().is_none());
    assert!(worker.log().contains("resumed since"), "{}", worker.log());
}

#[tokio::test]
async fn a_login_that_is_refused_with_a_fresh_token_holds_the_account() {
    let setup = setup().await;
    let words = "535-5.7.8 Username and Password not accepted.\n535 5.7.8 Learn more - gsmtp";
    setup.rig.sandbox.add_fault(Fault::new(Stage::Auth, Action::reply(words)).account(ALICE)).unwrap();
    let _worker = setup.rig.worker(QUICK).unwrap();
    let id = setup.send("x@example.org", "1").await;
    let hold = until("the account to be held", PATIENCE, || async {
        Ok(setup.queue.account(&setup.alice).await?.and_then(|account| account.hold().cloned()))
    })
    .await
    .unwrap();
    assert_eq!(hold.reason, Reason::Consent);
    assert!(hold.note.contains("535 5.7.8") && hold.note.contains("scope"), "{}", hold.note);
    assert_eq!(setup.ends_as(id, MailState::Ready).await.attempts, 0);
    assert!(setup.rig.sandbox.stats().token_requests <= 2);
}

#[tokio::test]
async fn a_job_that_cannot_be_read_dies_with_its_raw_bytes_and_stops_nobody() {
    let setup = setup().await;
    let broken = setup.send("x@example.org", "broken").await;
    let key = setup.queue.store().keys(0).job(broken);
    let _: () = setup.rig.redis.ask(&["SET", &key, "\u{1}no record of ours"]).await.unwrap();
    let _worker = setup.rig.worker(QUICK).unwrap();
    let whole = setup.send("x@example.org", "whole").await;
    setup.ends_as(whole, MailState::Sent).await;
    assert_eq!(setup.ends_as(broken, MailState::Dead).await.reason, Some(Reason::Unreadable));
    assert_eq!(setup.rig.redis.ask::<String>(&["GET", &key]).await.unwrap(), "\u{1}no record of ours");
}

#[tokio::test]
async fn a_scheduled_mail_goes_in_time_although_the_worker_sleeps() {
    let setup = setup().await;
    let _worker = setup.rig.worker(QUICK).unwrap();
    let warm = setup.send("x@example.org", "warm").await;
    setup.ends_as(warm, MailState::Sent).await;
    let at = postroom_shared::clock::Millis::now().after(Duration::from_millis(1_500));
    let mut new = mail(&setup.queue, &setup.alice, &mail_json(ALICE, "x@example.org", "later"));
    new.send_at = Some(at);
    setup.queue.push(&new).await.unwrap();
    setup.ends_as(new.id, MailState::Sent).await;
    let received = setup.rig.sandbox.mails().pop().unwrap().received_ms;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
    let late = received - at.0 as f64;
    assert!(late >= 0.0, "{late} ms too early");
    println!("a scheduled mail came {late:.1} ms after its time");
}

#[tokio::test]
async fn a_slow_server_delays_but_loses_nothing() {
    let setup = setup().await;
    setup.rig.sandbox.set_config(&ConfigChange { latency_ms: Some(100), ..ConfigChange::default() });
    let _worker = setup.rig.worker(QUICK).unwrap();
    let jobs: Vec<_> =
        (0..30).map(|n| mail(&setup.queue, &setup.alice, &mail_json(ALICE, "x@example.org", &n.to_string()))).collect();
    setup.queue.push_many(&jobs).await;
    for new in &jobs {
        assert_eq!(setup.ends_as(new.id, MailState::Sent).await.attempts, 1);
    }
    assert_eq!(setup.rig.sandbox.stats().doubled, 0);
}

#[tokio::test]
async fn a_full_redis_is_worked_off_even_by_a_worker_that_is_new() {
    let setup = setup().await;
    let ids = [setup.send("x@example.org", "1").await, setup.send("x@example.org", "2").await];
    let _: () = setup.rig.redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
    let refused = setup.rig.postroom(&["send", "-"]).await.unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    let _worker = setup.rig.worker(QUICK).unwrap();
    for id in ids {
        assert_eq!(setup.ends_as(id, MailState::Sent).await.attempts, 1);
    }
    setup.rig.sandbox.revoke(ALICE);
    setup.rig.sandbox.expire_tokens(None);
}

#[tokio::test]
async fn a_consent_that_dies_under_several_mails_costs_none_of_them_an_attempt() {
    let setup = setup_with(Config { mails_per_connection: 1, ..Config::default() }).await;
    let workers: Vec<_> = (0..2).map(|_| setup.rig.worker(QUICK).unwrap()).collect();
    let first = setup.send("x@example.org", "first").await;
    setup.ends_as(first, MailState::Sent).await;
    setup.rig.sandbox.revoke(ALICE);
    setup.rig.sandbox.expire_tokens(None);
    let mut ids = Vec::new();
    for number in 0..12 {
        ids.push(setup.send("x@example.org", &number.to_string()).await);
    }
    until("the account to be held", PATIENCE, || async {
        Ok(setup.queue.account(&setup.alice).await?.and_then(|account| account.hold().cloned()))
    })
    .await
    .unwrap();
    for id in &ids {
        assert_eq!(setup.ends_as(*id, MailState::Ready).await.attempts, 0, "{}", workers[0].log());
    }
    assert!(setup.rig.sandbox.stats().token_requests <= 3, "one for the start, two at most for the end");
}

#[tokio::test]
async fn kept_connections_that_all_ended_with_their_token_cost_no_attempt() {
    let setup = setup_with(Config { close_sessions_at_expiry: true, ..Config::default() }).await;
    setup.rig.sandbox.set_config(&ConfigChange { latency_ms: Some(100), ..ConfigChange::default() });
    let _worker = setup.rig.worker(QUICK).unwrap();
    let jobs: Vec<_> =
        (0..6).map(|n| mail(&setup.queue, &setup.alice, &mail_json(ALICE, "x@example.org", &n.to_string()))).collect();
    setup.queue.push_many(&jobs).await;
    for new in &jobs {
        setup.ends_as(new.id, MailState::Sent).await;
    }
    assert_eq!(setup.rig.sandbox.stats().open_connections, 3);
    setup.rig.sandbox.expire_tokens(None);
    let last = setup.send("x@example.org", "after the end of all three").await;
    let status = setup.ends_as(last, MailState::Sent).await;
    assert_eq!((status.attempts, attempts(&status).len()), (1, 1));
}
