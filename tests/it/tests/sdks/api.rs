//! A whole Postroom with its HTTP API: Redis, the sandbox, a worker, `postroom serve`, a key, and an SDK that was told of them.

use postroom_it::{PATIENCE, Process, Rig, until};
use serde_json::{Value, json};

use crate::sdk::{Answer, Kind, Sdk, get};

/// The account that sends.
pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.org";

pub struct Api {
    pub rig: Rig,
    pub server: postroom_it::Api,
    pub sdk: Sdk,
    worker: Process,
}

impl Api {
    pub async fn start(kind: Kind) -> Self {
        let rig = Rig::start().await.unwrap();
        rig.add_account(ALICE).await.unwrap();
        let server = rig.serve(&[]).await.unwrap();
        let worker = rig.worker(&[("POSTROOM_RETRY_BASE", "50ms")]).unwrap();
        let sdk = Sdk::start(kind, &server.base);
        Self { rig, server, sdk, worker }
    }

    /// A new key, by the command that gives one.
    pub async fn new_key(&self, arguments: &[&str]) -> String {
        self.rig.key(&[&["create"], arguments].concat()).await.unwrap()
    }

    /// Calls the SDK with the key that may do everything.
    pub async fn call(&self, call: Value) -> Answer {
        self.sdk.call(&self.server.key, call).await
    }

    /// The mail as the SDK shows it.
    pub async fn mail(&self, id: &str) -> Value {
        self.call(get(id)).await.data()
    }

    /// The mail as the SDK shows it, once that is its last event.
    pub async fn mail_in(&self, id: &str, event: &str) -> Value {
        let asked = || async {
            let mail = self.mail(id).await;
            Ok((mail["last_event"] == event).then_some(mail))
        };
        match until(&format!("{id} to be {event}"), PATIENCE, asked).await {
            Ok(mail) => mail,
            Err(error) => {
                panic!("{error}: {}\n{}\n{}", self.mail(id).await, self.server.process.log(), self.worker.log())
            }
        }
    }

    /// What the processes wrote.
    pub fn logs(&self) -> String {
        format!("{}{}", self.server.process.log(), self.worker.log())
    }
}

/// A plain mail.
pub fn mail(subject: &str) -> Value {
    json!({ "from": ALICE, "to": [BOB], "subject": subject, "text": "Hello" })
}

/// A mail with further fields, which win.
pub fn mail_with(subject: &str, further: Value) -> Value {
    let mut mail = mail(subject);
    let Value::Object(further) = further else { panic!("no object") };
    mail.as_object_mut().unwrap().extend(further);
    mail
}
