//! Several mails in one request, strict and permissive.

use serde_json::{Value, json};

use crate::api::{Api, mail, mail_with};
use crate::caught::caught;

with_each_sdk!(
    a_batch_goes_out_in_order,
    a_strict_batch_goes_whole_or_not_at_all,
    a_permissive_batch_keeps_the_good_mails,
    a_batch_of_a_hundred_goes_and_no_larger_one,
);

fn batch(given: &[Value], validation: Option<&str>) -> Value {
    let mut call = json!({ "op": "batch", "given": given });
    if let Some(validation) = validation {
        call["validation"] = validation.into();
    }
    call
}

fn ids(data: &Value) -> Vec<String> {
    data["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// A mail that cannot be sent.
fn faulty() -> Value {
    mail_with("Faulty", json!({ "to": ["no address"] }))
}

async fn a_batch_goes_out_in_order(api: Api) {
    let given: Vec<_> = ["One", "Two", "Three"].map(mail).into();
    let ids = ids(&api.call(batch(&given, None)).await.data());
    let mails = caught(&api.rig, 3).await;
    for (id, subject) in ids.iter().zip(["One", "Two", "Three"]) {
        let mail = mails.iter().find(|mail| mail.header("Subject") == subject).unwrap();
        assert!(mail.header("Message-ID").contains(id), "{subject}");
    }
    assert_eq!(ids.len(), 3);
}

async fn a_strict_batch_goes_whole_or_not_at_all(api: Api) {
    for validation in [None, Some("strict")] {
        let failure = api.call(batch(&[mail("Good"), faulty()], validation)).await.refused(422, "validation_error");
        assert!(failure.message.contains('1') && failure.message.contains("to"), "{}", failure.message);
    }
    let listed = api.call(json!({ "op": "list", "page": {} })).await.data();
    assert_eq!(listed["data"], json!([]));
    assert!(api.rig.sandbox.mails().is_empty());
}

async fn a_permissive_batch_keeps_the_good_mails(api: Api) {
    let data = api.call(batch(&[mail("First"), faulty(), mail("Last")], Some("permissive"))).await.data();
    assert_eq!(ids(&data).len(), 2);
    let errors = data["errors"].as_array().unwrap();
    assert_eq!((errors.len(), &errors[0]["index"]), (1, &json!(1)));
    assert!(errors[0]["message"].as_str().unwrap().contains("to"), "{errors:?}");
    let mails = caught(&api.rig, 2).await;
    let mut subjects: Vec<_> = mails.iter().map(|mail| mail.header("Subject")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["First", "Last"]);
    // Without a faulty mail the list of errors is there and empty.
    let data = api.call(batch(&[mail("Alone")], Some("permissive"))).await.data();
    assert_eq!((ids(&data).len(), &data["errors"]), (1, &json!([])));
}

async fn a_batch_of_a_hundred_goes_and_no_larger_one(api: Api) {
    let mut given: Vec<_> = (0..100).map(|n| mail(&format!("Mail {n}"))).collect();
    assert_eq!(ids(&api.call(batch(&given, None)).await.data()).len(), 100);
    given.push(mail("One too many"));
    let failure = api.call(batch(&given, None)).await.refused(422, "validation_error");
    assert!(failure.message.contains("100"), "{}", failure.message);
    let failure = api.call(batch(&[], None)).await.refused(422, "validation_error");
    assert!(!failure.message.is_empty());
    caught(&api.rig, 100).await;
}
