//! The worker's look into the Sent mailbox, against the sandbox: what it finds, what goes wrong, and its kept connection.

use std::sync::Arc;
use std::time::Duration;

use postroom_it::{PATIENCE, access_token, until};
use postroom_sandbox::{Action, Config, ConfigChange, Fault, Sandbox, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reply::Silence;
use postroom_shared::settings::Source;
use postroom_shared::smtp::{Connection, Dialer, End, Outgoing, SmtpSettings};
use postroom_shared::tokens::AccessToken;
use postroom_worker::sent::{Looked, Sent, SentError, SentSettings};
use tempfile::TempDir;

const ALICE: &str = "alice@example.com";
const ID: &str = "<1@x.example>";

/// The sandbox, and the worker's pieces with the settings that lead to it.
struct Setting {
    sandbox: Sandbox,
    smtp: SmtpSettings,
    settings: SentSettings,
    alice: AccountId,
    token: AccessToken,
    _folder: TempDir,
}

impl Setting {
    async fn start(config: Config) -> Self {
        let sandbox = Sandbox::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        sandbox.write_dir(folder.path()).unwrap();
        let mut source = Source::from_pairs(sandbox.env(folder.path()));
        let smtp = SmtpSettings::read(&mut source);
        let settings = SentSettings::read(&mut source, &smtp);
        source.finish().unwrap();
        let token = token(&sandbox).await;
        Self { sandbox, smtp, settings, alice: ALICE.parse().unwrap(), token, _folder: folder }
    }

    fn sent(&self) -> Sent {
        Sent::new(self.settings.clone(), &self.smtp.roots).unwrap().unwrap()
    }

    async fn look(&self, sent: &Sent) -> Result<Looked, SentError> {
        sent.look(&self.alice, &self.token, ID).await
    }

    /// Hands the sandbox a mail with the Message-ID; how the dialogue ended.
    async fn send(&self) -> End {
        let dialer = Dialer::new(self.smtp.clone()).unwrap();
        let mut connection = Connection::open(&dialer, &self.alice, &self.token).await.unwrap();
        let bytes = format!("Message-ID: {ID}\r\nFrom: {ALICE}\r\nTo: bob@x.example\r\nSubject: hi\r\n\r\nhello\r\n");
        let (from, recipients) = (ALICE.parse().unwrap(), ["bob@x.example".parse().unwrap()]);
        let mail = Outgoing { from: &from, recipients: &recipients, bytes: bytes.as_bytes(), smtputf8: false };
        connection.send(&mail).await.end
    }
}

async fn start() -> Setting {
    Setting::start(Config::default()).await
}

async fn token(sandbox: &Sandbox) -> AccessToken {
    let now = Millis::now();
    let secret = access_token(sandbox, ALICE).await.unwrap();
    AccessToken::new(secret.into(), now, now.after(Duration::from_secs(3_599)), 1)
}

fn how(looked: Result<Looked, SentError>) -> Silence {
    let Err(SentError::Silent { how, .. }) = looked else { panic!("{looked:?}") };
    how
}

/// Both ends that look alike to the client: what was taken is found, what was not is not.
#[tokio::test]
async fn an_uncertain_mail_is_found_if_it_was_taken() {
    for (action, expected) in [(Action::AcceptThenCut, Looked::Found(1)), (Action::Cut, Looked::NotFound)] {
        let stage = start().await;
        stage.sandbox.add_fault(Fault::new(Stage::Final, action)).unwrap();
        assert!(matches!(stage.send().await, End::Lost(_)));
        assert_eq!(stage.look(&stage.sent()).await, Ok(expected));
    }
}

#[tokio::test]
async fn a_mail_is_found_once_it_is_indexed_and_all_looks_share_one_login() {
    let stage = Setting::start(Config { index_delay: Duration::from_secs(3_600), ..Config::default() }).await;
    let sent = Arc::new(stage.sent());
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    assert!(matches!(stage.send().await, End::Accepted(_)));
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    stage.sandbox.set_config(&ConfigChange { index_delay_ms: Some(0), ..ConfigChange::default() });
    let looks: Vec<_> = (0..8)
        .map(|_| {
            let (sent, alice, token) = (Arc::clone(&sent), stage.alice.clone(), stage.token.clone());
            tokio::spawn(async move { sent.look(&alice, &token, ID).await })
        })
        .collect();
    for look in looks {
        assert_eq!(look.await.unwrap(), Ok(Looked::Found(1)));
    }
    let stats = stage.sandbox.stats();
    assert_eq!((stats.imap_connections, stats.imap_logins_ok, stats.imap_searches), (1, 1, 10));
    sent.close().await;
    open_connections(&stage, 0).await;
}

async fn open_connections(stage: &Setting, wanted: u64) {
    until("IMAP connections to end", PATIENCE, || async {
        Ok((stage.sandbox.stats().imap_open_connections == wanted).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_without_gmails_search_is_asked_by_the_header() {
    let stage = Setting::start(Config { gmail_search: false, ..Config::default() }).await;
    let sent = stage.sent();
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    stage.send().await;
    assert_eq!(stage.look(&sent).await, Ok(Looked::Found(1)));
    // The id that another one contains is not that one.
    assert_eq!(sent.look(&stage.alice, &stage.token, "<11@x.example>").await, Ok(Looked::NotFound));
    assert_eq!(sent.look(&stage.alice, &stage.token, "<@x.example>").await, Ok(Looked::NotFound));
}

#[tokio::test]
async fn a_refused_token_is_told_and_another_one_works() {
    let mut stage = start().await;
    stage.send().await;
    stage.sandbox.expire_tokens(None);
    let sent = stage.sent();
    let refused = stage.look(&sent).await.unwrap_err();
    assert!(matches!(&refused, SentError::LoginRefused { text } if text.contains("AUTHENTICATIONFAILED")), "{refused}");
    stage.token = token(&stage.sandbox).await;
    assert_eq!(stage.look(&sent).await, Ok(Looked::Found(1)));
    assert_eq!(stage.sandbox.stats().imap_logins_refused, 1);
    let busy = Action::No("[ALERT] Too many simultaneous connections. (Failure)".to_owned());
    stage.sandbox.add_fault(Fault::new(Stage::ImapLogin, busy)).unwrap();
    let refused = stage.look(&stage.sent()).await.unwrap_err();
    assert!(matches!(&refused, SentError::Refused { command: "AUTHENTICATE", .. }), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_reached_or_falls_silent_is_told() {
    let mut stage = start().await;
    stage.settings.command_timeout = Duration::from_millis(300);
    stage.settings.connect_timeout = Duration::from_millis(300);
    for (at, action, expected) in [
        (Stage::ImapConnect, Action::Silence, Silence::Timeout),
        (Stage::ImapConnect, Action::Cut, Silence::Closed),
        (Stage::ImapLogin, Action::Silence, Silence::Timeout),
        (Stage::ImapSearch, Action::Silence, Silence::Timeout),
        (Stage::ImapSearch, Action::Cut, Silence::Closed),
    ] {
        stage.sandbox.clear_faults();
        stage.sandbox.add_fault(Fault::new(at, action.clone())).unwrap();
        let looked = stage.look(&stage.sent()).await;
        assert_eq!(how(looked), expected, "{at:?} {action:?}");
    }
    stage.sandbox.clear_faults();
    let refusal = Action::No("[SERVERBUG] oops".to_owned());
    stage.sandbox.add_fault(Fault::new(Stage::ImapSearch, refusal).times(1)).unwrap();
    let sent = stage.sent();
    let text = "[SERVERBUG] oops".to_owned();
    assert_eq!(stage.look(&sent).await, Err(SentError::Refused { command: "SEARCH", text }));
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound), "on a new connection");
    stage.sandbox.stop().await;
    assert_eq!(how(stage.look(&stage.sent()).await), Silence::Unreachable);
}

/// The time for one look bounds it, whatever the server's single answers take.
#[tokio::test]
async fn a_look_has_a_time_limit_of_its_own() {
    let mut stage = start().await;
    stage.settings.look_timeout = Duration::from_millis(300);
    stage.sandbox.add_fault(Fault::new(Stage::ImapSearch, Action::Silence).times(1)).unwrap();
    let sent = stage.sent();
    assert_eq!(how(stage.look(&sent).await), Silence::Timeout);
    open_connections(&stage, 0).await;
    stage.settings.look_timeout = PATIENCE;
    assert_eq!(stage.look(&stage.sent()).await, Ok(Looked::NotFound));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_at_once() {
    let stage = start().await;
    let sent = stage.sent();
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    stage.sandbox.add_fault(Fault::new(Stage::ImapSearch, Action::Cut).times(1)).unwrap();
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    assert_eq!(stage.sandbox.stats().imap_connections, 2);
}

#[tokio::test]
async fn a_connection_is_closed_when_idle_and_when_its_token_nears_its_end() {
    let mut stage = start().await;
    stage.settings.keep = Duration::from_millis(50);
    assert_eq!(stage.look(&stage.sent()).await, Ok(Looked::NotFound));
    open_connections(&stage, 0).await;
    let sent = stage.sent();
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    open_connections(&stage, 0).await;
    assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
    assert_eq!(stage.sandbox.stats().imap_connections, 3);

    stage.settings.keep = PATIENCE;
    let now = Millis::now();
    let secret = stage.token.secret().clone();
    stage.token = AccessToken::new(secret, Millis(now.0 - 3_500_000), now.after(Duration::from_secs(100)), 1);
    let sent = stage.sent();
    for connections in [4, 5] {
        assert_eq!(stage.look(&sent).await, Ok(Looked::NotFound));
        assert_eq!(stage.sandbox.stats().imap_connections, connections);
    }
}
