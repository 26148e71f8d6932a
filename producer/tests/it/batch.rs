//! Several mails under one idempotency key, against a real Redis, without a worker.

use crate::support::Redis;
use postroom::{DirectClient, Draft, MailId, MailState, NewMail, SendError, Sent};
use postroom_shared::account::Account;
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};
use serde_json::json;

/// A producer of its own, with eight accounts in several shards.
async fn producer(redis: &Redis) -> DirectClient {
    let pairs = [("POSTROOM_REDIS_URL", redis.url()), ("POSTROOM_SHARDS", "4".to_owned())];
    let mut source = Source::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)));
    let settings = RedisSettings::read(&mut source);
    let client = DirectClient::with_settings(&settings, LimitSettings::read(&mut source)).await.unwrap();
    for number in 0..8 {
        let id = format!("shop{number}@example.com").parse().unwrap();
        client.queue().put_account(&Account::new(id)).await.unwrap();
    }
    client
}

fn mail(number: usize) -> NewMail {
    NewMail {
        from: format!("shop{}@example.com", number % 8),
        to: vec!["ann@example.org".into()],
        subject: number.to_string(),
        text: Some("Hi".into()),
        ..NewMail::default()
    }
}

fn batch(count: usize) -> Vec<Draft> {
    (0..count).map(|number| Draft::from(mail(number))).collect()
}

fn ids(answers: &[Result<Sent, SendError>]) -> Vec<MailId> {
    answers.iter().map(|answer| answer.as_ref().unwrap().id).collect()
}

async fn stored(client: &DirectClient) -> u64 {
    client.queue().stats().await.unwrap().states["ready"]
}

#[tokio::test]
async fn the_same_key_and_mails_have_the_same_answer_from_any_producer() {
    let redis = Redis::start();
    let (one, other) = (producer(&redis).await, producer(&redis).await);
    let first = one.send_batch(Some("k"), batch(20), true).await.unwrap();
    let shards: std::collections::BTreeSet<u16> = ids(&first).iter().map(|id| id.shard()).collect();
    assert!(shards.len() > 1, "{shards:?}");
    assert!(first.iter().all(|answer| !answer.as_ref().unwrap().known));
    for client in [&one, &other] {
        let again = client.send_batch(Some("k"), batch(20), true).await.unwrap();
        assert_eq!(ids(&again), ids(&first));
        assert!(again.iter().all(|answer| answer.as_ref().unwrap().known));
    }
    assert_eq!(stored(&one).await, 20);
    // Without a key, or under another one, they are other mails.
    let others = one.send_batch(None, batch(20), true).await.unwrap();
    let more = one.send_batch(Some("k2"), batch(20), true).await.unwrap();
    assert!(ids(&others).iter().chain(&ids(&more)).all(|id| !ids(&first).contains(id)));
    assert_eq!(stored(&one).await, 60);
}

#[tokio::test]
async fn other_mails_under_the_key_are_refused_before_any_is_stored() {
    let redis = Redis::start();
    let client = producer(&redis).await;
    client.send_batch(Some("k"), batch(3), true).await.unwrap();
    let mut changed = batch(3);
    changed[2] = Draft::from(NewMail { subject: "another".into(), ..mail(2) });
    for other in [changed, batch(2), batch(4), batch(3).into_iter().rev().collect()] {
        let error = client.send_batch(Some("k"), other, true).await.unwrap_err();
        assert!(matches!(error, SendError::KeyUsed), "{error}");
    }
    assert!(matches!(client.send_batch(Some("k"), batch(3), false).await, Err(SendError::KeyUsed)));
    assert_eq!(stored(&client).await, 3);
    let wrong = client.send_batch(Some(""), batch(1), true).await.unwrap_err();
    assert!(matches!(&wrong, SendError::Refused(refusal) if refusal.faults()[0].field == "idempotency_key"), "{wrong}");
}

/// The order of fields does not count, nor does the time.
#[tokio::test]
async fn the_same_json_in_another_form_is_the_same() {
    let redis = Redis::start();
    let client = producer(&redis).await;
    let one =
        r#"{"from":"shop1@example.com","to":"a@x.example","text":"hi","headers":{"X-A":"1","X-B":"2"},"send_at":1}"#;
    let two = r#"{"headers":{"X-B":"2","X-A":"1"},"send_at":"now","text":"hi","to":"a@x.example","from":"shop1@example.com"}"#;
    let three = serde_json::from_str::<serde_json::Value>(two).unwrap();
    let forms = [Draft::from_json_bytes(one.into()), Draft::from_json_bytes(two.into()), Draft::from(three)];
    let mut known = Vec::new();
    for form in forms {
        known.extend(ids(&client.send_batch(Some("k"), vec![form], false).await.unwrap()));
    }
    known.dedup();
    assert_eq!((known.len(), stored(&client).await), (1, 1));
}

#[tokio::test]
async fn two_producers_at_once_store_each_mail_once_and_answer_alike() {
    let redis = Redis::start();
    let (one, other) = (producer(&redis).await, producer(&redis).await);
    for round in 0..20 {
        let key = format!("round {round}");
        let send = |client: DirectClient| {
            let key = key.clone();
            tokio::spawn(async move { client.send_batch(Some(&key), batch(10), true).await })
        };
        let (here, there) = (send(one.clone()), send(other.clone()));
        let (here, there) = (here.await.unwrap().unwrap(), there.await.unwrap().unwrap());
        assert_eq!(ids(&here), ids(&there));
    }
    assert_eq!(stored(&one).await, 200);
    // Of two different ones, one is stored, whole, and the other one is refused.
    for round in 0..20 {
        let key = format!("contended {round}");
        let send = |client: DirectClient, count: usize| {
            let key = key.clone();
            tokio::spawn(async move { client.send_batch(Some(&key), batch(count), true).await })
        };
        let before = stored(&one).await;
        let (here, there) = (send(one.clone(), 5), send(other.clone(), 6));
        let (here, there) = (here.await.unwrap(), there.await.unwrap());
        let count = match (&here, &there) {
            (Ok(here), Err(SendError::KeyUsed)) => here.len(),
            (Err(SendError::KeyUsed), Ok(there)) => there.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(stored(&one).await - before, count as u64);
    }
}

/// The producer died between any two of its steps: after the key was claimed, and after some of the mails were stored.
#[tokio::test]
async fn what_a_dead_producer_left_out_is_stored_by_the_next() {
    let redis = Redis::start();
    let client = producer(&redis).await;
    let first = client.send_batch(Some("k"), batch(8), false).await.unwrap();
    let missing = 5;
    let id = ids(&first)[missing];
    let keys = client.queue().store().keys(id.shard());
    let idem: Vec<String> = {
        let mut ask = redis::cmd("KEYS");
        ask.arg("*idem:*").query_async(&mut client.queue().store().connection()).await.unwrap()
    };
    let mut ended = redis::cmd("DEL");
    ended.arg(keys.mail(id)).arg(keys.job(id));
    for key in idem {
        let stored: String =
            redis::cmd("GET").arg(&key).query_async(&mut client.queue().store().connection()).await.unwrap();
        if stored.starts_with(&id.to_string()) {
            ended.arg(key);
        }
    }
    assert_eq!(ended.query_async::<u64>(&mut client.queue().store().connection()).await.unwrap(), 3);
    let again = producer(&redis).await.send_batch(Some("k"), batch(8), false).await.unwrap();
    for place in 0..8 {
        let (before, after) = (first[place].as_ref().unwrap(), again[place].as_ref().unwrap());
        assert_eq!((before.id == after.id, after.known), (place != missing, place != missing), "{place}");
    }
    // Only the key was claimed.
    let claimed = producer(&redis).await;
    let third = claimed.send_batch(Some("k"), batch(8), false).await.unwrap();
    assert_eq!(ids(&third), ids(&again));
}

#[tokio::test]
async fn all_or_nothing_refuses_all_and_the_other_way_the_bad_ones() {
    let redis = Redis::start();
    let client = producer(&redis).await;
    let with_a_bad_one = || {
        let mut drafts = batch(3);
        drafts[1] = Draft::from(json!({ "from": "shop1@example.com", "to": ["nobody"] }));
        drafts
    };
    for key in [Some("k"), None] {
        let answers = client.send_batch(key, with_a_bad_one(), true).await.unwrap();
        assert!(matches!(&answers[1], Err(SendError::Refused(refusal)) if refusal.faults().len() == 2), "{answers:?}");
        for place in [0, 2] {
            assert!(matches!(answers[place], Err(SendError::OthersRefused)), "{answers:?}");
        }
    }
    assert_eq!(stored(&client).await, 0);
    // The key is free still: nothing was stored under it.
    let answers = client.send_batch(Some("k"), with_a_bad_one(), false).await.unwrap();
    assert!(matches!(answers[1], Err(SendError::Refused(_))));
    assert_eq!(stored(&client).await, 2);
    let again = client.send_batch(Some("k"), with_a_bad_one(), false).await.unwrap();
    for place in [0, 2] {
        assert_eq!(again[place].as_ref().unwrap().id, answers[place].as_ref().unwrap().id);
    }
    assert!(matches!(again[1], Err(SendError::Refused(_))));
    let all_bad = vec![Draft::from(json!({}))];
    assert!(client.send_batch(Some("k3"), all_bad, false).await.unwrap()[0].is_err());
}

#[tokio::test]
async fn a_mail_with_a_key_of_its_own_keeps_that() {
    let redis = Redis::start();
    let client = producer(&redis).await;
    let keyed = NewMail { idempotency_key: Some("order-1".into()), ..mail(1) };
    let alone = client.send(keyed.clone()).await.unwrap();
    let answers = client.send_batch(Some("k"), vec![keyed, mail(2)], true).await.unwrap();
    assert_eq!((answers[0].as_ref().unwrap().id, answers[0].as_ref().unwrap().known), (alone.id, true));
    let status = client.status(answers[1].as_ref().unwrap().id).await.unwrap().unwrap();
    assert_eq!(status.state, MailState::Ready);
}
