//! Uncertain ends: Sent is asked before a mail is sent again, and what becomes of a mail if nobody can say.

use std::time::Duration;

use postroom_it::{PATIENCE, Process, Rig, mail_json, until};
use postroom_sandbox::{Action, ConfigChange, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::queue::{MailState, NewJob, Queue, What};
use postroom_shared::reason::Reason;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";
/// Short leases and a server that indexes at once, so that nothing has to wait for long.
const QUICK: [(&str, &str); 4] = [
    ("POSTROOM_LEASE", "1s"),
    ("POSTROOM_SENT_ALLOWANCE", "1s"),
    ("POSTROOM_RETRY_BASE", "100ms"),
    ("POSTROOM_LOG", "info"),
];

struct Setting {
    rig: Rig,
    queue: Queue,
    alice: AccountId,
}

impl Setting {
    async fn start() -> Self {
        let rig = Rig::start().await.unwrap();
        let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
        Self { rig, queue, alice }
    }

    async fn push(&self, count: usize, ttl: Option<Duration>) -> Vec<NewJob> {
        let one = |n| mail(&self.queue, &self.alice, &mail_json(ALICE, "to@example.org", &format!("number {n}")));
        let jobs: Vec<_> = (0..count).map(|n| NewJob { ttl, ..one(n) }).collect();
        assert!(self.queue.push_many(&jobs).await.iter().all(Result::is_ok));
        jobs
    }

    fn worker(&self, further: &[(&str, &str)]) -> Process {
        let settings: Vec<_> = QUICK.iter().chain(further).copied().collect();
        self.rig.worker(&settings).unwrap()
    }

    async fn all_sent(&self, count: u64) {
        until("all mails to be sent", PATIENCE * 4, || async {
            Ok((self.queue.stats().await?.states["sent"] == count).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_per_cent_cut_after_the_last_byte_are_delivered_once_each() {
    let setting = Setting::start().await;
    let fault = |every, action| setting.rig.sandbox.add_fault(Fault::new(Stage::Final, action).every(every)).unwrap();
    fault(40, Action::AcceptThenCut);
    fault(39, Action::Cut);
    let _workers = [setting.worker(&[]), setting.worker(&[])];
    setting.push(2_000, None).await;
    setting.all_sent(2_000).await;
    assert_eq!((setting.rig.sandbox.mails().len(), setting.rig.sandbox.stats().doubled), (2_000, 0));
    let fired: Vec<u64> = setting.rig.sandbox.faults().iter().map(|fault| fault.fired).collect();
    assert!(fired.iter().all(|fired| *fired >= 50), "{fired:?}");
    assert_eq!(setting.queue.stats().await.unwrap().doubled, 0);
}

/// Kills the worker while the server keeps silent at a stage, and lets another go on.
async fn killed_at(stage: Stage, action: Action) -> (Setting, NewJob, postroom_shared::queue::MailStatus) {
    let setting = Setting::start().await;
    setting.rig.sandbox.add_fault(Fault::new(stage, action).times(1)).unwrap();
    let mut worker = setting.worker(&[]);
    let job = setting.push(1, None).await.remove(0);
    until("the server to be silent", PATIENCE, || async {
        Ok((setting.rig.sandbox.faults()[0].fired == 1).then_some(()))
    })
    .await
    .unwrap();
    worker.kill().await.unwrap();
    let _other = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Sent).await;
    (setting, job, status)
}

#[tokio::test]
async fn a_mail_whose_worker_died_after_the_server_took_it_is_found() {
    let (setting, _, status) = killed_at(Stage::Final, Action::StoreAndDelayMs(600_000)).await;
    assert_eq!((status.reason, status.attempts), (Some(Reason::Found), 0));
    assert_eq!((setting.rig.sandbox.mails().len(), setting.rig.sandbox.stats().imap_searches), (1, 1));
    assert_eq!(setting.queue.budget(&setting.alice).await.unwrap().unwrap().messages.used, 1);
}

#[tokio::test]
async fn a_mail_whose_worker_died_before_the_server_took_it_is_sent_again_after_the_allowance() {
    let (setting, _, status) = killed_at(Stage::Final, Action::Silence).await;
    assert_eq!((status.reason, setting.rig.sandbox.stats().doubled), (Some(Reason::Delivered), 0));
    assert!(setting.rig.sandbox.stats().imap_searches >= 2);
    let taken_back = |what: &What| matches!(what, What::TakenBack { begun: true, .. });
    assert!(status.timeline.iter().any(|event| taken_back(&event.what)));
}

#[tokio::test]
async fn a_mail_whose_worker_died_before_it_began_is_in_no_doubt() {
    let (setting, _, status) = killed_at(Stage::Greeting, Action::Silence).await;
    assert_eq!((status.reason, status.attempts), (Some(Reason::Delivered), 1));
    assert_eq!(setting.rig.sandbox.stats().imap_searches, 0, "Sent need not be asked");
}

#[tokio::test]
async fn a_mail_that_takes_three_workers_down_while_it_is_sent_is_a_dead_letter() {
    let setting = Setting::start().await;
    setting.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::Silence)).unwrap();
    let job = setting.push(1, None).await.remove(0);
    for round in 1..=3 {
        let mut worker = setting.worker(&[]);
        until("the server to be silent again", PATIENCE, || async {
            Ok((setting.rig.sandbox.faults()[0].fired == round).then_some(()))
        })
        .await
        .unwrap();
        worker.kill().await.unwrap();
    }
    let _worker = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Dead).await;
    assert_eq!((status.reason, status.leases_lost), (Some(Reason::Poison), 3));
    assert!(setting.queue.mail_bytes(job.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_mail_handed_back_while_sent_is_asked_keeps_its_doubt() {
    let setting = Setting::start().await;
    setting.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::AcceptThenCut).times(1)).unwrap();
    let silent = setting.rig.sandbox.add_fault(Fault::new(Stage::ImapSearch, Action::Silence)).unwrap();
    let mut worker = setting.worker(&[("POSTROOM_DRAIN_SECONDS", "0s")]);
    let job = setting.push(1, None).await.remove(0);
    until("Sent to be asked", PATIENCE, || async {
        let fired = setting.rig.sandbox.faults().iter().find(|fault| fault.id == silent).is_some_and(|it| it.fired > 0);
        Ok(fired.then_some(()))
    })
    .await
    .unwrap();
    assert!(worker.stop().await.unwrap().success());
    setting.rig.sandbox.remove_fault(silent);
    let _other = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Sent).await;
    assert_eq!((status.reason, setting.rig.sandbox.mails().len()), (Some(Reason::Found), 1));
}

/// A mail that was taken and cut, with a deadline soon, while nobody can ask Sent.
async fn out_of_reach(uncertain: &str) -> (Setting, NewJob) {
    let setting = Setting::start().await;
    setting.rig.sandbox.add_fault(Fault::new(Stage::ImapConnect, Action::Cut)).unwrap();
    setting.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::AcceptThenCut).times(1)).unwrap();
    let _worker = setting.worker(&[("POSTROOM_UNCERTAIN", uncertain)]);
    let job = setting.push(1, Some(Duration::from_secs(7))).await.remove(0);
    let wanted = if uncertain == "dead" { MailState::Dead } else { MailState::Sent };
    in_state(&setting.queue, job.id, wanted).await;
    (setting, job)
}

#[tokio::test]
async fn out_of_reach_until_the_deadline_a_mail_is_sent_once_more() {
    let (setting, _) = out_of_reach("resend").await;
    assert_eq!((setting.rig.sandbox.mails().len(), setting.rig.sandbox.stats().doubled), (2, 1));
}

#[tokio::test]
async fn or_it_becomes_a_dead_letter_that_says_so() {
    let (setting, job) = out_of_reach("dead").await;
    let status = setting.queue.mail(job.id).await.unwrap().unwrap();
    assert_eq!((status.reason, status.may_double), (Some(Reason::Uncertain), true));
    assert_eq!(setting.rig.sandbox.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_that_was_parted_is_not_taken_for_delivered_because_its_first_part_is_in_sent() {
    let setting = Setting::start().await;
    let busy = Action::reply("450 4.2.1 The recipient is receiving mail too quickly - gsmtp");
    setting.rig.sandbox.add_fault(Fault::new(Stage::Rcpt, busy).recipient("late").times(1)).unwrap();
    let mut json = mail_json(ALICE, "early@example.org", "to two");
    json["to"] = serde_json::json!(["early@example.org", "late@example.org"]);
    let replies = setting.rig.folder().join("own.toml");
    std::fs::write(&replies, OWN_ROWS).unwrap();
    let job = mail(&setting.queue, &setting.alice, &json);
    setting.queue.push(&job).await.unwrap();
    let _worker = setting.worker(&[("POSTROOM_REPLIES_FILE", replies.to_str().unwrap())]);
    assert!(setting.rig.sandbox.wait_for_mails(1, PATIENCE).await);
    // The second transaction, to the late one, is cut and was not taken.
    setting.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::Cut).times(1)).unwrap();
    in_state(&setting.queue, job.id, MailState::Sent).await;
    let to: Vec<_> = setting.rig.sandbox.mails().iter().map(|mail| mail.recipients.clone()).collect();
    assert_eq!(to, [["early@example.org"], ["late@example.org"]]);
}

/// A recipient that is busy is tried again soon, so that the test need not wait for ten minutes.
const OWN_ROWS: &str = r#"
[[row]]
name = "own-busy"
code = 450
class = "soon"
floor = "1s"
reason = "recipient_busy"
means = "A test."
do = "Nothing."
source = "seen: in this test"
"#;

#[tokio::test]
async fn a_mail_that_was_in_doubt_for_some_and_is_sent_again_to_all_is_in_doubt_for_all() {
    let setting = Setting::start().await;
    let fault = |fault: Fault| setting.rig.sandbox.add_fault(fault.times(1)).unwrap();
    // First: one is not taken for now, and for the other the end is uncertain; nothing was taken.
    fault(Fault::new(Stage::Rcpt, Action::reply("450 4.3.2 Not now - gsmtp")).recipient("late"));
    fault(Fault::new(Stage::Final, Action::Cut));
    // Then: both are taken, and the worker dies before it hears so.
    fault(Fault::new(Stage::Final, Action::StoreAndDelayMs(600_000)));
    let mut json = mail_json(ALICE, "early@example.org", "to two");
    json["to"] = serde_json::json!(["early@example.org", "late@example.org"]);
    let job = mail(&setting.queue, &setting.alice, &json);
    setting.queue.push(&job).await.unwrap();
    let mut worker = setting.worker(&[]);
    assert!(setting.rig.sandbox.wait_for_mails(1, PATIENCE).await);
    worker.kill().await.unwrap();
    let _other = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Sent).await;
    let to: Vec<_> = setting.rig.sandbox.mails().iter().map(|mail| mail.recipients.clone()).collect();
    assert_eq!(to, [["early@example.org", "late@example.org"]], "{:?}", status.timeline);
}

/// One recipient is refused for now, one for good, and the server takes the mail for the third while the worker goes down.
async fn taken_for_some(end: Ending) {
    let setting = Setting::start().await;
    let fault = |fault: Fault| setting.rig.sandbox.add_fault(fault).unwrap();
    fault(Fault::new(Stage::Rcpt, Action::reply("450 4.3.2 Not now - gsmtp")).recipient("late").times(1));
    fault(Fault::new(Stage::Rcpt, Action::reply("550 5.1.1 No such user - gsmtp")).recipient("nobody"));
    fault(Fault::new(Stage::Final, Action::StoreAndDelayMs(600_000)).times(1));
    let mut json = mail_json(ALICE, "early@example.org", "to three");
    json["to"] = serde_json::json!(["late@example.org", "nobody@example.org", "early@example.org"]);
    let job = mail(&setting.queue, &setting.alice, &json);
    setting.queue.push(&job).await.unwrap();
    let mut worker = setting.worker(&[("POSTROOM_DRAIN_SECONDS", "0")]);
    assert!(setting.rig.sandbox.wait_for_mails(1, PATIENCE).await);
    match end {
        Ending::Killed => worker.kill().await.unwrap(),
        Ending::Stopped => assert!(worker.stop().await.unwrap().success(), "{}", worker.log()),
    }
    let _other = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Dead).await;
    let to: Vec<_> = setting.rig.sandbox.mails().iter().map(|mail| mail.recipients.clone()).collect();
    assert_eq!(to, [["early@example.org"], ["late@example.org"]], "{:?}", status.timeline);
    let fates: Vec<_> = status.recipients.iter().map(|recipient| recipient.fate.as_str()).collect();
    assert_eq!((status.reason, fates), (Some(Reason::Recipient), vec!["delivered", "refused", "delivered"]));
}

enum Ending {
    Killed,
    Stopped,
}

#[tokio::test]
async fn who_was_refused_is_not_told_as_delivered_when_the_worker_dies() {
    taken_for_some(Ending::Killed).await;
}

#[tokio::test]
async fn who_was_refused_is_not_told_as_delivered_when_the_worker_must_stop() {
    taken_for_some(Ending::Stopped).await;
}

#[tokio::test]
async fn a_worker_that_must_stop_in_the_middle_of_a_mail_leaves_it_in_doubt() {
    let setting = Setting::start().await;
    setting.rig.sandbox.set_config(&ConfigChange { index_delay_ms: Some(0), ..ConfigChange::default() });
    setting.rig.sandbox.add_fault(Fault::new(Stage::Final, Action::StoreAndDelayMs(600_000)).times(1)).unwrap();
    let mut worker = setting.worker(&[("POSTROOM_DRAIN_SECONDS", "0")]);
    let job = setting.push(1, None).await.remove(0);
    assert!(setting.rig.sandbox.wait_for_mails(1, PATIENCE).await);
    assert!(worker.stop().await.unwrap().success(), "{}", worker.log());
    let _other = setting.worker(&[]);
    let status = in_state(&setting.queue, job.id, MailState::Sent).await;
    assert_eq!((status.reason, setting.rig.sandbox.mails().len()), (Some(Reason::Found), 1));
}
