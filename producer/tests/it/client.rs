//! The client that apps use, against a real Redis, without a worker.

use std::time::Duration;

use crate::support::Redis;
use postroom::{Cancelled, DirectClient, Draft, MailId, MailState, Millis, NewMail, Rescheduled, SendError};
use postroom_shared::account::Account;
use serde_json::json;

fn account(id: &str) -> Account {
    Account::new(id.parse().unwrap())
}

fn mail(subject: &str) -> NewMail {
    NewMail {
        from: "shop@example.com".into(),
        to: vec!["ann@example.org".into()],
        subject: subject.into(),
        text: Some("Hi".into()),
        ..NewMail::default()
    }
}

async fn connected(redis: &Redis) -> DirectClient {
    let client = DirectClient::connect(&redis.url()).await.unwrap();
    client.queue().put_account(&account("shop@example.com")).await.unwrap();
    client
}

#[tokio::test]
async fn sends_asks_waits_and_cancels() {
    let redis = Redis::start();
    let client = connected(&redis).await;
    let sent = client.send(mail("one")).await.unwrap();
    assert!(!sent.known);
    let status = client.status(sent.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.subject.as_deref()), (MailState::Ready, Some("one")));
    let status = client.wait(sent.id, Duration::from_millis(80)).await.unwrap().unwrap();
    assert_eq!(status.state, MailState::Ready);
    assert_eq!(client.cancel(sent.id).await.unwrap(), Cancelled::Done);
    assert_eq!(client.cancel(sent.id).await.unwrap(), Cancelled::TooLate(MailState::Cancelled));
    let status = client.wait(sent.id, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(status.state, MailState::Cancelled);
    let other: MailId = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".parse().unwrap();
    assert_eq!(client.cancel(other).await.unwrap(), Cancelled::Unknown);
    assert!(client.status(other).await.unwrap().is_none());
}

#[tokio::test]
async fn a_mail_gets_another_time() {
    let redis = Redis::start();
    let client = connected(&redis).await;
    let sent = client.send(mail("one")).await.unwrap();
    let later = Millis::now().after(Duration::from_secs(3_600));
    assert_eq!(client.reschedule(sent.id, later).await.unwrap(), Rescheduled::Done);
    let status = client.status(sent.id).await.unwrap().unwrap();
    assert_eq!((status.state, status.at), (MailState::Scheduled, later));
    let id = sent.id.to_string();
    let told = redis.run(&["mail", "reschedule", &id, "2020-01-01T00:00:00Z"]).ok();
    assert!(told.starts_with(&format!("{id} goes at 20")) && !told.contains("2020"), "{told}");
    assert_eq!(client.status(sent.id).await.unwrap().unwrap().state, MailState::Ready);
    assert!(redis.run(&["mail", "show", &id]).ok().contains("rescheduled"));
    let wrong = redis.run(&["mail", "reschedule", &id, "9999-01-01T00:00:00Z"]);
    assert!(wrong.code == 2 && wrong.err.contains("30 days ahead"), "{}", wrong.err);
    client.cancel(sent.id).await.unwrap();
    assert_eq!(client.reschedule(sent.id, later).await.unwrap(), Rescheduled::TooLate(MailState::Cancelled));
    assert!(redis.run(&["mail", "reschedule", &id, "2020-01-01T00:00:00Z"]).failed().contains("cancelled"));
    let other = "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10";
    assert_eq!(client.reschedule(other.parse().unwrap(), later).await.unwrap(), Rescheduled::Unknown);
    assert!(redis.run(&["mail", "reschedule", other, "2020-01-01T00:00:00Z"]).failed().contains("no such mail"));
}

#[tokio::test]
async fn many_mails_get_their_answers_in_order() {
    let redis = Redis::start();
    let client = connected(&redis).await;
    let draft = |number: usize| match number % 100 {
        7 => Draft::from(json!({ "from": "shop@example.com" })),
        _ => Draft::from(mail(&number.to_string())),
    };
    let answers = client.send_many((0..2_345).map(draft).collect()).await;
    assert_eq!(answers.len(), 2_345);
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(sent) if number % 100 != 7 && number % 50 == 0 => {
                let status = client.status(sent.id).await.unwrap().unwrap();
                assert_eq!(status.subject, Some(number.to_string()));
            }
            Ok(_) => assert_ne!(number % 100, 7),
            Err(SendError::Refused(refusal)) => assert_eq!((number % 100, refusal.faults().len()), (7, 2), "{refusal}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn an_account_added_or_removed_just_now_counts() {
    let redis = Redis::start();
    let client = connected(&redis).await;
    client.send(mail("one")).await.unwrap();
    let from_news = || NewMail { from: "news@example.com".into(), ..mail("two") };
    assert!(matches!(client.send(from_news()).await, Err(SendError::Refused(_))));
    client.queue().put_account(&account("news@example.com")).await.unwrap();
    client.send(from_news()).await.unwrap();
    client.queue().remove_account(&"news@example.com".parse().unwrap()).await.unwrap();
    assert!(matches!(client.send(from_news()).await, Err(SendError::Refused(_))));
}

#[tokio::test]
async fn a_redis_that_is_gone_stores_nothing_or_says_that_it_does_not_know() {
    let redis = Redis::start();
    let client = connected(&redis).await;
    client.send(mail("one")).await.unwrap();
    drop(redis);
    let keyed = NewMail { idempotency_key: Some("k".into()), ..mail("two") };
    let error = client.send(keyed).await.unwrap_err();
    assert!(error.to_string().contains("hand it over again"), "{error}");
    assert!(matches!(error, SendError::NotStored(_) | SendError::Unknown { keyed: true, .. }), "{error:?}");
}
