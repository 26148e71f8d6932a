//! A mail that tries everything, in a real browser: nothing of it runs, nothing is asked for, no dialog opens.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;

use crate::stage::Stage;
use crate::window::{has_dialog, holds, reads, run};

/// Writes down whatever it is asked for.
async fn trap() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let written = Arc::clone(&written);
            tokio::spawn(async move {
                // A connection alone is too much, too: it is written down before anything is read.
                let place = push(&written, "a connection".to_owned());
                let mut line = String::new();
                let _ = BufReader::new(stream).read_line(&mut line).await;
                written.lock().unwrap()[place] = format!("a connection: {line}");
            });
        }
    });
    (address, asked)
}

fn push(written: &Mutex<Vec<String>>, line: String) -> usize {
    let mut lines = written.lock().unwrap();
    lines.push(line);
    lines.len() - 1
}

fn html(trap: &str) -> String {
    let own = "top.owned = parent.owned = 1; top.document.title = 'owned'; alert(1)";
    format!(
        "<base href='{trap}/base/'><link rel=preconnect href='{trap}'><link rel=dns-prefetch href='{trap}'>\
         <link rel=stylesheet href='{trap}/a.css'><link rel=prefetch href='{trap}/p'>\
         <meta http-equiv=refresh content='0;url={trap}/refresh'><style>@import '{trap}/b.css'; body {{ background: url({trap}/bg) }}\
         @font-face {{ font-family: x; src: url({trap}/font) }} p {{ font-family: x }}</style>\
         <script>{own}</script><script src='{trap}/s.js'></script><img src='{trap}/i.png' onerror=\"{own}\">\
         <img srcset='{trap}/j.png 1x'><svg onload=\"{own}\"><image href='{trap}/k.png'/><use href='{trap}/u.svg#x'/></svg>\
         <iframe src='{trap}/frame'></iframe><iframe srcdoc=\"<script>{own}</script>\"></iframe><object data='{trap}/o'></object>\
         <embed src='{trap}/e'><video src='{trap}/v' poster='{trap}/w' autoplay></video><audio src='{trap}/x' autoplay></audio>\
         <form id=f action='{trap}/form'><input autofocus onfocus=\"{own}\"></form><a href='javascript:{own}'>a</a>\
         <a id=leave href='{trap}/leave' ping='{trap}/ping'>leave</a><p>the end of it</p>"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_mail_does_nothing() {
    let stage = Stage::start().await;
    let browser = &stage.browser;
    let (trap, asked) = trap().await;
    let evil = format!(
        "\"'></title></textarea></script><script>top.owned=1;alert(1)</script><img src={trap}/f onerror=alert(2)>"
    );
    let name = format!("\"{}\"", evil.replace('"', "\\\""));
    let mail = json!({
        "from": format!("{name} <{}>", crate::stage::NEWS), "to": [format!("{name} <ann@example.org>")],
        "subject": evil, "text": evil, "html": html(&trap), "attachments": [{ "filename": evil, "content": "aGk=" }],
    });
    let id = stage.send(mail).await;
    stage.rig.key(&["create", "<script>top.owned=1</script><b onclick=x>"]).await.unwrap();
    stage.log_in(&stage.api.key).await;
    for (path, words) in [
        ("".to_owned(), "What waits, and why"),
        ("/mails".to_owned(), "<script>"),
        (format!("/mails/{id}"), "What it says"),
        (format!("/mails/{id}/source"), "Back to the mail"),
        ("/keys".to_owned(), "<script>top.owned=1"),
        (format!("/mails/{id}/preview"), "the end of it"),
    ] {
        browser.open(&stage.at(&path)).await.unwrap();
        reads(browser, words).await.unwrap();
        if path == format!("/mails/{id}") {
            // The frame is read when it comes into view.
            run(browser, "document.querySelector('iframe').scrollIntoView()").await.unwrap();
            holds(browser, "performance.getEntriesByType('resource').some((one) => one.name.endsWith('/preview') && one.responseEnd > 0)")
                .await
                .unwrap();
        }
        holds(browser, "document.readyState === 'complete'").await.unwrap();
        assert!(!has_dialog(browser).await, "{path}");
        assert_eq!(run(browser, "return window.owned ?? null").await.unwrap(), Value::Null, "{path}");
        let title = run(browser, "return document.title").await.unwrap();
        assert!(title != "owned", "{path}: {title}");
        assert!(!browser.source().await.unwrap().contains("<link rel=\"preconnect\""), "{path}");
        assert_eq!(*asked.lock().unwrap(), Vec::<String>::new(), "{path}");
    }
    // A click on the mail's own link leads nowhere either.
    browser.open(&stage.at(&format!("/mails/{id}"))).await.unwrap();
    reads(browser, "What it says").await.unwrap();
    run(browser, "document.querySelector('iframe').scrollIntoView()").await.unwrap();
    let frame = browser.ask("POST", "/element", &json!({ "using": "css selector", "value": "iframe" })).await.unwrap();
    browser.ask("POST", "/frame", &json!({ "id": frame })).await.unwrap();
    reads(browser, "the end of it").await.unwrap();
    browser.click("#leave").await.unwrap();
    browser.ask("POST", "/frame", &json!({ "id": null })).await.unwrap();
    browser.open(&stage.at("")).await.unwrap();
    reads(browser, "What waits, and why").await.unwrap();
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    stage.browser.close().await.unwrap();
}
