//! Tests of freezing a message.

use serde_json::{Value, json};

use super::*;

const NOW: Millis = Millis(1_800_000_000_000);

fn id() -> MailId {
    "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".parse().unwrap()
}

fn frozen(value: &Value) -> Message {
    Message::freeze(&Mail::from_json(value, NOW).unwrap(), id(), NOW).unwrap()
}

fn text(message: &Message) -> String {
    String::from_utf8(message.bytes.clone()).unwrap()
}

#[test]
fn a_plain_mail_byte_for_byte() {
    let message = frozen(&json!({
        "from": "Ann <a@x.example>", "to": ["b@x.example", "Jörg <j@bücher.example>"], "bcc": "z@x.example",
        "reply_to": "\"R, S\" <r@x.example>", "subject": "Grüße an alle =?x?=", "text": "one\ntwo\r\n", "headers": {"X-A": "1"}
    }));
    let expected = [
        "From: Ann <a@x.example>",
        "To: b@x.example, =?utf-8?B?SsO2cmc=?= <j@xn--bcher-kva.example>",
        "Reply-To: \"R, S\" <r@x.example>",
        "Subject: =?utf-8?B?R3LDvMOfZQ==?= an alle =?utf-8?B?PT94Pz0=?=",
        "Date: Fri, 15 Jan 2027 08:00:00 +0000",
        "Message-ID: <0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10@x.example>",
        "X-A: 1",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
        "",
        "one",
        "two",
        "",
    ];
    assert_eq!(text(&message), expected.join("\r\n"));
    assert_eq!(message.message_id, "<0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10@x.example>");
    assert_eq!(message.envelope.recipients.len(), 3);
    assert!(!message.needs_smtputf8());
}

#[test]
fn freezing_twice_gives_the_same_bytes_and_later_mail_its_own_date() {
    let value = json!({
        "from": "a@x.example", "bcc": "b@x.example", "html": "<img src='cid:i'>", "text": "ä", "send_at": 1_800_086_400,
        "attachments": [
            {"filename": "i.png", "content": "aGk=", "content_id": "i"}, {"filename": "ä.txt", "content": "aGk="}
        ]
    });
    let (one, two) = (frozen(&value), frozen(&value));
    assert_eq!(one, two);
    let text = text(&one);
    for part in [
        "To: undisclosed-recipients:;\r\n",
        "Date: Sat, 16 Jan 2027 08:00:00 +0000\r\n",
        "multipart/mixed;\r\n boundary=\"=_1_0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10\"",
        "multipart/alternative;\r\n boundary=\"=_2_",
        "multipart/related;\r\n boundary=\"=_3_",
        "Content-ID: <i>\r\n",
        "filename*=utf-8''%C3%A4.txt\r\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("b@x.example"));
}

#[test]
fn a_text_that_has_the_boundary_in_it_ends_where_it_ends() {
    let message = frozen(&json!({
        "from": "a@x.example", "to": "b@x.example", "text": format!("one\n--=_1_{}\ntwo", id()),
        "attachments": [{"filename": "a", "content": "aGk="}]
    }));
    let text = text(&message);
    assert_eq!(text.matches(&format!("\r\n--=_1_{}", id())).count(), 3, "{text}");
    assert!(text.contains("one\r\n--=3D_1_"), "{text}");
}

#[test]
fn utf8_addresses_are_told() {
    let message = frozen(&json!({"from": "a@x.example", "to": "jörg@x.example", "text": ""}));
    assert!(message.needs_smtputf8());
    let message = frozen(&json!({"from": "a@x.example", "to": "j@x.example", "reply_to": "ö@x.example", "text": "ü"}));
    assert!(message.needs_smtputf8());
}

#[test]
fn what_gmail_would_not_take_is_refused_with_both_numbers() {
    let content = "AAAA".repeat(9_000_000);
    let value = json!({"from": "a@x.example", "to": "b@x.example", "text": "",
        "attachments": [{"filename": "a", "content": content}]});
    let mail = Mail::from_json(&value, NOW).unwrap();
    let fault = Message::freeze(&mail, id(), NOW).unwrap_err().to_string();
    assert!(fault.contains("36947") && fault.contains("35882577"), "{fault}");
}

#[test]
fn a_ready_message_gets_what_it_lacks_and_keeps_the_rest() {
    let mail = Mail::from_eml(b"From: a@x.example\nTo: b@x.example\n\nhi\n", NOW).unwrap();
    let message = Message::freeze(&mail, id(), NOW).unwrap();
    let expected = "Message-ID: <0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10@x.example>\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n\
                    From: a@x.example\r\nTo: b@x.example\r\n\r\nhi\r\n";
    assert_eq!(text(&message), expected);
    let own = "Message-ID: <1@x>\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\nFrom: a@x.example\r\nTo: b@x.example\r\n\r\nhi\r\n";
    let message = Message::freeze(&Mail::from_eml(own.as_bytes(), NOW).unwrap(), id(), NOW).unwrap();
    assert_eq!((text(&message).as_str(), message.message_id.as_str()), (own, "<1@x>"));
}

#[test]
fn dates_are_of_any_time() {
    for (at, expected) in [
        (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (1_800_000_000_999, "Fri, 15 Jan 2027 08:00:00 +0000"),
        (u64::MAX, "Thu, 01 Jan 1970 00:00:00 +0000"),
    ] {
        assert_eq!(date(Millis(at)), expected);
    }
}
