//! `postroom account login` as a person sees it: a real browser on the sandbox's consent page. `make test-browser`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what failed by failing")]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

mod driver;

use std::time::{Duration, Instant};

use driver::Browser;
use postroom_it::{Login, PATIENCE, Process, Rig, mail_json, secrets_in};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

/// What a person does on the consent page before a button is pressed.
enum Choice {
    AsOffered,
    Untick,
    Type(&'static str),
}

const ASKS: &str = "An app wants to use a mailbox";

/// Opens the consent page, chooses, presses a button; answers what the page says on which the person ends.
async fn consent(browser: &Browser, login: &Login, choice: Choice, button: &str) -> String {
    browser.open(&login.url).await.unwrap();
    browser.text_once(|text| text.contains(ASKS) && text.contains(ALICE)).await.unwrap();
    match choice {
        Choice::AsOffered => {}
        Choice::Untick => browser.click("input[name=mail]").await.unwrap(),
        Choice::Type(address) => browser.type_into("input[name=other]", address).await.unwrap(),
    }
    browser.click(&format!("button[value={button}]")).await.unwrap();
    let page = browser.text_once(|text| !text.is_empty() && !text.contains(ASKS)).await.unwrap();
    let source = browser.source().await.unwrap();
    assert_eq!(secrets_in(&source), Vec::<&str>::new(), "{source}");
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_usable_within_a_minute() {
    let rig = Rig::start().await.unwrap();
    let browser = Browser::start().await.unwrap();
    let began = Instant::now();
    let login = Login::start(&rig, &[ALICE, "--no-browser"], &[]).await.unwrap();
    let page = consent(&browser, &login, Choice::AsOffered, "allow").await;
    assert!(page.contains("The account is logged in. You may close this window."), "{page}");
    let (code, log) = login.ended().await.unwrap();
    assert!(code == Some(0) && log.contains("alice@example.com (consumer) added"), "{log}");

    let mail = mail_json(ALICE, "carol@example.org", "Hello").to_string();
    assert_eq!(rig.postroom_with(&["send", "-"], mail.as_bytes()).await.unwrap().code, Some(0));
    let mut worker = rig.worker(&[]).unwrap();
    assert!(rig.sandbox.wait_for_mails(1, PATIENCE).await, "{}", worker.log());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "from the command to the mail: {took:?}");
    worker.stop().await.unwrap();

    // The same person, another mailbox: the page offers both now, and who types an address means it.
    let login = Login::start(&rig, &[BOB, "--no-browser"], &[]).await.unwrap();
    let page = consent(&browser, &login, Choice::AsOffered, "allow").await;
    assert!(page.contains("You may close this window"), "{page}");
    assert_eq!(login.ended().await.unwrap().0, Some(0));
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_is_told_in_the_browser_and_at_the_terminal() {
    let rig = Rig::start().await.unwrap();
    let browser = Browser::start().await.unwrap();
    for (choice, button, sentence, advice) in [
        (Choice::AsOffered, "deny", "the consent was denied in the browser", "log in again and choose \"Allow\""),
        (Choice::Untick, "allow", "the consent does not cover mail", "log in again and tick it"),
        (Choice::Type(BOB), "allow", "the consent is not of the mailbox that was named", "choose that very account"),
    ] {
        let login = Login::start(&rig, &[ALICE, "--no-browser"], &[]).await.unwrap();
        let page = consent(&browser, &login, choice, button).await;
        assert!(page.starts_with("Not logged in") && page.contains(sentence) && page.contains(advice), "{page}");
        let (code, log) = login.ended().await.unwrap();
        let told = log.lines().last().unwrap();
        assert!(code == Some(1) && told.contains(sentence) && told.contains(advice), "{log}");
    }

    // The person looks at the page and does nothing.
    let login = Login::start(&rig, &[ALICE, "--no-browser", "--timeout", "2s"], &[]).await.unwrap();
    browser.open(&login.url).await.unwrap();
    let (code, log) = login.ended().await.unwrap();
    assert!(code == Some(1) && log.contains("no answer came from the browser within 2 s"), "{log}");
    // Who consents after that meets a closed door, and nothing is stored.
    let _refused_in_some_way = browser.click("button[value=allow]").await;
    let page = browser.text_once(|text| !text.contains(ASKS)).await.unwrap();
    assert!(!page.contains("logged in"), "{page}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let arguments = ["account", "login", ALICE, "--no-browser", "--port", &port];
    let (code, log) = Process::start("postroom", &arguments, &rig.environment).unwrap().ended(PATIENCE).await.unwrap();
    assert!(code == Some(1) && log.contains(&format!("port {port} of 127.0.0.1 is taken by another program")), "{log}");

    assert_eq!(rig.queue().await.unwrap().accounts().await.unwrap(), []);
    browser.close().await.unwrap();
}
