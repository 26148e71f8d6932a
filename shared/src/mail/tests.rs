//! Tests of parsing a mail from JSON.

use serde_json::json;

use super::*;

const NOW: Millis = Millis(1_800_000_000_000);

fn refused(value: &Value) -> String {
    Mail::from_json(value, NOW).unwrap_err().to_string()
}

/// A good mail with one field set to something else.
fn with(field: &str, value: Value) -> Value {
    let mut mail = json!({"from": "a@x.example", "to": "b@x.example", "text": "hi"});
    mail[field] = value;
    mail
}

#[test]
fn every_field_is_read() {
    let mail = Mail::from_json(
        &json!({
            "from": "Ann <a@x.example>", "to": "b@x.example, C <c@x.example>", "cc": ["B@X.example", "d@x.example"],
            "bcc": ["e@x.example"], "reply_to": "r@x.example", "subject": "s", "text": "t", "html": null,
            "headers": {"X-A": " 1 "}, "attachments": [{"filename": "a.png", "content": "aGk=", "content_id": "logo"}],
            "tags": {"kind": "welcome"}, "account": "Me@X.example", "priority": "urgent", "send_at": 1_800_000_001,
            "ttl": "1h", "idempotency_key": "k"
        }),
        NOW,
    )
    .unwrap();
    let all: Vec<_> = mail.recipients().iter().map(Address::reveal).collect();
    assert_eq!(all, ["b@x.example", "c@x.example", "d@x.example", "e@x.example"]);
    assert_eq!(mail.copies, Copies { cc: 1, bcc: 1 });
    assert_eq!(mail.from().name.as_deref(), Some("Ann"));
    assert_eq!((mail.subject(), mail.priority()), ("s", Priority::Urgent));
    assert_eq!(mail.tags(), [Tag { name: "kind".to_owned(), value: "welcome".to_owned() }]);
    assert_eq!(mail.account().unwrap().reveal(), "me@x.example");
    assert_eq!((mail.send_at(), mail.ttl()), (Some(Millis(1_800_000_001_000)), Some(Duration::from_secs(3_600))));
    assert_eq!(mail.idempotency_key(), Some("k"));
    let Content::Parts(parts) = &mail.content else { unreachable!() };
    assert_eq!(parts.headers, [("X-A".to_owned(), "1".to_owned())]);
    assert_eq!(parts.attachments[0].content_type, "image/png");
    assert_eq!(parts.attachments[0].content, b"hi");
    assert_eq!((parts.text.as_deref(), parts.html.as_deref()), (Some("t"), None));
    assert!(!format!("{mail:?}").contains("a@x"));
}

#[test]
fn all_faults_are_told_at_once() {
    let text =
        refused(&json!({"subjct": "x", "to": ["ok@x.example", "nobody", 3], "ttl": "soon", "attachments": [{}]}));
    assert_eq!(
        text,
        "unknown field \"subjct\": did you mean \"subject\"?; from: missing: give the sender's address; \
         to[1]: not a mail address: it has no @; to[2]: expected a string, not a number; \
         attachments[0].filename: missing: give the name that the receiver shall see; \
         attachments[0].content: missing: give the file's bytes as base64; \
         ttl: not a span of time: write 90s, 15m, 24h, 3d or 1h30m; no body: give text, html or both"
    );
}

#[test]
fn faults_by_field() {
    let many: Vec<_> = (0..101).map(|i| format!("u{i}@x.example")).collect();
    let table = [
        (json!([]), "expected an object with from, to"),
        (json!("x"), "not a string"),
        (with("from", json!("a@x.example, b@x.example")), "from: several addresses"),
        (with("from", json!("")), "from: empty"),
        (with("from", json!(["a@x.example"])), "from: expected a string, not an array"),
        (with("from", json!("ann.secret@")), "from: not a mail address"),
        (with("to", json!("")), "to: no recipient"),
        (with("to", json!([])), "to: no recipient"),
        (with("to", json!([""])), "to[0]: empty"),
        (with("to", json!("a@x.example, , nope")), "to[1]: not a mail address"),
        (with("to", json!({"a": 1})), "to: expected an address or an array of addresses, not an object"),
        (with("to", json!(many)), "to: 101 recipients over to, cc and bcc: Gmail takes 100"),
        (with("text", json!(1)), "text: expected a string, not a number"),
        (with("text", Value::Null), "no body"),
        (with("subject", json!("a\r\nBcc: x@y.example")), "subject: holds a line end"),
        (with("headers", json!({"X A": "1"})), "headers.\"X A\": no header name"),
        (with("headers", json!({"X-A\r\nBcc": "1"})), "no header name"),
        (with("headers", json!({"X-A": "1\nBcc: x"})), "headers.\"X-A\": holds a line end"),
        (with("headers", json!({"X-A": 1})), "headers.\"X-A\": expected a string, not a number"),
        (with("headers", json!({"X-A": "1", "x-a": "2"})), "given twice"),
        (with("headers", json!({"BCC": "x"})), "use the field bcc"),
        (with("headers", json!({"Message-Id": "x"})), "Postroom sets it"),
        (with("headers", json!({"Resent-Bcc": "x"})), "does not resend"),
        (with("headers", json!([1])), "headers: expected an object of name to value, not an array"),
        (with("attachments", json!({})), "attachments: expected an array"),
        (with("attachments", json!([1])), "attachments[0]: expected an object with filename"),
        (with("attachments", json!([{"filename": "a\n", "content": ""}])), "attachments[0].filename: holds"),
        (with("attachments", json!([{"filename": "a", "content": "a_k="}])), "attachments[0].content: not base64 at"),
        (with("attachments", json!([{"filename": "a", "content": "", "conten": 1}])), "did you mean \"content\"?"),
        (with("tags", json!(["a b"])), "tags[0]: the name of a tag may hold"),
        (with("tags", json!([{"name": "a"}])), "tags[0].value: missing"),
        (with("tags", json!({"a": "b c"})), "tags[0]: the value of a tag may hold"),
        (with("tags", json!(vec!["a"; 51])), "tags: 51 tags: 50 at most"),
        (with("tags", json!("a")), "tags: expected an array"),
        (with("account", json!("me")), "account: not a mail address"),
        (with("priority", json!("high")), "priority: \"high\" is no priority: use urgent, normal or bulk"),
        (with("priority", json!(1)), "priority: expected a string, not a number"),
        (with("idempotency_key", json!("")), "idempotency_key: an idempotency key has 1 to 256"),
        (with("idempotency_key", json!("\u{e9}")), "idempotency_key: an"),
        (with("idempotency_key", json!("k".repeat(257))), "idempotency_key: an"),
    ];
    for (value, expected) in table {
        let fault = refused(&value);
        assert!(fault.contains(expected), "{value}: {fault}");
        assert!(!fault.contains("ann.secret"), "{fault}");
    }
}

#[test]
fn bytes_tell_fields_given_twice() {
    let fault =
        Mail::from_json_bytes(br#"{"from":"a@x.example","to":"b@x.example","to":"c@x.example","text":""}"#, NOW);
    assert_eq!(fault.unwrap_err().to_string(), "the field \"to\" is given twice: keep one");
}

#[test]
fn a_hundred_recipients_are_counted_once_each() {
    let mut many: Vec<_> = (0..100).map(|i| format!("u{i}@x.example")).collect();
    many.extend(many.clone().iter().map(|address| address.to_uppercase()));
    assert_eq!(Mail::from_json(&with("to", json!(many)), NOW).unwrap().recipients().len(), 100);
}

#[test]
fn a_key_can_be_set_later() {
    let mail = Mail::from_json(&with("subject", json!("s")), NOW).unwrap();
    assert_eq!(mail.clone().with_idempotency_key("k").unwrap().idempotency_key(), Some("k"));
    assert!(mail.with_idempotency_key("\n").is_err());
}
