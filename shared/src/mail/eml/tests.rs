//! Tests of parsing a mail from an `.eml` file.

use std::time::Duration;

use super::*;
use crate::mail::Priority;

const NOW: Millis = Millis(1_800_000_000_000);

fn raw(mail: &Mail) -> &Raw {
    match &mail.content {
        Content::Raw(raw) => raw,
        Content::Parts(_) => unreachable!(),
    }
}

fn refused(text: &str) -> String {
    Mail::from_eml(text.as_bytes(), NOW).unwrap_err().to_string()
}

#[test]
fn takes_envelope_and_options_and_drops_what_may_not_go_out() {
    let eml = "Received: by x\nFrom: =?utf-8?q?J=C3=B6rg?= <j@b\u{fc}cher.example>\nTo: \"Doe, A\" <a@x.example>,\n b@x.example\n\
               Cc: team: c@x.example, A@X.example;\nbCC: secret@x.example,\n\tother@x.example\nSubject: =?utf-8?q?h=C3=AFa?=\n there\n\
               Resent-Bcc: z@x.example\nMessage-ID: broken\nX-Postroom-Priority: bulk\nx-postroom-ttl: 1h\n\
               X-Postroom-Send-At: 1800000060\nX-Postroom-Account: Me@X.example\nX-Postroom-Idempotency-Key: k 1\n\
               X-Postroom-Tag: kind=welcome\nX-Postroom-Tag: eu\n\nbody\r\n.\nend";
    let mail = Mail::from_eml(eml.as_bytes(), NOW).unwrap();
    let all: Vec<_> = mail.recipients().iter().map(Address::reveal).collect();
    assert_eq!(all, ["a@x.example", "b@x.example", "c@x.example", "secret@x.example", "other@x.example"]);
    assert_eq!(mail.copies, Copies { cc: 1, bcc: 2 });
    assert_eq!(mail.from().address.reveal(), "j@xn--bcher-kva.example");
    assert_eq!(mail.from().name.as_deref(), Some("J\u{f6}rg"));
    assert_eq!(mail.subject(), "h\u{ef}a there");
    assert_eq!(mail.priority(), Priority::Bulk);
    assert_eq!(mail.ttl(), Some(Duration::from_secs(3_600)));
    assert_eq!(mail.send_at(), Some(Millis(1_800_000_060_000)));
    assert_eq!(mail.account().unwrap().reveal(), "me@x.example");
    assert_eq!(mail.idempotency_key(), Some("k 1"));
    assert_eq!(mail.tags().iter().map(|tag| tag.value.as_str()).collect::<Vec<_>>(), ["welcome", ""]);
    let raw = raw(&mail);
    assert_eq!((raw.message_id.as_deref(), raw.has_date), (None, false));
    let expected = "Received: by x\r\nFrom: =?utf-8?q?J=C3=B6rg?= <j@b\u{fc}cher.example>\r\n\
                    To: \"Doe, A\" <a@x.example>,\r\n b@x.example\r\nCc: team: c@x.example, A@X.example;\r\n\
                    Subject: =?utf-8?q?h=C3=AFa?=\r\n there\r\n\r\nbody\r\n.\r\nend\r\n";
    assert_eq!(String::from_utf8_lossy(&raw.bytes), expected);
}

#[test]
fn an_envelope_goes_before_the_headers() {
    let eml =
        b"From: a@x.example\r\nTo: b@x.example\r\nBcc: not a mailbox\r\nMessage-ID: <1@x>\r\nDate: today\r\n\r\nhi\r\n";
    let mail = Mail::from_eml_to(eml, vec!["c@x.example".parse().unwrap()], NOW).unwrap();
    assert_eq!(mail.recipients().len(), 1);
    assert_eq!(mail.recipients()[0].reveal(), "c@x.example");
    assert_eq!((raw(&mail).message_id.as_deref(), raw(&mail).has_date), (Some("<1@x>"), true));
    let envelope = ["z@x.example", "C@x.example", "b@x.example"].map(|address| address.parse().unwrap());
    let eml = b"From: a@x.example\r\nTo: b@x.example, other@x.example\r\nCc: c@x.example\r\n\r\nhi\r\n";
    let mail = Mail::from_eml_to(eml, envelope.to_vec(), NOW).unwrap();
    let all: Vec<_> = mail.recipients().iter().map(Address::reveal).collect();
    assert_eq!((all, mail.copies), (vec!["b@x.example", "C@x.example", "z@x.example"], Copies { cc: 1, bcc: 1 }));
}

#[test]
fn refusals_name_the_place() {
    let long = format!("From: a@x.example\nTo: b@x.example\n\n{}\n", "x".repeat(999));
    let table = [
        ("", "From: missing"),
        ("To: b@x.example\n\nhi", "From: missing"),
        ("From: a@x.example\n\nhi", "to: no recipient"),
        ("From: a@x.example, b@x.example\nTo: b@x.example\n\n", "From: several addresses"),
        ("From: a@x.example\nTo: nobody\n\n", "To[0]: not a mail address"),
        ("From: a@x.example\nFrom: b@x.example\nTo: c@x.example\n\n", "From: given 2 times"),
        ("From: a@x.example\nTo: c@x.example\nSubject: 1\nsubject: 2\n\n", "Subject: given 2 times"),
        ("From: a@x.example\nTo: b@x.example\nBcc : c@x.example\n\n", "line 3: not a header"),
        ("From x@y Mon\nFrom: a@x.example\nTo: b@x.example\n\n", "line 1: not a header"),
        (" folded: x\nFrom: a@x.example\nTo: b@x.example\n\n", "line 1: not a header"),
        ("From: a@x.example\n \nTo: b@x.example\n\n", "line 2: blanks alone"),
        ("From: a@x.example\nTo: b@x.example\n\nx\0", "line 4: holds a NUL byte"),
        ("From: a@x.example\nTo: b@x.example\rBcc: c@x.example\n\n", "line 2: holds a carriage return"),
        ("From: a@x.example\nTo: b@x.example\nX-Postroom-Priorty: bulk\n\n", "did you mean \"x-postroom-priority\"?"),
        ("From: a@x.example\nTo: b@x.example\nX-Postroom-Ttl: 1s\nX-Postroom-TTL: 2s\n\n", "given twice"),
        ("From: a@x.example\nTo: b@x.example\nX-Postroom-Ttl: never\n\n", "X-Postroom-Ttl: not a span of time"),
        (long.as_str(), "line 4: 999 bytes long: 998 at most"),
    ];
    for (text, expected) in table {
        let fault = refused(text);
        assert!(fault.contains(expected), "{text:?}: {fault}");
        assert!(!fault.contains("a@x.example"), "{fault}");
    }
    assert!(Mail::from_eml(b"From: a@x.example\nTo: b@x.example\nSubject: \xff\n\n", NOW).is_err());
}

#[test]
fn message_ids_that_gmail_would_replace_are_invalid() {
    for good in ["<a@b>", " <a.b-c@d.example>\r\n", "\r\n <1@2>\r\n"] {
        assert_eq!(valid_id(good.as_bytes()).as_deref(), Some(good.trim()), "{good:?}");
    }
    for bad in [
        "",
        "a@b",
        "<a>",
        "<a@>",
        "<@b>",
        "<a@b@c>",
        "<a b@c>",
        "<a@b> <c@d>",
        "<\u{e9}@b>",
        "<a@\r\n b>",
        "<a@b>\u{b}",
        "\u{a0}<a@b>",
    ] {
        assert_eq!(valid_id(bad.as_bytes()), None, "{bad:?}");
    }
}
