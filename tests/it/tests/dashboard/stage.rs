//! A Postroom with something to look at: accounts, mails in every state, a template, workers.

use std::path::{Path, PathBuf};

use postroom_it::{Api, PATIENCE, Process, Rig, until};
use postroom_shared::account::{Account, AccountId, Pause};
use postroom_shared::reason::Reason;
use serde_json::{Value, json};

use crate::driver::Browser;

pub(crate) const SHOP: &str = "shop@example.com";
pub(crate) const NEWS: &str = "news@example.com";

pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) api: Api,
    pub(crate) browser: Browser,
    _worker: Process,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Stage {
    /// Starts all of it; 12 mails are sent, 5 are dead letters, some wait for an account that is held, and one for its time.
    pub(crate) async fn start() -> Self {
        let rig = Rig::start().await.unwrap();
        let queue = rig.queue().await.unwrap();
        for address in [SHOP, NEWS, "billing@example.com"] {
            let id = rig.add_account(address).await.unwrap();
            queue.change_account(&Account { limit: Some(500), ..Account::new(id) }).await.unwrap();
        }
        let api = rig.serve_dashboard("on").await.unwrap();
        let template = json!({ "name": "welcome", "subject": "Welcome, {{ name }}", "sample": { "name": "Ann" },
            "html": "<h1>Welcome</h1><p>Hello {{ name }}, good to see you.</p>" });
        assert_eq!(api.post("/templates", &template).await.unwrap().status, 200);
        let news: AccountId = NEWS.parse().unwrap();
        let words = "535 5.7.8 Username and Password not accepted";
        queue.hold(&news, Reason::Consent, words, Pause::UntilAPerson).await.unwrap();
        let stage = Self { browser: Browser::start().await.unwrap(), _worker: rig.worker(&[]).unwrap(), rig, api };
        for number in 0..12 {
            let to = format!("ann{number}@example.org");
            stage
                .send(json!({ "to": [to], "subject": format!("Your order {}", 1_000 + number),
                "tags": [{ "name": "order", "value": (1_000 + number).to_string() }] }))
                .await;
        }
        for number in 0..5 {
            let to = format!("bounced+{number}@postroom.test");
            stage.send(json!({ "to": [to], "subject": format!("Invoice {number}") })).await;
        }
        for number in 0..3 {
            stage.send(json!({ "from": NEWS, "to": ["bob@example.org"], "subject": format!("News {number}") })).await;
        }
        stage.send(json!({ "to": ["carol@example.org"], "subject": "Tomorrow", "scheduled_at": "in 1 day" })).await;
        until("the mails to be sent or dead", PATIENCE, || async {
            let states = stage.rig.queue().await?.stats().await?.states;
            Ok((states["sent"] == 12 && states["dead"] == 5).then_some(()))
        })
        .await
        .unwrap();
        stage
    }

    /// Hands a mail over; answers its id.
    pub(crate) async fn send(&self, mail: Value) -> String {
        let mut whole =
            json!({ "from": SHOP, "html": "<h1>Thank you</h1><p>It is on its way.</p>", "text": "Thank you." });
        whole.as_object_mut().unwrap().extend(mail.as_object().unwrap().clone());
        let sent = self.api.post("/emails", &whole).await.unwrap();
        assert_eq!(sent.status, 200, "{sent:?}");
        sent.text("id").to_owned()
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/dashboard{path}", self.api.base)
    }

    /// Logs in as a person does.
    pub(crate) async fn log_in(&self, key: &str) {
        self.browser.open(&self.at("/login")).await.unwrap();
        self.browser.type_into("#key", key).await.unwrap();
        self.browser.click("button[type=submit]").await.unwrap();
        crate::window::reads(&self.browser, "What waits, and why").await.unwrap();
    }
}
