//! Dovecot, an IMAP server of another make: the worker's look into Sent, with XOAUTH2 that Dovecot checks at the sandbox.
//! It runs as whoever runs the test; as root it takes its own users, and the mail belongs to `mail`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use postroom_it::{PATIENCE, Process, access_token, until};
use postroom_sandbox::{Config, Sandbox};
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::settings::{Source, TlsSettings};
use postroom_shared::smtp::SmtpSettings;
use postroom_shared::tokens::AccessToken;
use postroom_worker::sent::{Looked, Sent, SentError, SentSettings};
use tokio::process::Command;

use crate::{ALICE, write_certificates};

/// As it lies on disk and goes over the wire: modified UTF-7 of "Envoyés".
const MAILBOX: &str = "Envoy&AOk-s";

struct Dovecot {
    process: Process,
    folder: PathBuf,
    port: u16,
    owner: String,
}

impl Dovecot {
    async fn start(folder: &Path, sandbox: &Sandbox) -> Self {
        let me = said("id", &["-un"]).await;
        let owner = if me == "root" { "mail:mail".to_owned() } else { format!("{me}:{}", said("id", &["-gn"]).await) };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::create_dir_all(folder.join("home")).unwrap();
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(folder.join("mail").join(MAILBOX).join(part)).unwrap();
        }
        std::fs::write(folder.join("dovecot.conf"), configuration(folder, port, &me, &owner)).unwrap();
        std::fs::write(folder.join("oauth2.conf"), oauth2(sandbox)).unwrap();
        let conf = folder.join("dovecot.conf");
        let arguments = ["-F", "-c", conf.to_str().unwrap()];
        let process = Process::start_program(&program(), &arguments, &[]).unwrap();
        let dovecot = Self { process, folder: folder.to_owned(), port, owner };
        dovecot.own().await;
        until("Dovecot to listen", PATIENCE, || async {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        })
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", dovecot.process.log()));
        dovecot
    }

    /// The mail processes have another user than a test that runs as root.
    async fn own(&self) {
        let folders = ["mail", "home"].map(|name| self.folder.join(name).display().to_string());
        said("chown", &["-R", &self.owner, &folders[0], &folders[1]]).await;
        said("chmod", &["755", self.folder.to_str().unwrap()]).await;
    }

    /// Puts a mail into Sent, as a delivery does: written elsewhere, then moved.
    async fn deliver(&self, name: &str, message_id: &str) {
        let mailbox = self.folder.join("mail").join(MAILBOX);
        let bytes = format!("Message-ID: {message_id}\r\nFrom: {ALICE}\r\nSubject: {name}\r\n\r\nhello\r\n");
        std::fs::write(mailbox.join("tmp").join(name), bytes).unwrap();
        self.own().await;
        std::fs::rename(mailbox.join("tmp").join(name), mailbox.join("new").join(name)).unwrap();
    }
}

fn program() -> PathBuf {
    let found =
        ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"].map(PathBuf::from).into_iter().find(|path| path.is_file());
    found.expect("Dovecot is missing: install dovecot-imapd (`make test-servers` does so on Debian, as root)")
}

/// What a program of the system says.
async fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn configuration(folder: &Path, port: u16, me: &str, owner: &str) -> String {
    let folder = folder.display();
    let (user, group) = owner.split_once(':').unwrap();
    let users = if me == "root" {
        String::new()
    } else {
        format!("default_internal_user = {me}\ndefault_internal_group = {group}\ndefault_login_user = {me}\n")
    };
    let unchrooted: String = ["anvil", "stats"].map(|name| format!("service {name} {{\n  chroot =\n}}\n")).concat();
    format!(
        "{users}{unchrooted}base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = /dev/stderr\n\
         protocols = imap\nlisten = 127.0.0.1\n\
         ssl = required\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = 0\n  }}\n\
         \x20 inet_listener imaps {{\n    port = {port}\n    ssl = yes\n  }}\n}}\n\
         auth_mechanisms = xoauth2\n\
         passdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  args = {folder}/oauth2.conf\n}}\n\
         userdb {{\n  driver = static\n  args = uid={user} gid={group} home={folder}/home\n}}\n\
         first_valid_uid = 1\nmail_location = maildir:{folder}/mail:LAYOUT=fs\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n\
         \x20 mailbox Sent {{\n    auto = create\n  }}\n\
         \x20 mailbox Envoyés {{\n    special_use = \\Sent\n  }}\n}}\n"
    )
}

fn oauth2(sandbox: &Sandbox) -> String {
    let url = format!("http://{}/tokeninfo?access_token=", sandbox.http_addr());
    format!(
        "tokeninfo_url = {url}\nintrospection_url = {url}\nintrospection_mode = get\nforce_introspection = yes\n\
         username_attribute = email\nscope = https://mail.google.com/\n"
    )
}

fn token(secret: String) -> AccessToken {
    let now = Millis::now();
    AccessToken::new(secret.into(), now, now.after(Duration::from_secs(3_599)), 1)
}

fn sent(dovecot: &Dovecot) -> Sent {
    let pairs = [
        ("POSTROOM_IMAP_URL", format!("imaps://imap.gmail.com:993?connect=127.0.0.1:{}", dovecot.port)),
        ("POSTROOM_TLS_CA_FILE", dovecot.folder.join("other-ca.pem").display().to_string()),
    ];
    let mut source = Source::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)));
    let smtp = SmtpSettings::read(&mut source);
    let settings = SentSettings::read(&mut source, &smtp);
    let roots = TlsSettings::read(&mut source).extra_roots;
    source.finish().unwrap();
    Sent::new(settings, &roots).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dovecot_says_what_is_in_sent() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let mut dovecot = Dovecot::start(folder.path(), &sandbox).await;
    // The second id holds what means something else in other languages of IMAP.
    for (name, id) in [("first", "<1@x.example>"), ("odd", "<a{b}'%*=_~@x.example>")] {
        dovecot.deliver(name, id).await;
    }
    let (alice, sent): (AccountId, _) = (ALICE.parse().unwrap(), sent(&dovecot));

    let refused = sent.look(&alice, &token("no token of the sandbox".to_owned()), "<1@x.example>").await;
    assert!(matches!(&refused, Err(SentError::LoginRefused { .. })), "{refused:?}\n{}", dovecot.process.log());

    let token = token(access_token(&sandbox, ALICE).await.unwrap());
    let expect = async |id: &str, expected: Looked| {
        assert_eq!(sent.look(&alice, &token, id).await, Ok(expected), "{id}\n{}", dovecot.process.log());
    };
    expect("<1@x.example>", Looked::Found(1)).await;
    expect("<a{b}'%*=_~@x.example>", Looked::Found(1)).await;
    expect("<11@x.example>", Looked::NotFound).await;
    expect("<@x.example>", Looked::NotFound).await;
    expect("<2@x.example>", Looked::NotFound).await;
    dovecot.deliver("second", "<2@x.example>").await;
    expect("<2@x.example>", Looked::Found(1)).await;
    sent.close().await;
    dovecot.process.stop().await.unwrap();
    let log = dovecot.process.log();
    assert_eq!(log.matches("Info: Login: user=<alice@example.com>, method=XOAUTH2").count(), 1, "{log}");
    assert!(log.contains("Logged out"), "{log}");
}
