//! The program: the files that it writes, and that it stops when told to.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn it_writes_its_files_once_it_listens_and_stops_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_postroom-sandbox"))
        .args(["--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(first.contains("stand-in for Gmail"), "{first}");

    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    let ca = dir.path().join("ca.pem");
    assert!(env.contains("export POSTROOM_SMTP_URL='smtps://smtp.gmail.com:465?connect=127.0.0.1:"), "{env}");
    assert!(env.contains("export POSTROOM_IMAP_URL='imaps://imap.gmail.com:993?connect=127.0.0.1:"), "{env}");
    assert!(!env.contains(":4493'"), "a free port, as for SMTP: {env}");
    assert!(env.contains("export POSTROOM_TOKEN_URL='http://127.0.0.1:"), "{env}");
    assert!(env.contains("export POSTROOM_AUTH_URL='http://127.0.0.1:") && env.contains("/o/oauth2/v2/auth'"), "{env}");
    assert!(env.contains(&format!("export POSTROOM_TLS_CA_FILE='{}'", ca.display())), "{env}");
    assert!(env.contains("export POSTROOM_CLIENT_ID='sandbox-client'"), "{env}");
    assert!(env.contains("export POSTROOM_CLIENT_SECRET='sandbox-secret'"), "{env}");
    assert!(std::fs::read_to_string(ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half-written is left");

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(20), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}
