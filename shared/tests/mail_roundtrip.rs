//! What comes out of a MIME parser that others wrote (`mailparse`) is what an app put in; what it must not put in
//! is refused; and nothing that arrives at the door makes it panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailparse::{MailAddr, MailHeaderMap, ParsedMail, SingleInfo, addrparse_header, parse_mail};
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Mail;
use postroom_shared::message::Message;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Millis = Millis(1_800_000_000_000);

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn id() -> MailId {
    "0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".parse().unwrap()
}

fn freeze(value: &Value) -> Message {
    let mail = Mail::from_json(value, NOW).unwrap_or_else(|faults| panic!("{faults}: {value}"));
    Message::freeze(&mail, id(), NOW).unwrap()
}

/// One line of text: words of all sorts, among them what encoders trip over.
fn line() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => "[a-zA-Z0-9]{1,12}",
        2 => "\\PC{0,20}",
        1 => "[ -~]{0,30}",
        1 => "[a-z]{70,120}",
        1 => "[ä-ü😀-😎]{20,60}",
        1 => Just("=?utf-8?B?eA==?=".to_owned()),
        1 => Just("=?".to_owned()),
        1 => Just("  ".to_owned()),
        1 => Just("\"a\\\",<b>;(c)".to_owned()),
        1 => Just("x".repeat(1_500)),
    ];
    vec(word, 0..12).prop_map(|words| words.join(" "))
}

fn name() -> impl Strategy<Value = String> {
    line().prop_map(|name| name.chars().take(200).collect())
}

fn address() -> impl Strategy<Value = String> {
    (
        "[a-z][a-z0-9+_-]{0,20}(\\.[a-z0-9]{1,5})?",
        "[a-z][a-z0-9]{0,15}",
        prop_oneof![Just("example"), Just("bücher.example")],
    )
        .prop_map(|(local, host, domain)| format!("{local}@{host}.{domain}"))
}

/// A mailbox as an app writes it, and what a parser has to find.
fn mailbox() -> impl Strategy<Value = (String, SingleInfo)> {
    (proptest::option::of(name()), address()).prop_map(|(name, address)| {
        let name = name.map(|name| name.trim().to_owned());
        let text = match &name {
            Some(name) => format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
            None => address.clone(),
        };
        let addr = address.replace("bücher", "xn--bcher-kva");
        (text, SingleInfo { display_name: name.filter(|name| !name.is_empty()), addr })
    })
}

fn mailboxes(most: usize) -> impl Strategy<Value = Vec<(String, SingleInfo)>> {
    vec(mailbox(), 0..most)
}

/// Some lines with any line ends; also control characters.
fn body() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => line(),
        1 => "[ -~]{0,200}",
        1 => any::<String>(),
        1 => Just(".".to_owned()),
        1 => Just("trailing blanks  \t".to_owned()),
        1 => Just("From x".to_owned()),
    ];
    vec((piece, prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("")]), 0..12)
        .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
}

fn attachment() -> impl Strategy<Value = (String, Vec<u8>, bool)> {
    let filename = name().prop_filter("a name", |name| !name.trim().is_empty());
    let content = prop_oneof![vec(any::<u8>(), 0..300), "([ -~]{0,90}\n){0,5}".prop_map(String::into_bytes)];
    (filename, content, any::<bool>())
}

fn texts(list: &[(String, SingleInfo)]) -> Vec<&str> {
    list.iter().map(|(text, _)| text.as_str()).collect()
}

fn parsed(message: &ParsedMail<'_>, name: &str) -> Vec<SingleInfo> {
    let Some(header) = message.headers.get_first_header(name) else { return Vec::new() };
    let singles = |address| match address {
        MailAddr::Single(single) => vec![single],
        MailAddr::Group(group) => group.addrs,
    };
    addrparse_header(header).unwrap().into_inner().into_iter().flat_map(singles).collect()
}

fn wanted(list: &[(String, SingleInfo)]) -> Vec<SingleInfo> {
    list.iter().map(|(_, single)| single.clone()).collect()
}

fn leaves<'a>(part: &'a ParsedMail<'a>) -> Vec<&'a ParsedMail<'a>> {
    if part.subparts.is_empty() { vec![part] } else { part.subparts.iter().flat_map(leaves).collect() }
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

fn check_wire(bytes: &[u8]) {
    assert!(bytes.ends_with(b"\r\n"));
    for line in bytes.strip_suffix(b"\r\n").unwrap().split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 998 && !line.contains(&b'\r') && !line.contains(&0), "{}", line.len());
    }
    assert!(bytes.iter().enumerate().all(|(at, b)| *b != b'\n' || bytes[at - 1] == b'\r'));
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn headers_come_out_as_they_went_in(
        from in mailbox(), to in mailboxes(6), cc in mailboxes(4), bcc in vec(address(), 1..3), reply_to in mailboxes(3),
        subject in line(), values in vec(line(), 0..4),
    ) {
        let headers: serde_json::Map<_, _> =
            values.iter().enumerate().map(|(i, value)| (format!("X-Test-{i}"), json!(value))).collect();
        let bcc: Vec<_> = bcc.iter().map(|address| format!("hidden-{address}")).collect();
        let message = freeze(&json!({
            "from": from.0, "to": texts(&to), "cc": texts(&cc).join(", "), "bcc": bcc, "reply_to": texts(&reply_to),
            "subject": subject, "headers": headers, "text": "hi",
        }));
        check_wire(&message.bytes);
        prop_assert!(message.bytes.is_ascii() && !message.needs_smtputf8());
        let mail = parse_mail(&message.bytes).unwrap();
        prop_assert_eq!(mail.headers.get_first_value("Subject").unwrap_or_default(), subject.clone());
        prop_assert_eq!(message.subject, subject.chars().take(200).collect::<String>());
        prop_assert_eq!(parsed(&mail, "From"), vec![from.1]);
        prop_assert_eq!(parsed(&mail, "To"), wanted(&to));
        prop_assert_eq!(parsed(&mail, "Cc"), wanted(&cc));
        prop_assert_eq!(parsed(&mail, "Reply-To"), wanted(&reply_to));
        for (i, value) in values.iter().enumerate() {
            let name = format!("X-Test-{i}");
            prop_assert_eq!(mail.headers.get_first_value(&name).unwrap(), value.trim_matches(' '));
        }
        prop_assert!(mail.headers.get_first_value("Bcc").is_none());
        prop_assert!(!message.bytes.windows(7).any(|seven| seven == b"hidden-"));
        prop_assert_eq!(mail.headers.get_first_value("Message-ID").unwrap(), message.message_id);
        for name in ["From", "To", "Date", "Message-ID", "MIME-Version", "Content-Type"] {
            let found = mail.headers.get_all_values(name).len();
            prop_assert!(found == 1 || (name == "To" && to.is_empty()), "{name}: {found}");
        }
    }

    #[test]
    fn a_sole_text_comes_out_as_it_went_in(text in body(), html in any::<bool>()) {
        let field = if html { "html" } else { "text" };
        let message = freeze(&json!({"from": "a@x.example", "to": "b@x.example", field: text}));
        check_wire(&message.bytes);
        let mail = parse_mail(&message.bytes).unwrap();
        prop_assert_eq!(&mail.ctype.mimetype, if html { "text/html" } else { "text/plain" });
        // A message ends with a line end, whether its text does or not.
        let (got, text) = (mail.get_body_raw().unwrap(), crlf(&text));
        let cut = |bytes: &[u8]| bytes.strip_suffix(b"\r\n").unwrap_or(bytes).to_vec();
        prop_assert_eq!(cut(&got), cut(text.as_bytes()));
    }

    #[test]
    fn parts_come_out_as_they_went_in(
        text in proptest::option::of(body()), html in body(), attachments in vec(attachment(), 0..4),
    ) {
        let list: Vec<_> = attachments.iter().enumerate().map(|(i, (filename, content, inline))| {
            let id = inline.then(|| format!("cid-{i}"));
            json!({"filename": filename, "content": STANDARD.encode(content), "content_id": id})
        }).collect();
        let value = json!({"from": "a@x.example", "to": "b@x.example", "text": text, "html": html, "attachments": list});
        let message = freeze(&value);
        check_wire(&message.bytes);
        prop_assert_eq!(&message, &freeze(&value));
        let mail = parse_mail(&message.bytes).unwrap();
        let mut leaves = leaves(&mail);
        if leaves.len() > 1 {
            for wanted in text.iter().chain([&html]) {
                let got = leaves.remove(0).get_body_raw().unwrap();
                prop_assert_eq!(String::from_utf8(got).unwrap(), crlf(wanted));
            }
            let (inline, files): (Vec<_>, Vec<_>) = attachments.iter().partition(|one| one.2);
            for (part, (filename, content, _)) in leaves.iter().zip(inline.iter().chain(&files)) {
                prop_assert_eq!(part.get_body_raw().unwrap(), content.clone());
                let disposition = part.get_content_disposition();
                prop_assert_eq!(disposition.params.get("filename"), Some(filename));
            }
            prop_assert_eq!(leaves.len(), attachments.len());
        }
    }
}

/// Where an app can put text, and what stands there in a good mail.
fn fields() -> Vec<(&'static str, &'static str)> {
    vec![
        ("/from", "Ann <a@x.example>"),
        ("/to/0", "Ann <a@x.example>"),
        ("/cc", "a@x.example"),
        ("/bcc/0", "a@x.example"),
        ("/reply_to", "a@x.example"),
        ("/subject", "hello"),
        ("/headers/X-Good", "value"),
        ("/attachments/0/filename", "file.txt"),
        ("/attachments/0/content", "aGVsbG8="),
        ("/attachments/0/content_type", "text/plain"),
        ("/attachments/0/content_id", "logo"),
        ("/tags/0/name", "kind"),
        ("/tags/0/value", "welcome"),
        ("/account", "a@x.example"),
        ("/priority", "bulk"),
        ("/send_at", "2027-01-15T09:00:00Z"),
        ("/ttl", "1h"),
        ("/idempotency_key", "key"),
    ]
}

fn full_mail() -> Value {
    let mut mail = json!({
        "text": "hi", "to": [""], "bcc": [""], "headers": {}, "tags": [{}], "attachments": [{}],
        "from": "", "cc": "", "reply_to": "", "subject": "", "account": "", "priority": "", "send_at": "", "ttl": "",
        "idempotency_key": "",
    });
    for (path, text) in fields() {
        let (parent, field) = path.rsplit_once('/').unwrap();
        let parent = mail.pointer_mut(parent).unwrap();
        *(if parent.is_array() { &mut parent[0] } else { &mut parent[field] }) = json!(text);
    }
    mail
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn header_injection_is_refused_in_every_field(
        field in proptest::sample::select(fields()), at in any::<proptest::sample::Index>(),
        attack in prop_oneof![
            Just("\r\nBcc: evil@y.example\r\n"), Just("\nBcc: evil@y.example"), Just("\rBcc: evil@y.example"), Just("\r\n\r\n"),
            Just("\n"), Just("\r"), Just("\0"), Just("\u{7f}"), Just("\u{85}"), Just("\u{1b}"),
        ],
    ) {
        let mut mail = full_mail();
        prop_assert!(Mail::from_json(&mail, NOW).is_ok());
        let (path, text) = field;
        let (before, after) = text.split_at(at.index(text.len() + 1));
        *mail.pointer_mut(path).unwrap() = json!(format!("{before}{attack}{after}"));
        let fault = Mail::from_json(&mail, NOW).unwrap_err().to_string();
        prop_assert!(!fault.contains("evil"), "{}", fault);
        // The same as a header's name.
        let mut mail = full_mail();
        mail["headers"] = json!({format!("X-{attack}A"): "1"});
        prop_assert!(Mail::from_json(&mail, NOW).is_err());
    }

    #[test]
    fn arbitrary_json_never_panics(value in any_json(), fields in vec((field_name(), any_json()), 0..8)) {
        let _ = Mail::from_json(&value, NOW).map_err(|faults| faults.to_string());
        let mut mail = full_mail();
        for (name, value) in fields {
            mail[name] = value;
        }
        if let Ok(mail) = Mail::from_json_bytes(mail.to_string().as_bytes(), NOW) {
            check_wire(&Message::freeze(&mail, id(), NOW).unwrap().bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400), like in eml_like()) {
        let _ = Mail::from_json_bytes(&bytes, NOW).map_err(|faults| faults.to_string());
        for bytes in [bytes, like] {
            if let Ok(mail) = Mail::from_eml(&bytes, NOW) {
                let message = Message::freeze(&mail, id(), NOW).unwrap();
                check_wire(&message.bytes);
                let parsed = parse_mail(&message.bytes).unwrap();
                let leaks = |name: &str| parsed.headers.get_first_value(name).is_some();
                prop_assert!(!leaks("Bcc") && !leaks("Resent-Bcc") && !leaks("X-Postroom-Ttl"));
                prop_assert!(leaks("Message-ID") && leaks("Date") && leaks("From"));
            }
        }
    }

    #[test]
    fn an_eml_keeps_its_body(lines in vec(vec(1_u8..=255, 0..300), 0..8), subject in "[a-z ]{0,20}", bare in any::<bool>()) {
        let lines: Vec<Vec<u8>> =
            lines.into_iter().map(|line| line.into_iter().filter(|b| *b != b'\r' && *b != b'\n').collect()).collect();
        let join = |end: &str| lines.iter().flat_map(|line| [line.as_slice(), end.as_bytes()].concat()).collect::<Vec<u8>>();
        let end = if bare { "\n" } else { "\r\n" };
        let top = "From: a@x.example\r\nTo: b@x.example\r\n";
        let eml = format!("{top}Bcc: c@x.example,\r\n d@x.example\r\nSubject: {subject}\r\n\r\n").replace("\r\n", end);
        let mail = Mail::from_eml(&[eml.as_bytes(), &join(end)].concat(), NOW).unwrap();
        let message = Message::freeze(&mail, id(), NOW).unwrap();
        let kept = [format!("{top}Subject: {subject}\r\n\r\n").as_bytes(), &join("\r\n")].concat();
        prop_assert!(message.bytes.ends_with(&kept), "{:?}", String::from_utf8_lossy(&message.bytes));
        prop_assert_eq!(message.envelope.recipients.len(), 3);
    }
}

fn field_name() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "from",
        "to",
        "cc",
        "bcc",
        "reply_to",
        "subject",
        "text",
        "html",
        "headers",
        "attachments",
        "tags",
        "account",
        "priority",
        "send_at",
        "ttl",
        "idempotency_key",
        "other",
    ])
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        line().prop_map(Value::from),
        proptest::sample::select(fields()).prop_map(|(_, text)| json!(text)),
        (-200_i32..200, "[a-z]{0,3}").prop_map(|(n, unit)| json!(format!("{n}{unit}"))),
    ];
    let key = prop_oneof![
        proptest::sample::select(vec!["filename", "content", "content_type", "content_id", "name", "value", "X-A"])
            .prop_map(str::to_owned),
        field_name().prop_map(str::to_owned),
        any::<String>(),
    ];
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Bytes with the look of a message: known headers with odd values.
fn eml_like() -> impl Strategy<Value = Vec<u8>> {
    let name = proptest::sample::select(vec![
        "To",
        "Cc",
        "Bcc",
        "bcc",
        "Resent-Bcc",
        "Subject",
        "Date",
        "Message-ID",
        "X-Postroom-Ttl",
        "X-Postroom-Tag",
        "X-A",
    ]);
    let value = prop_oneof![
        "[ -~]{0,60}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..20),
        line().prop_map(String::into_bytes),
        Just(b"a@x.example,\r\n b@x.example".to_vec()),
        Just(b"g: a@x.example, B <b@x.example>;".to_vec()),
        Just(b"1h".to_vec()),
        Just(b"<1@x>".to_vec()),
    ];
    let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\n ")];
    vec((name, value, end), 0..6).prop_map(|headers| {
        let mut bytes = b"From: a@x.example\r\nTo: z@x.example\r\n".to_vec();
        for (name, value, end) in headers {
            bytes.extend([name.as_bytes(), b": ", &value, end.as_bytes()].concat());
        }
        bytes.extend(b"\r\nbody\n");
        bytes
    })
}
