//! Against mail servers that others wrote. `make test-servers` installs them and runs this.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what failed by failing")]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

mod dovecot;
mod oauth2;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine;
use postroom_it::{PATIENCE, Rig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const ALICE: &str = "alice@example.com";

/// A server of npm's, with what it tells.
struct Server {
    _child: Child,
    events: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Server {
    /// npm's smtp-server; the file `token` of the folder says which access token it takes.
    async fn smtp(folder: &Path) -> Self {
        Self::start("smtp-server.mjs", &["key.pem", "cert.pem", "token"].map(|name| folder.join(name))).await
    }

    async fn start(script: &str, arguments: &[PathBuf]) -> Self {
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers");
        let mut child = Command::new("node")
            .arg(servers.join(script))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js: `make test-servers` needs it");
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Self { _child: child, events, port: 0 };
        server.port = server.next("port").await.as_u64().unwrap();
        server
    }

    /// The next event of a kind.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.events.next_line()).await.expect(kind).unwrap().expect(kind);
            let mut event: Value = serde_json::from_str(&line).unwrap();
            if let Some(value) = event.get_mut(kind) {
                return value.take();
            }
        }
    }
}

/// A certificate authority, and a certificate of it for Gmail's servers.
fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["smtp", "imap"].map(|name| format!("{name}.gmail.com"))).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    std::fs::write(folder.join("other-ca.pem"), root.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), leaf.pem()).unwrap();
}

/// The README's way, by its commands, to npm's smtp-server. Only the token endpoint is the sandbox's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_smtp_server_gets_the_mail_after_a_refused_login() {
    let rig = Rig::start().await.unwrap();
    write_certificates(rig.folder());
    std::fs::write(rig.folder().join("token"), "not known yet").unwrap();
    let mut server = Server::smtp(rig.folder()).await;
    let url = format!("smtps://smtp.gmail.com:465?connect=127.0.0.1:{}", server.port);
    let roots = rig.folder().join("other-ca.pem");
    let settings = [
        ("POSTROOM_SMTP_URL", url.as_str()),
        ("POSTROOM_TLS_CA_FILE", roots.to_str().unwrap()),
        ("POSTROOM_REFRESH_TOKEN", "sandbox-refresh:alice@example.com"),
    ];
    let environment = rig.with(&settings);
    let postroom = |arguments: &'static [&'static str], input: Vec<u8>| {
        let environment = environment.clone();
        async move { postroom_it::run("postroom", arguments, &environment, &input).await.unwrap() }
    };
    let added = postroom(&["account", "add", ALICE], Vec::new()).await;
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let mail = json!({
        "from": ALICE, "to": ["bob@example.org", "gone@example.org"], "subject": "Grüße 🎉",
        "text": ".dot\n..\nto a server of another make\n", "html": "<p>to a server of another make</p>"
    });
    let sent = postroom(&["send", "-"], mail.to_string().into_bytes()).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let id = sent.stdout.trim().to_owned();

    // The first token is not the one that the server wants; the login is refused, and the token refreshed by force.
    let worker = rig.worker(&settings).unwrap();
    let refused = server.next("login").await;
    assert_eq!(refused, json!({ "user": ALICE, "accepted": false }), "{}", worker.log());
    let hold = postroom_it::until("the account to be held", PATIENCE, || async {
        let shown = postroom_it::run("postroom", &["account", "show", ALICE, "--json"], &environment, b"").await?;
        Ok(shown.stdout.contains("535").then_some(shown.stdout))
    })
    .await
    .unwrap();
    assert!(hold.contains("consent"), "{hold}");

    // Now the server learns which token is good, and a person says that the account may go on.
    let store = rig.store().await.unwrap();
    let token = current_token(&store, &rig).await;
    std::fs::write(rig.folder().join("token"), token).unwrap();
    assert_eq!(postroom(&["account", "resume", ALICE], Vec::new()).await.code, Some(0));
    let received = server.next("mail").await;
    assert_eq!(received["to"], json!(["bob@example.org"]));
    let bytes = base64::engine::general_purpose::STANDARD.decode(received["bytes"].as_str().unwrap()).unwrap();
    let queue = rig.queue().await.unwrap();
    let id = id.parse().unwrap();
    let frozen = postroom_it::until("the refused recipient's dead letter", PATIENCE, || async {
        Ok(queue.mail(id).await?.filter(|status| status.state.is_final()))
    })
    .await
    .unwrap();
    let fates: Vec<_> = frozen.recipients.iter().map(|recipient| recipient.fate.as_str()).collect();
    assert_eq!(fates, ["delivered", "refused"], "{}", worker.log());
    assert_eq!(bytes, queue.mail_bytes(id).await.unwrap().unwrap());
}

/// The access token that the fleet shares.
async fn current_token(store: &postroom_shared::store::Store, rig: &Rig) -> String {
    use postroom_shared::settings::{Source, TlsSettings, TokenSettings};
    use postroom_shared::tokens::{Sealer, Tokens};
    use secrecy::ExposeSecret;
    let settings = TokenSettings::read(&mut Source::from_pairs(rig.environment.iter().cloned()));
    let sealer = std::sync::Arc::new(Sealer::from_settings(&settings).unwrap());
    let tokens = Tokens::new(store.clone(), sealer, &settings, &TlsSettings::default()).unwrap();
    tokens.access(&ALICE.parse().unwrap()).await.unwrap().secret().expose_secret().to_owned()
}
