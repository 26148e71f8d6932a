//! What the tests of the queue share: jobs to push, and a session that claims.

use std::time::Duration;

use postroom_it::{Persistence, RedisServer};
use postroom_shared::account::{Account, AccountId};
use postroom_shared::clock::Millis;
use postroom_shared::mail::Priority;
use postroom_shared::queue::{
    Claim, ClaimAnswer, Claimed, Job, NewJob, Outcome, Queue, SessionId, Settled, Settlement, Turn,
};
use postroom_shared::reason::Reason;
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};

pub const LEASE: Duration = Duration::from_secs(30);

/// A Redis with a queue on it.
pub async fn queue_with(settings: &[(&str, &str)]) -> (RedisServer, Queue) {
    let redis = RedisServer::start(Persistence::None).await.unwrap();
    let queue = connect(&redis, settings).await;
    (redis, queue)
}

pub async fn queue() -> (RedisServer, Queue) {
    queue_with(&[]).await
}

pub async fn connect(redis: &RedisServer, settings: &[(&str, &str)]) -> Queue {
    let mut pairs = vec![("POSTROOM_REDIS_URL".to_owned(), redis.url())];
    pairs.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut source = Source::from_pairs(pairs);
    Queue::connect(&RedisSettings::read(&mut source), LimitSettings::read(&mut source)).await.unwrap()
}

pub async fn account(queue: &Queue, address: &str) -> AccountId {
    let id: AccountId = address.parse().unwrap();
    queue.put_account(&Account { limit: Some(1_000_000), ..Account::new(id.clone()) }).await.unwrap();
    prove(queue, &id).await;
    id
}

/// Makes an account one that sent a moment ago, so that it is not tried with one mail first.
pub async fn prove(queue: &Queue, id: &AccountId) {
    let key = queue.store().keys_of(id).account(id);
    let state = format!("0 0 {} 0 0 0 0 0 0 0 0 0 0 0 0", Millis::now().0);
    redis::cmd("HSET")
        .arg(key)
        .arg("state")
        .arg(state)
        .query_async::<()>(&mut queue.store().connection())
        .await
        .unwrap();
}

pub fn job(queue: &Queue, account: &AccountId) -> NewJob {
    NewJob {
        id: queue.new_id(account, Millis::now()),
        account: account.clone(),
        priority: Priority::Normal,
        send_at: None,
        ttl: None,
        idempotency: None,
        pool: None,
        job: Job {
            from: account.reveal().parse().unwrap(),
            recipients: vec!["to@example.org".parse().unwrap(), "too@example.org".parse().unwrap()],
            message_id: "<1@example.org>".to_owned(),
            subject: "A subject".to_owned(),
            tags: Vec::new(),
            smtputf8: false,
            cc: 0,
            bcc: 0,
            last_event: String::new(),
            trace: None,
            bytes: b"Subject: A subject\r\n\r\nHello\r\n".to_vec(),
        },
    }
}

/// A worker in the eyes of the queue.
pub struct Session {
    pub queue: Queue,
    pub id: SessionId,
    pub lease: Duration,
}

impl Session {
    pub async fn open(queue: &Queue) -> Self {
        Self::open_for(queue, LEASE).await
    }

    pub async fn open_for(queue: &Queue, lease: Duration) -> Self {
        let id = SessionId::random();
        for shard in 0..queue.store().shards() {
            queue.open_session(shard, &id, "test", lease).await.unwrap();
        }
        Self { queue: queue.clone(), id, lease }
    }

    pub async fn claim(&self, free: usize) -> ClaimAnswer {
        self.claim_with(free, 1, &[]).await
    }

    pub async fn claim_with(&self, free: usize, depth: usize, releases: &[(AccountId, u32)]) -> ClaimAnswer {
        let claim = Claim { free, depth, ahead: 0, lease: self.lease, releases };
        let mut all = ClaimAnswer::default();
        for shard in 0..self.queue.store().shards() {
            let answer = self.queue.claim(shard, &self.id, &claim).await.unwrap();
            all.gone |= answer.gone;
            all.more |= answer.more;
            all.next_in = answer.next_in;
            all.jobs.extend(answer.jobs);
            all.grants.extend(answer.grants);
            all.give_up.extend(answer.give_up);
            all.dead_expired += answer.dead_expired;
            all.dead_dropped += answer.dead_dropped;
        }
        all
    }

    /// Tells that the mail's bytes are about to leave; answers whether they may.
    pub async fn begin(&self, claimed: &Claimed) -> bool {
        let turn = Turn { session: Some(&self.id), begins: &[claimed.id], ..Turn::default() };
        self.queue.turn(claimed.id.shard(), &turn).await.unwrap().lives
    }

    pub async fn settle(&self, claimed: &Claimed, outcome: Outcome) -> Settled {
        self.settle_all(std::slice::from_ref(claimed), outcome).await[0]
    }

    pub async fn settle_all(&self, claimed: &[Claimed], outcome: Outcome) -> Vec<Settled> {
        let mut answers = Vec::new();
        for group in claimed.chunk_by(|a, b| a.id.shard() == b.id.shard()) {
            let settlements: Vec<_> = group.iter().map(|claimed| settlement(claimed, outcome)).collect();
            answers.extend(self.queue.settle(group[0].id.shard(), &settlements).await.unwrap());
        }
        answers
    }
}

pub fn settlement(claimed: &Claimed, outcome: Outcome) -> Settlement {
    let (reason, counted) = match outcome {
        Outcome::Sent => (Reason::Delivered, true),
        Outcome::Retry(_) => (Reason::ServerBusy, true),
        Outcome::Check(_) => (Reason::Uncertain, true),
        Outcome::Dead => (Reason::Message, true),
        Outcome::Back => (Reason::HandedBack, false),
    };
    Settlement {
        id: claimed.id,
        session: claimed.session.clone(),
        fence: claimed.fence,
        outcome,
        reason,
        counted,
        spent: if outcome == Outcome::Sent { claimed.job.as_ref().map_or(1, |job| job.recipients.len()) } else { 0 },
        proves: outcome != Outcome::Back,
        recipients: None,
        event: None,
        job: None,
    }
}

/// Jobs by state, as the queue counts them.
pub async fn counted(queue: &Queue, state: &str) -> u64 {
    queue.stats().await.unwrap().states[state]
}

/// A mail from JSON, frozen, ready to be pushed.
pub fn mail(queue: &Queue, account: &AccountId, json: &serde_json::Value) -> NewJob {
    let now = Millis::now();
    let id = queue.new_id(account, now);
    let mail = postroom_shared::mail::Mail::from_json(json, now).unwrap();
    let message = postroom_shared::message::Message::freeze(&mail, id, now).unwrap();
    NewJob {
        id,
        account: account.clone(),
        priority: mail.priority(),
        send_at: mail.send_at(),
        ttl: mail.ttl(),
        idempotency: None,
        pool: None,
        job: Job::new(message, mail.tags().to_vec()),
    }
}

/// Waits until a mail is in a state, and answers all that is known of it.
pub async fn in_state(
    queue: &Queue,
    id: postroom_shared::id::MailId,
    state: postroom_shared::queue::MailState,
) -> postroom_shared::queue::MailStatus {
    postroom_it::until(&format!("{id} to be {}", state.as_str()), postroom_it::PATIENCE, || async {
        Ok(queue.mail(id).await?.filter(|status| status.state == state))
    })
    .await
    .unwrap()
}
