//! One way to call an SDK, whatever its language: a JSON object that says what to call, and what the SDK made of the answer.
//!
//! Node.js and Python run as processes of their own (`tests/sdks`), which read such objects line by line.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use postroom_it::PATIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::rust;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Node,
    /// A Node.js SDK from before 6.37, which leaves a Buffer to `JSON.stringify`.
    NodeBefore637,
    Python,
    PythonAsync,
    Rust,
}

/// An SDK that was told where `postroom serve` listens.
pub struct Sdk {
    kind: Kind,
    url: String,
    driver: Option<Mutex<Driver>>,
}

/// What an SDK gave back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub data: Value,
    pub error: Option<Failure>,
    /// In lower case; nothing from Rust, whose SDK hides them.
    pub headers: Value,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub status: u64,
    pub name: String,
    pub message: String,
    /// All of it as the SDK shows it.
    pub all: Value,
}

struct Driver {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// The folder of the scripts.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdks")
}

/// The Python with the SDK.
pub fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/sdks/bin/python")
}

impl Sdk {
    pub fn start(kind: Kind, url: &str) -> Self {
        let script = |name| scripts().join(name).into_os_string();
        let driver = match kind {
            Kind::Node => Some(("node".into(), vec![script("driver.mjs"), "resend".into()])),
            Kind::NodeBefore637 => Some(("node".into(), vec![script("driver.mjs"), "resend-6.34".into()])),
            Kind::Python => Some((python(), vec![script("driver.py"), "sync".into()])),
            Kind::PythonAsync => Some((python(), vec![script("driver.py"), "async".into()])),
            Kind::Rust => None,
        };
        let driver = driver.map(|(program, arguments)| {
            let mut command = Command::new(program);
            // Nothing of the environment may lead an SDK elsewhere.
            command.args(arguments).arg(url).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
            let mut child = command.spawn().expect("the SDK's language: `make test-sdks` installs what is needed");
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            Mutex::new(Driver { _child: child, input, output: BufReader::new(output).lines() })
        });
        Self { kind, url: url.to_owned(), driver }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Calls it with this key, whatever comes of it.
    pub async fn call(&self, key: &str, mut call: Value) -> Answer {
        call["key"] = key.into();
        let Some(driver) = &self.driver else { return rust::call(&self.url, key, &call).await };
        let mut driver = driver.lock().await;
        driver.input.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        let line = tokio::time::timeout(PATIENCE, driver.output.next_line()).await.expect("the SDK's answer").unwrap();
        let answer: Value =
            serde_json::from_str(&line.expect("the SDK's process ended: see its standard error")).unwrap();
        Answer::of(answer["data"].clone(), &answer["error"], answer["headers"].clone())
    }
}

impl Answer {
    pub fn of(data: Value, error: &Value, headers: Value) -> Self {
        let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
        let failure = || Failure {
            status: error["statusCode"].as_u64().unwrap_or_default(),
            name: text("name"),
            message: text("message"),
            all: error.clone(),
        };
        Self { data, error: (!error.is_null()).then(failure), headers }
    }

    /// What came of a call that must succeed.
    #[track_caller]
    pub fn data(self) -> Value {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.data
    }

    /// The id that a call which must succeed gave.
    #[track_caller]
    pub fn id(self) -> String {
        self.data()["id"].as_str().expect("an id").to_owned()
    }

    /// Why a call that must fail did, with the status and name that it must have.
    #[track_caller]
    pub fn refused(self, status: u64, name: &str) -> Failure {
        let failure = self.error.unwrap_or_else(|| panic!("it went well: {}", self.data));
        assert_eq!((failure.status, failure.name.as_str()), (status, name), "{failure:?}");
        failure
    }

    /// A header that must be a whole number.
    #[track_caller]
    pub fn number(&self, header: &str) -> u64 {
        let value = &self.headers[header];
        value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{header}: {value}"))
    }
}

/// The call that sends a mail.
pub fn send(given: &Value) -> Value {
    json!({ "op": "send", "given": given })
}

/// The same with an idempotency key.
pub fn send_once(given: &Value, key: &str) -> Value {
    json!({ "op": "send", "given": given, "idempotency_key": key })
}

pub fn get(id: &str) -> Value {
    json!({ "op": "get", "id": id })
}
