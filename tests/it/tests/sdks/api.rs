//! A whole Postroom with its HTTP API: Redis, the sandbox, a worker, `postroom serve`, a key, and an SDK that was told of them.

use std::net::TcpListener;
use std::time::Duration;

use postroom_it::{PATIENCE, Process, Rig, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::sdk::{Answer, Kind, Sdk, get};

/// The account that sends.
pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.org";

pub struct Api {
    pub rig: Rig,
    pub sdk: Sdk,
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// A key that may do everything.
    pub key: String,
    serve: Process,
    worker: Process,
}

impl Api {
    pub async fn start(kind: Kind) -> Self {
        let mut rig = Rig::start().await.unwrap();
        rig.add_account(ALICE).await.unwrap();
        let address = free_address();
        let url = format!("http://{address}");
        rig.environment.push(("POSTROOM_LISTEN".to_owned(), address.clone()));
        let serve = Process::start("postroom", &["serve"], &rig.environment).unwrap();
        let listening = || async { Ok(TcpStream::connect(&address).await.ok()) };
        if let Err(error) = until("`postroom serve` to listen", PATIENCE, listening).await {
            panic!("{error}: {}", serve.log());
        }
        let worker = rig.worker(&[("POSTROOM_RETRY_BASE", "50ms")]).unwrap();
        let sdk = Sdk::start(kind, &url);
        let mut api = Self { rig, sdk, url, key: String::new(), serve, worker };
        api.key = api.new_key(&["all", "--admin"]).await;
        api
    }

    /// A new key, by the command that gives one.
    pub async fn new_key(&self, arguments: &[&str]) -> String {
        let made = self.rig.postroom(&[&["key", "create"], arguments].concat()).await.unwrap();
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.stdout.trim().to_owned()
    }

    /// Calls the SDK with the key that may do everything.
    pub async fn call(&self, call: Value) -> Answer {
        self.sdk.call(&self.key, call).await
    }

    /// The mail as the SDK shows it.
    pub async fn mail(&self, id: &str) -> Value {
        self.call(get(id)).await.data()
    }

    /// The mail as the SDK shows it, once that is its last event.
    pub async fn mail_in(&self, id: &str, event: &str) -> Value {
        let asked = || async {
            let mail = self.mail(id).await;
            // Rust's SDK holds itself back to a few requests a second, but not across clients.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok((mail["last_event"] == event).then_some(mail))
        };
        match until(&format!("{id} to be {event}"), PATIENCE, asked).await {
            Ok(mail) => mail,
            Err(error) => panic!("{error}: {}\n{}\n{}", self.mail(id).await, self.serve.log(), self.worker.log()),
        }
    }

    /// What the processes wrote.
    pub fn logs(&self) -> String {
        format!("{}{}", self.serve.log(), self.worker.log())
    }
}

/// An address of this machine that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
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
