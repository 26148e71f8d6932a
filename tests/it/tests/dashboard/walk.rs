//! An operator's walk: search, a filtered set retried, an account held and resumed, what is live; then each page's looks.

use postroom_it::{PATIENCE, until};
use postroom_shared::account::AccountId;
use postroom_shared::queue::{DeadFilter, ListFilter, MailStatus, Queue};
use serde_json::json;

use crate::stage::{SHOP, Stage, root};
use crate::window::{choose, has_dialog, holds, look, picture, reads, run, serious};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_searches_retries_holds_and_resumes() {
    let stage = Stage::start().await;
    let (browser, queue) = (&stage.browser, stage.rig.queue().await.unwrap());
    let key = stage.rig.key(&["create", "ops", "--scope", "operate"]).await.unwrap();
    stage.log_in(&key).await;

    // The search is one key away, and finds a mail by its recipient.
    browser.type_into("body", "/").await.unwrap();
    holds(browser, "document.activeElement.id === 'q'").await.unwrap();
    browser.type_into("#q", "ann3@example.org\u{e007}").await.unwrap();
    let found = reads(browser, "Your order 1003").await.unwrap();
    assert!(!found.contains("Your order 1004"), "{found}");
    browser.click("table.mails td a").await.unwrap();
    let mail = reads(browser, "What happened").await.unwrap();
    assert!(mail.contains("250 ") && mail.contains("Handed over"), "{mail}");

    retry_a_filtered_set(&stage, &queue).await;
    hold_and_resume(&stage, &queue).await;

    // What is live changes by itself.
    browser.open(&stage.at("")).await.unwrap();
    holds(browser, "document.getElementById('live').dataset.state === 'live'").await.unwrap();
    stage.send(json!({ "from": crate::stage::NEWS, "to": ["bob@example.org"], "subject": "One more" })).await;
    let tile = "document.querySelector('.tiles dd').textContent";
    holds(browser, &format!("{tile} === '5'")).await.unwrap();

    // A viewer is offered nothing of all that.
    browser.click(".who button").await.unwrap();
    reads(browser, "API key").await.unwrap();
    let viewer = stage.rig.key(&["create", "viewer", "--scope", "read"]).await.unwrap();
    stage.log_in(&viewer).await;
    let shop: AccountId = SHOP.parse().unwrap();
    browser.open(&stage.at(&format!("/accounts/{}", shop.hashed()))).await.unwrap();
    let page = reads(browser, "Budget and lane").await.unwrap();
    assert!(!page.contains("Hold it") && !page.contains(SHOP) && page.contains("s***@example.com"), "{page}");
    assert!(!has_dialog(browser).await);
    stage.browser.close().await.unwrap();
}

async fn retry_a_filtered_set(stage: &Stage, queue: &Queue) {
    let browser = &stage.browser;
    // Dead letters by a filter, which changes the list without a new page; then all that fit.
    browser.open(&stage.at("/dead")).await.unwrap();
    reads(browser, "5 fit").await.unwrap();
    choose(browser, "age", "1h").await.unwrap();
    holds(browser, "location.search.includes('age=1h')").await.unwrap();
    choose(browser, "reason", "quota").await.unwrap();
    reads(browser, "No dead letter fits.").await.unwrap();
    choose(browser, "reason", "recipient").await.unwrap();
    reads(browser, "5 fit").await.unwrap();
    browser.click(".actions button.main").await.unwrap();
    reads(browser, "5 dead letters fit").await.unwrap();
    browser.click(".actions button.main").await.unwrap();
    reads(browser, "5 dead letters put back into the queue.").await.unwrap();
    until("the mails to be tried again", PATIENCE, || async {
        let list = queue.list(&ListFilter { limit: 50, ..Default::default() }).await?;
        let mut bounced = Vec::new();
        for mail in list.iter().filter(|mail| mail.test) {
            bounced.extend(queue.mail(mail.id).await?);
        }
        let tries = |mail: &MailStatus| mail.timeline.iter().filter(|one| one.what.attempt().is_some()).count();
        Ok((bounced.len() == 5 && bounced.iter().all(|mail| tries(mail) == 2)).then_some(()))
    })
    .await
    .unwrap();
}

async fn hold_and_resume(stage: &Stage, queue: &Queue) {
    let browser = &stage.browser;
    let shop: AccountId = SHOP.parse().unwrap();
    browser.open(&stage.at(&format!("/accounts/{}", shop.hashed()))).await.unwrap();
    browser.click("form[action$='/hold'] button").await.unwrap();
    reads(browser, "The account is held").await.unwrap();
    assert!(queue.account(&shop).await.unwrap().unwrap().hold().is_some());
    browser.click("form[action$='/resume'] button").await.unwrap();
    reads(browser, "The account may send again").await.unwrap();
    assert!(queue.account(&shop).await.unwrap().unwrap().hold().is_none());
}

/// Each page, what stands on it, and the name of its picture.
async fn pages(stage: &Stage) -> Vec<(String, &'static str, &'static str)> {
    let queue = stage.rig.queue().await.unwrap();
    let dead = queue.dead(&DeadFilter { limit: 1, ..Default::default() }).await.unwrap();
    let shop: AccountId = SHOP.parse().unwrap();
    vec![
        (stage.at(""), "What waits, and why", "overview"),
        (stage.at("/mails"), "Your order 1001", "mails"),
        (stage.at(&format!("/mails/{}", dead.mails[0].id)), "It means", "mail"),
        (stage.at("/dead"), "5 fit", "dead-letters"),
        (stage.at("/dead/retry?age=24h"), "New deadline", "retry"),
        (stage.at("/accounts"), "Why it waits", "accounts"),
        (stage.at(&format!("/accounts/{}", shop.hashed())), "Budget and lane", "account"),
        (stage.at("/templates"), "welcome", "templates"),
        (stage.at("/templates/welcome"), "With its sample data", "template"),
        (stage.at("/workers"), "Mails in hand", "workers"),
        (stage.at("/keys"), "A new key", "keys"),
        (stage.at("/audit"), "session.login", "audit"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_page_is_for_everybody_on_every_screen() {
    let stage = Stage::start().await;
    let browser = &stage.browser;
    let axe = root().join("tests/dashboard/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("make test-dashboard installs axe-core");
    // The docs' pictures are made anew only when somebody asks for it: they show times.
    let kept = std::env::var_os("UPDATE_IMAGES").map(|_| root().join("docs/images"));
    let folder = kept.unwrap_or_else(|| stage.rig.folder().to_owned());
    browser.open(&stage.at("/login")).await.unwrap();
    assert_eq!(serious(browser, &axe).await.unwrap(), Vec::<String>::new(), "login");
    stage.log_in(&stage.api.key).await;
    let mut bad = Vec::new();
    for (width, height, scheme) in [(1_100, 680, "light"), (1_100, 680, "dark"), (390, 780, "light")] {
        look(browser, (width, height), scheme).await.unwrap();
        for (url, words, name) in pages(&stage).await {
            browser.open(&url).await.unwrap();
            reads(browser, words).await.unwrap();
            let found = serious(browser, &axe).await.unwrap();
            bad.extend(found.into_iter().map(|line| format!("{name}, {width}, {scheme}: {line}")));
            let wide =
                run(browser, "return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    .await;
            let wide = wide.unwrap().as_i64().unwrap();
            if wide > 0 {
                bad.push(format!("{name}, {width}: {wide} pixels too wide"));
            }
            let shown = match (width, scheme, name) {
                (
                    1_100,
                    "light",
                    "overview" | "mails" | "mail" | "dead-letters" | "accounts" | "account" | "template" | "workers"
                    | "keys" | "audit",
                ) => name.to_owned(),
                (1_100, "dark", "overview" | "mail") => format!("{name}-dark"),
                (390, _, "overview" | "mail") => format!("{name}-phone"),
                _ => continue,
            };
            picture(browser, &folder, &shown).await.unwrap();
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));

    // Every page begins with a way past its head, for whoever has no pointer.
    browser.type_into("body", "\u{e004}").await.unwrap();
    holds(browser, "document.activeElement.className === 'skip'").await.unwrap();
    stage.browser.close().await.unwrap();
}
