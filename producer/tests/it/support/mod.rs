//! A private Redis, and the built program run against it.

pub(crate) mod wire;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A key for sealing; any 32 bytes.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const CREDENTIALS: [(&str, &str); 4] = [
    ("POSTROOM_SECRET_KEY", KEY),
    ("POSTROOM_CLIENT_ID", "the-client-id"),
    ("POSTROOM_CLIENT_SECRET", "the-client-secret"),
    ("POSTROOM_REFRESH_TOKEN", "the-refresh-token"),
];

/// A Redis of its own, which ends with the test, and a folder for files.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The output, if the command did what it should without a word on standard error.
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The output as JSON.
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// What it complained about.
    pub(crate) fn failed(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{}", self.err);
        self.err
    }
}

impl Redis {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(log.any(|line| line.unwrap().contains("Ready to accept connections")));
        Self { child, port, folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[], "")
    }

    /// Adds an account, as an operator does.
    pub(crate) fn add(&self, arguments: &[&str]) -> String {
        self.run_with(&[&["account", "add"], arguments].concat(), &CREDENTIALS, "").ok()
    }

    /// Runs the program with nothing in its environment but what is given.
    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
        let mut child = self.command(arguments).envs(environment.iter().copied()).spawn().unwrap();
        // A program that fails early does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) };
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
        for secret in [KEY, "the-client-secret", "the-refresh-token"] {
            assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "{} {}", ran.out, ran.err);
        }
        for word in ran.err.split_whitespace().filter(|word| word.contains('@') && word.len() > 1) {
            assert!(word.contains("***@") || word.contains("@b.example"), "an address in the clear: {}", ran.err);
        }
        ran
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postroom"));
        command.args(arguments).env_clear().env("POSTROOM_REDIS_URL", self.url());
        command.current_dir(Path::new(self.folder.path()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
