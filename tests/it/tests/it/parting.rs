//! Recipients of one mail with different fates, and transactions that the server wants smaller.

use postroom_it::{PATIENCE, Process, Rig, mail_json, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::queue::{MailState, MailStatus, Queue};
use postroom_shared::reason::Reason;

use crate::support::{in_state, mail};

const ALICE: &str = "alice@example.com";

struct Setup {
    rig: Rig,
    queue: Queue,
    alice: AccountId,
    worker: Process,
}

async fn setup(faults: Vec<Fault>) -> Setup {
    let rig = Rig::start().await.unwrap();
    let (queue, alice) = (rig.queue().await.unwrap(), rig.add_account(ALICE).await.unwrap());
    for fault in faults {
        rig.sandbox.add_fault(fault).unwrap();
    }
    let worker = rig.worker(&[("POSTROOM_RETRY_BASE", "50ms"), ("POSTROOM_RETRY_CAP", "200ms")]).unwrap();
    Setup { rig, queue, alice, worker }
}

impl Setup {
    async fn send(&self, to: &[&str]) -> MailId {
        let mut json = mail_json(ALICE, "x@example.org", "parted");
        json["to"] = to.iter().map(|to| (*to).to_owned()).collect::<Vec<_>>().into();
        let new = mail(&self.queue, &self.alice, &json);
        self.queue.push(&new).await.unwrap().id()
    }

    async fn ends_as(&self, id: MailId, state: MailState) -> MailStatus {
        in_state(&self.queue, id, state).await
    }

    /// The recipients of each transaction that was taken, in order.
    fn taken(&self) -> Vec<Vec<String>> {
        self.rig.sandbox.mails().into_iter().map(|mail| mail.recipients).collect()
    }
}

fn refuse(who: &str, words: &str) -> Fault {
    Fault::new(Stage::Rcpt, Action::reply(words)).recipient(who)
}

/// Sorted, so that each recipient's being there once can be compared.
fn sorted(taken: &[Vec<String>]) -> Vec<String> {
    let mut all: Vec<_> = taken.iter().flatten().cloned().collect();
    all.sort();
    all
}

#[tokio::test]
async fn refused_recipients_do_not_keep_the_mail_from_the_others() {
    let mut faults: Vec<_> =
        ["gone0", "gone1", "gone2"].map(|who| refuse(who, "550 5.1.1 No such user - gsmtp")).into();
    faults.extend(["slow0", "slow1"].map(|who| refuse(who, "450 4.2.0 Not now - gsmtp").times(1)));
    let setup = setup(faults).await;
    let names = ["good0", "gone0", "good1", "slow0", "good2", "gone1", "good3", "slow1", "gone2", "good4"];
    let to: Vec<_> = names.iter().map(|name| format!("{name}@example.org")).collect();
    let id = setup.send(&to.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let status = setup.ends_as(id, MailState::Dead).await;
    assert_eq!((status.reason, status.attempts), (Some(Reason::Recipient), 2));
    let taken = setup.taken();
    assert_eq!((taken.len(), taken[0].len()), (2, 5));
    assert_eq!(taken[1], ["slow0@example.org", "slow1@example.org"]);
    let shown = setup.rig.postroom(&["mail", "show", "--json", &id.to_string()]).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    for recipient in shown["recipients"].as_array().unwrap() {
        let gone = recipient["address"].as_str().unwrap().starts_with("gone");
        assert_eq!(recipient["fate"], if gone { "refused" } else { "delivered" }, "{recipient}");
        assert_eq!(recipient.to_string().contains("No such user"), gone, "{recipient}");
    }
    // A retry by hand goes to the refused ones only.
    setup.rig.sandbox.clear_faults();
    setup.queue.retry_dead(id, PATIENCE).await.unwrap();
    setup.ends_as(id, MailState::Sent).await;
    assert_eq!(setup.taken().pop().unwrap(), ["gone0@example.org", "gone1@example.org", "gone2@example.org"]);
    assert_eq!(setup.rig.sandbox.stats().doubled, 0);
}

#[tokio::test]
async fn several_domains_become_several_transactions_at_once() {
    let words = "451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again. - gsmtp";
    // Each is refused once: in the transaction that the first recipient's domain opened.
    let faults = ["b.example", "c.example"].map(|who| refuse(who, words).per_mail_times(1)).into();
    let setup = setup(faults).await;
    let id = setup.send(&["1@a.example", "2@b.example", "3@c.example", "4@a.example", "5@b.example"]).await;
    let status = setup.ends_as(id, MailState::Sent).await;
    assert_eq!(status.attempts, 1, "{}", setup.worker.log());
    let taken = setup.taken();
    assert_eq!((taken.len(), taken[0].clone()), (3, vec!["1@a.example".to_owned(), "4@a.example".to_owned()]));
    assert_eq!(sorted(&taken), ["1@a.example", "2@b.example", "3@c.example", "4@a.example", "5@b.example"]);
    let stats = setup.rig.sandbox.stats();
    assert_eq!((stats.doubled, stats.connections), (0, 1));
}

#[tokio::test]
async fn too_many_recipients_are_halved_until_they_fit() {
    let words = "452 4.5.3 Your message has too many recipients. - gsmtp";
    // Each of these is refused a few times, so that more than one halving is needed.
    let faults = (3..8_u64).map(|n| refuse(&format!("r{n}@"), words).times(n % 2 + 1)).collect();
    let setup = setup(faults).await;
    let to: Vec<_> = (0..8).map(|n| format!("r{n}@example.org")).collect();
    let id = setup.send(&to.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let status = setup.ends_as(id, MailState::Sent).await;
    assert_eq!((status.attempts, setup.rig.sandbox.stats().doubled), (1, 0), "{}", setup.worker.log());
    let taken = setup.taken();
    assert_eq!((taken[0].len(), sorted(&taken)), (3, to));
    let budget = setup.queue.budget(&setup.alice).await.unwrap().unwrap();
    assert_eq!((budget.recipients.used, budget.messages.in_hand), (8, 0));
}

#[tokio::test]
async fn one_recipient_that_is_too_many_is_the_accounts_limit() {
    let setup = setup(vec![refuse("last@", "452 4.5.3 Your message has too many recipients. - gsmtp")]).await;
    let id = setup.send(&["first@example.org", "last@example.org"]).await;
    let hold = until("the account to be held", PATIENCE, || async {
        Ok(setup.queue.account(&setup.alice).await?.and_then(|account| account.hold().cloned()))
    })
    .await
    .unwrap();
    assert_eq!(hold.reason, Reason::Quota);
    let status = setup.ends_as(id, MailState::Ready).await;
    assert_eq!(status.attempts, 0, "{}", setup.worker.log());
    let fates: Vec<_> = status.recipients.iter().map(|recipient| recipient.fate.as_str()).collect();
    assert_eq!(fates, ["delivered", "waiting"]);
    setup.rig.sandbox.clear_faults();
    setup.queue.resume(&setup.alice).await.unwrap();
    setup.ends_as(id, MailState::Sent).await;
    assert_eq!(setup.taken(), [["first@example.org"], ["last@example.org"]]);
}
