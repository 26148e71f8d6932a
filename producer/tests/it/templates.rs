//! Templates from the folder in an app's git to the mail: on the command line, from Rust, over time.

use crate::support::Redis;
use postroom::{DirectClient, NewMail, SendError};
use serde_json::{Value, json};

const SHOP: &str = "shop@example.com";

/// Writes the files of templates below `emails`.
fn write(redis: &Redis, files: &[(&str, &str)]) -> String {
    for (name, text) in files {
        let path = format!("emails/{name}");
        let folder = redis.file("folder", "").replace("/folder", &format!("/{}", path.rsplit_once('/').unwrap().0));
        std::fs::create_dir_all(folder).unwrap();
        redis.file(&path, text);
    }
    redis.file("folder", "").replace("/folder", "/emails")
}

fn welcome(redis: &Redis) -> String {
    write(
        redis,
        &[
            (
                "_parts/layout.html",
                "<html><style>p { color: red }</style><body>{% block main %}{% endblock %}{% include 'footer' %}</body></html>",
            ),
            ("_parts/footer.html", "<hr>Shop"),
            ("_parts/unused.html", "{{ broken"),
            ("README.md", "for people"),
            ("welcome/subject.txt.j2", "Welcome, {{ user.name }}!\n"),
            ("welcome/body.html", "{% extends 'layout' %}\n{% block main %}<p>Hello {{ user.name }}</p>{% endblock %}"),
            ("welcome/sample.json", r#"{ "user": { "name": "Ann" } }"#),
            ("plain/subject.txt", "Hi"),
            ("plain/body.txt", "Your code is {{ code }}.\n"),
        ],
    )
}

fn mail(more: Value) -> String {
    let mut mail = json!({ "from": SHOP, "to": "ann@example.org" });
    mail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mail.to_string()
}

fn send(redis: &Redis, more: Value) -> crate::support::Ran {
    redis.run_with(&["send", "-"], &[], &mail(more))
}

fn raw(redis: &Redis, id: &str) -> String {
    redis.run(&["mail", "show", id.trim(), "--raw"]).ok()
}

#[test]
fn a_template_from_put_to_remove() {
    let redis = Redis::start();
    assert!(redis.run(&["template", "show", "welcome"]).failed().contains("there is no template: put some with"));
    let folder = welcome(&redis);
    let put = |more: &[&str]| redis.run(&[&["template", "put", &folder], more].concat());
    assert_eq!(put(&["--dry-run"]).ok(), "plain would be put\nwelcome would be put\n");
    assert_eq!(redis.run(&["template", "list"]).ok(), "");
    assert_eq!(put(&[]).ok(), "plain@1 put\nwelcome@1 put\n");
    assert_eq!(put(&[]).ok(), "plain@1 is the same\nwelcome@1 is the same\n");

    // A part that changes makes a new version of what uses it, and leaves the old one as it is.
    write(&redis, &[("_parts/footer.html", "<hr>Shop Ltd")]);
    let put_now = put(&["--json", "--dry-run"]).json();
    let line = |name: &str, version: Value, new: bool| json!({ "name": name, "version": version, "new": new });
    assert_eq!(put_now, json!([line("plain", json!(1), false), line("welcome", Value::Null, true)]));
    assert_eq!(put(&[]).ok(), "plain@1 is the same\nwelcome@2 put\n");
    assert_eq!(redis.run(&["template", "put", &format!("{folder}/plain")]).ok(), "plain@1 is the same\n");
    let html = |name: &str| redis.run(&["template", "render", name, "--html"]).ok();
    assert!(html("welcome@1").contains("<hr>Shop</body>") && html("welcome").contains("<hr>Shop Ltd</body>"));
    assert!(html("welcome").contains(r#"<p style="color: red;">Hello Ann</p>"#), "{}", html("welcome"));

    let listed = redis.run(&["template", "list", "--json"]).json();
    assert_eq!((&listed[1]["name"], &listed[1]["version"]), (&json!("welcome"), &json!(2)));
    assert_eq!(listed[1]["parts"], json!(["footer.html", "layout.html"]));
    let shown = redis.run(&["template", "show", "welcome@1", "--json"]).json();
    assert_eq!((&shown["versions"], &shown["variables"]), (&json!([1, 2]), &json!(["user.name"])));
    assert_eq!(shown["parts"]["footer.html"], "<hr>Shop");
    let text = redis.run(&["template", "show", "welcome"]).ok();
    assert!(text.contains("--- _parts/footer.html\n<hr>Shop Ltd\n") && text.contains("welcome@2"), "{text}");
    assert!(
        redis.run(&["template", "show", "welcome@3"]).failed().contains("there is no version 3 of welcome (any more)")
    );
    assert!(redis.run(&["template", "show", "wellcome"]).failed().contains("did you mean \"welcome\"?"));

    let data = redis.file("data.json", r#"{ "user": { "name": "Bob" } }"#);
    assert_eq!(redis.run(&["template", "render", "welcome", "--data", &data, "--subject"]).ok(), "Welcome, Bob!\n");
    let whole = redis.run(&["template", "render", "welcome", "--data", &data]).ok();
    assert!(whole.starts_with("Subject: Welcome, Bob!\n\nHello Bob\n"), "{whole}");
    assert!(redis.run(&["template", "render", "plain"]).failed().contains("give variables with --data FILE"));
    let err = redis.run(&["template", "render", "plain", "--data", &data]).failed();
    assert!(err.contains("plain/body.txt, line 1: \"code\" is undefined; given: user"), "{err}");

    // Its numbers are not used again.
    assert_eq!(redis.run(&["template", "remove", "welcome"]).ok(), "template welcome removed\n");
    assert!(redis.run(&["template", "remove", "welcome"]).failed().contains("unknown template"));
    assert_eq!(put(&[]).ok(), "plain@1 is the same\nwelcome@3 put\n");
}

#[test]
fn a_folder_with_faults_puts_nothing() {
    let redis = Redis::start();
    let folder = write(
        &redis,
        &[
            ("good/subject.txt", "Hi"),
            ("good/body.txt", "Hi"),
            ("bad/body.html", "x"),
            ("bad/boddy.txt", "x"),
            ("bad/sample.json", "{\n\"a\": }"),
            ("Upper/subject.txt", "x"),
            ("Upper/body.txt", "x"),
        ],
    );
    let err = redis.run(&["template", "put", &folder]).failed();
    for words in [
        "bad/subject.txt: missing",
        "bad/boddy.txt: unknown file",
        "bad/sample.json, line 2: not JSON",
        "Upper: not the name of a template",
        "nothing was put: mend these first",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    let folder = write(&redis, &[("../two/good/subject.txt", "Hi {{ a"), ("../two/good/body.txt", "x")])
        .replace("/emails", "/two");
    let err = redis.run(&["template", "put", &folder]).failed();
    assert!(err.contains("good/subject.txt, line 1: syntax error"), "{err}");
    assert!(redis.run(&["template", "put", "/nowhere"]).failed().contains("cannot be read"));
    assert_eq!(redis.run(&["template", "list", "--json"]).json(), json!([]));
}

#[test]
fn a_mail_that_names_a_template() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    let given = json!({ "template": "welcome", "variables": { "user": { "name": "Ann" } } });
    assert!(send(&redis, given.clone()).failed().contains("template: no template has been put yet"));
    redis.run(&["template", "put", &welcome(&redis)]).ok();
    let sent = raw(&redis, &send(&redis, given.clone()).ok());
    assert!(sent.contains("Subject: Welcome, Ann!\r\n") && sent.contains("multipart/alternative"), "{sent}");
    let form = json!({ "template": { "id": "plain", "version": 1, "variables": { "code": 42 } }, "subject": "Mine" });
    let sent = raw(&redis, &send(&redis, form).ok());
    assert!(sent.contains("Subject: Mine\r\n") && sent.contains("Your code is 42.\r\n"), "{sent}");
    let spelt = mail(given).replace("\"template\"", "\"t\\u0065mplate\"");
    assert!(raw(&redis, &redis.run_with(&["send", "-"], &[], &spelt).ok()).contains("Welcome, Ann!"));

    let table = [
        (json!({ "template": "welcome", "variables": { "user": {} }, "cc": "x" }), "template: welcome/body.html"),
        (json!({ "template": "welcome", "variables": { "user": {} }, "cc": "x" }), "cc[0]: "),
        (json!({ "template": "plain", "text": "x" }), "text: the template makes the body"),
        (json!({ "template": "plan" }), "template: unknown template \"plan\": did you mean \"plain\"?"),
        (json!({ "template": "plain@2" }), "template: there is no version 2 of plain (any more)"),
        (json!({ "text": "x", "variables": {} }), "variables: no template is named"),
        (json!({ "template": "plain", "from": "x@example.com" }), "from: no account sends as"),
    ];
    for (more, words) in table {
        let err = send(&redis, more).failed();
        let words = words.replace("welcome/body.html", "welcome/subject.txt, line 1: \"user.name\" is undefined");
        assert!(err.contains(&words), "{words}: {err}");
    }
}

#[test]
fn a_second_try_is_the_same_mail_although_the_template_has_changed() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    redis.run(&["template", "put", &welcome(&redis)]).ok();
    let given = |code: u32| json!({ "template": "plain", "variables": { "code": code }, "idempotency_key": "k" });
    let id = send(&redis, given(1)).ok();
    redis.run(&["template", "put", &write(&redis, &[("plain/body.txt", "Another code: {{ code }}.")])]).ok();
    assert_eq!(send(&redis, given(1)).ok(), id);
    assert!(raw(&redis, &id).contains("Your code is 1."));
    let err = send(&redis, given(2)).failed();
    assert!(err.contains("its idempotency key was used for another mail"), "{err}");
    let mut other = given(1);
    other["template"] = json!("plain@2");
    assert!(send(&redis, other).failed().contains("its idempotency key was used for another mail"));
    let body = json!({ "subject": "Hi", "text": "Another code: 1.", "idempotency_key": "k" });
    assert!(send(&redis, body).failed().contains("its idempotency key was used for another mail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_rust() {
    let redis = Redis::start();
    redis.add(&[SHOP]);
    redis.run(&["template", "put", &welcome(&redis)]).ok();
    let client = DirectClient::connect(&redis.url()).await.unwrap();
    let mail = |code: u32| NewMail {
        from: SHOP.into(),
        to: vec!["ann@example.org".into()],
        template: Some("plain".into()),
        variables: Some(json!({ "code": code })),
        ..NewMail::default()
    };
    let id = client.send(mail(1)).await.unwrap().id;
    assert!(raw(&redis, &id.to_string()).contains("Your code is 1."));
    redis.run(&["template", "put", &write(&redis, &[("plain/body.txt", "New: {{ code }}.")])]).ok();
    client.forget_templates().await;
    let mut mails: Vec<NewMail> = (0..100).map(mail).collect();
    mails[7].variables = None;
    mails[8].template = None;
    let sent = client.send_many(mails).await;
    assert!(matches!(&sent[7], Err(SendError::Refused(why)) if why.to_string().contains("\"code\" is undefined")));
    assert!(matches!(&sent[8], Err(SendError::Refused(why)) if why.to_string().contains("no template is named")));
    for (code, one) in sent.iter().enumerate().filter(|(code, _)| ![7, 8].contains(code)) {
        let id = one.as_ref().unwrap().id;
        if code % 33 == 0 {
            assert!(raw(&redis, &id.to_string()).contains(&format!("New: {code}.")));
        }
    }
}
