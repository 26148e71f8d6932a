//! Mails that go later: by a time or in words, moved, cancelled.

use std::time::Duration;

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde_json::{Value, json};

use crate::api::{Api, mail, mail_with};
use crate::caught::caught;
use crate::sdk::send;

with_each_sdk!(
    a_mail_waits_for_its_time_and_goes_at_another,
    words_say_when,
    a_cancelled_mail_never_goes,
    what_has_gone_is_neither_moved_nor_cancelled,
);

fn later(when: &str) -> Value {
    send(&mail_with("Later", json!({ "scheduled_at": when })))
}

fn update(id: &str, when: &str) -> Value {
    json!({ "op": "update", "id": id, "scheduled_at": when })
}

fn cancel(id: &str) -> Value {
    json!({ "op": "cancel", "id": id })
}

fn scheduled_at(mail: &Value) -> Timestamp {
    mail["scheduled_at"].as_str().unwrap_or_else(|| panic!("{mail}")).parse().unwrap()
}

async fn a_mail_waits_for_its_time_and_goes_at_another(api: Api) {
    let hour: Timestamp = Timestamp::from_millisecond(Timestamp::now().as_millisecond() + 3_600_000).unwrap();
    let id = api.call(later(&hour.to_string())).await.id();
    let mail = api.mail(&id).await;
    assert_eq!((mail["last_event"].as_str(), scheduled_at(&mail)), (Some("scheduled"), hour));
    // With an offset, and further away.
    let there = hour.to_zoned(TimeZone::fixed(jiff::tz::offset(2))) + 1.day();
    let moved = there.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
    assert_eq!(api.call(update(&id, &moved)).await.id(), id);
    assert_eq!(scheduled_at(&api.mail(&id).await), there.timestamp());
    // Now it goes soon.
    let soon = Timestamp::now() + Duration::from_secs(1);
    assert_eq!(api.call(update(&id, &soon.to_string())).await.id(), id);
    api.mail_in(&id, "sent").await;
    let arrived = Timestamp::from_millisecond(api.rig.sandbox.mails()[0].received_ms as i64).unwrap();
    assert!(arrived >= soon - Duration::from_millis(2), "{arrived} is before {soon}");
    assert!(caught(&api.rig, 1).await[0].header("Message-ID").contains(&id));
}

async fn words_say_when(api: Api) {
    for (words, seconds) in [("in 1 hour", 3_600), ("in 5 minutes", 300), ("in 3 days", 259_200)] {
        let began = Timestamp::now().as_second();
        let id = api.call(later(words)).await.id();
        let at = scheduled_at(&api.mail(&id).await).as_second();
        let ended = Timestamp::now().as_second();
        assert!((began + seconds - 1..=ended + seconds + 1).contains(&at), "{words}: {at}, {began}, {ended}");
    }
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let id = api.call(later("tomorrow at 9am")).await.id();
    let nine = scheduled_at(&api.mail(&id).await).to_zoned(TimeZone::UTC);
    assert_eq!((nine.hour(), nine.minute()), (9, 0));
    // The test may run at midnight.
    assert!([today + 1.day(), today + 2.days()].contains(&nine.date()), "{nine}");
    let id = api.call(later("in 1 min")).await.id();
    assert_eq!(api.call(update(&id, "in 2 hours")).await.id(), id);
    assert!(scheduled_at(&api.mail(&id).await) > Timestamp::now() + Duration::from_secs(7_000));
    let failure = api.call(later("when the cows come home")).await.refused(422, "validation_error");
    assert!(failure.message.contains("scheduled_at"), "{}", failure.message);
    assert!(api.rig.sandbox.mails().is_empty());
}

async fn a_cancelled_mail_never_goes(api: Api) {
    let soon = Timestamp::now() + Duration::from_secs(3);
    let id = api.call(later(&soon.to_string())).await.id();
    assert_eq!(api.call(cancel(&id)).await.id(), id);
    assert_eq!(api.mail(&id).await["last_event"], "canceled");
    // Mails that are due after it have gone: it would have been among them.
    let after = Timestamp::now() + Duration::from_secs(4);
    let other = api.call(send(&mail_with("After", json!({ "scheduled_at": after.to_string() })))).await.id();
    api.mail_in(&other, "sent").await;
    assert_eq!(caught(&api.rig, 1).await[0].header("Subject"), "After");
    assert_eq!(api.mail(&id).await["last_event"], "canceled");
    api.call(update(&id, "in 1 hour")).await.refused(422, "validation_error");
}

async fn what_has_gone_is_neither_moved_nor_cancelled(api: Api) {
    let id = api.call(send(&mail("Gone"))).await.id();
    api.mail_in(&id, "sent").await;
    for call in [cancel(&id), update(&id, "in 1 hour")] {
        let failure = api.call(call).await.refused(422, "validation_error");
        assert!(failure.message.contains("sent"), "{}", failure.message);
    }
    assert_eq!(api.mail(&id).await["last_event"], "sent");
}
