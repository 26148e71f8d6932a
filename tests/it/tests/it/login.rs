//! `postroom account login` against the sandbox's consent page, with a scripted browser.

use postroom_it::{HttpAnswer, Login, PATIENCE, Process, Rig, http, mail_json, secrets_in, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::account::AccountId;
use postroom_shared::queue::MailState;
use postroom_shared::reason::Reason;

use crate::support::in_state;

const ALICE: &str = "alice@example.com";
const ALLOW: &str = "account=alice%40example.com&mail=1&decision=allow";

/// The consent page's answer to what a person chose there.
async fn decide(login: &Login, choice: &str) -> HttpAnswer {
    let (page, query) = login.url.split_once('?').unwrap();
    let shown = http("GET", &login.url, "", "").await.unwrap();
    assert_eq!(shown.status, 200, "{}", shown.body);
    http("POST", page, "application/x-www-form-urlencoded", &format!("{query}&{choice}")).await.unwrap()
}

/// Where the consent page sends the browser.
async fn sent_to(login: &Login, choice: &str) -> String {
    let decided = decide(login, choice).await;
    assert_eq!(decided.status, 303, "{}", decided.body);
    decided.location.unwrap()
}

/// The page that the person sees in the end.
async fn visit(address: &str) -> HttpAnswer {
    let page = http("GET", address, "", "").await.unwrap();
    assert_eq!(secrets_in(&page.body), Vec::<&str>::new(), "{}", page.body);
    assert!(!page.body.contains("alice"), "{}", page.body);
    page
}

/// A parameter of the consent page's address, as it stands there.
fn parameter<'u>(url: &'u str, name: &str) -> &'u str {
    let query = url.split_once('?').unwrap().1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

/// Where the browser would come back to, with these words.
fn back(login: &Login, query: &str) -> String {
    format!("{}/?{query}", parameter(&login.url, "redirect_uri").replace("%3A", ":").replace("%2F", "/"))
}

#[tokio::test]
async fn a_consent_in_the_browser_makes_an_account_that_sends() {
    let rig = Rig::start().await.unwrap();
    // A desktop whose browser writes down where it was led.
    let (bin, led) = (rig.folder().join("bin"), rig.folder().join("led"));
    std::fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && /bin/mv {0}.new {0}\n", led.display());
    std::fs::write(bin.join("xdg-open"), script).unwrap();
    std::fs::set_permissions(bin.join("xdg-open"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = bin.display().to_string();
    let settings = [("PATH", path.as_str()), ("POSTROOM_LOG", "trace")];
    let login = Login::start(&rig, &[ALICE, "--kind", "workspace"], &settings).await.unwrap();
    let led = until("the browser", PATIENCE, || async { Ok(std::fs::read_to_string(&led).ok()) }).await.unwrap();
    assert_eq!(led, login.url);

    let page = visit(&sent_to(&login, ALLOW).await).await;
    assert!(page.status == 200 && page.body.contains("You may close this window"), "{}", page.body);
    let (code, log) = login.ended().await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("alice@example.com (workspace) added: Gmail has taken its login\n"), "{log}");
    assert_eq!(log.matches('@').count(), 1, "{log}");

    // What was stored is good for a worker, for now and after its first token.
    let queue = rig.queue().await.unwrap();
    let mut worker = rig.worker(&[]).unwrap();
    for number in 0..2 {
        let mail = mail_json(ALICE, "bob@example.org", "Hello").to_string();
        let sent = rig.postroom_with(&["send", "-"], mail.as_bytes()).await.unwrap();
        in_state(&queue, sent.stdout.trim().parse().unwrap(), MailState::Sent).await;
        assert_eq!(rig.sandbox.mails().len(), number + 1);
        rig.sandbox.expire_tokens(None);
    }
    worker.stop().await.unwrap();
    assert_eq!(secrets_in(&worker.log()), Vec::<&str>::new());
}

#[tokio::test]
async fn logging_in_again_ends_the_hold_and_keeps_the_limits() {
    let rig = Rig::start().await.unwrap();
    let queue = rig.queue().await.unwrap();
    let id: AccountId = ALICE.parse().unwrap();
    let with = [("POSTROOM_REFRESH_TOKEN", "sandbox-refresh:alice@example.com")];
    let add = ["account", "add", ALICE, "--limit", "77", "--alias", "sales@example.com", "--rate", "50"];
    let added = postroom_it::run("postroom", &add, &rig.with(&with), b"").await.unwrap();
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    rig.sandbox.revoke(ALICE);
    let mut worker = rig.worker(&[]).unwrap();
    let mail = mail_json(ALICE, "bob@example.org", "Hello").to_string();
    let sent = rig.postroom_with(&["send", "-"], mail.as_bytes()).await.unwrap();
    until("the hold", PATIENCE, || async {
        let account = queue.account(&id).await?;
        Ok(account.filter(|account| account.holds.iter().any(|hold| hold.reason == Reason::Consent)))
    })
    .await
    .unwrap();

    let login = Login::start(&rig, &[ALICE, "--no-browser"], &[]).await.unwrap();
    visit(&sent_to(&login, ALLOW).await).await;
    let (code, log) = login.ended().await.unwrap();
    assert!(code == Some(0) && log.contains("(consumer) renewed, and its hold ended"), "{log}");
    in_state(&queue, sent.stdout.trim().parse().unwrap(), MailState::Sent).await;
    let account = queue.account(&id).await.unwrap().unwrap();
    assert_eq!((account.limit, account.rate, account.aliases.len()), (Some(77), Some(50.0), 1));
    assert_eq!(account.holds, []);
    worker.stop().await.unwrap();
}

/// A login that fails: what the person chose or the endpoints said, and the sentence that both terminal and page show.
struct Failing {
    settings: &'static [(&'static str, &'static str)],
    fault: Option<Fault>,
    choice: &'static str,
    sentence: &'static str,
    advice: &'static str,
}

fn failing(choice: &'static str, sentence: &'static str, advice: &'static str) -> Failing {
    Failing { settings: &[], fault: None, choice, sentence, advice }
}

fn all_failing() -> Vec<Failing> {
    let token = |status, body: &str| Some(Fault::new(Stage::Token, Action::http(status, body)).times(1));
    let no_refresh_token = r#"{"access_token":"sandbox-access.x","expires_in":3599,"scope":"https://mail.google.com/","token_type":"Bearer"}"#;
    vec![
        failing("account=alice%40example.com&mail=1&decision=deny", "the consent was denied", "choose \"Allow\""),
        failing("account=alice%40example.com&decision=allow", "does not cover mail", "tick it"),
        failing(
            "other=bob%40example.com&mail=1&decision=allow",
            "not of the mailbox that was named",
            "choose that very account",
        ),
        Failing {
            fault: token(200, no_refresh_token),
            ..failing(ALLOW, "gave no refresh token", "https://myaccount.google.com/connections")
        },
        Failing {
            settings: &[("POSTROOM_CLIENT_SECRET", "not-the-secret")],
            ..failing(ALLOW, "the OAuth2 client is refused (invalid_client", "correct its id and secret")
        },
        Failing {
            fault: token(400, r#"{"error":"invalid_grant","error_description":"Malformed auth code."}"#),
            ..failing(ALLOW, "the code that the browser brought is refused (invalid_grant", "log in again")
        },
        Failing {
            fault: token(503, "sandbox-access.in-a-body"),
            ..failing(ALLOW, "the token endpoint answered 503", "log in again")
        },
        Failing {
            settings: &[("POSTROOM_SMTP_URL", "smtps://smtp.gmail.com:465?connect=127.0.0.1:1")],
            ..failing(ALLOW, "could not be tried (connect: unreachable", "POSTROOM_SMTP_URL")
        },
        Failing {
            fault: Some(Fault::new(
                Stage::Auth,
                Action::reply("454 4.7.0 Too many login attempts for alice@example.com"),
            )),
            ..failing(ALLOW, "could not be tried (auth: 454 4.7.0", "lets the account in")
        },
    ]
}

#[tokio::test]
async fn each_failure_has_its_sentence_and_nothing_is_stored() {
    let rig = Rig::start().await.unwrap();
    let queue = rig.queue().await.unwrap();
    for Failing { settings, fault, choice, sentence, advice } in all_failing() {
        rig.sandbox.clear_faults();
        fault.map(|fault| rig.sandbox.add_fault(fault).unwrap());
        let login = Login::start(&rig, &[ALICE, "--no-browser"], settings).await.unwrap();
        let page = visit(&sent_to(&login, choice).await).await;
        let shown = page.body.replace("&quot;", "\"");
        assert!(page.status == 400 && shown.contains(sentence) && shown.contains(advice), "{sentence}: {shown}");
        let (code, log) = login.ended().await.unwrap();
        assert_eq!(code, Some(1), "{log}");
        let last = log.lines().last().unwrap();
        assert!(last.starts_with("postroom: ") && last.contains(sentence) && last.contains(advice), "{last}");
        assert!(!last.contains('@') || last.contains("***@"), "{last}");
        assert!(!log.contains("not-the-secret"), "{log}");
        assert_eq!(queue.accounts().await.unwrap(), [], "{sentence}");
    }
    let keys: Vec<String> = rig.redis.ask(&["KEYS", "*sealed*"]).await.unwrap();
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn what_never_comes_back_is_told_by_the_clock() {
    let rig = Rig::start().await.unwrap();
    let started = [ALICE, "--no-browser", "--timeout", "2s"];
    // Nobody answers; and a client that Google does not know, of which only its own page tells.
    let login = Login::start(&rig, &started, &[]).await.unwrap();
    let (code, log) = login.ended().await.unwrap();
    assert_eq!(code, Some(1));
    assert!(log.contains("no answer came from the browser within 2 s: nothing was stored"), "{log}");

    let login = Login::start(&rig, &started, &[("POSTROOM_CLIENT_ID", "unknown")]).await.unwrap();
    let refused = http("GET", &login.url, "", "").await.unwrap();
    assert!(refused.status == 401 && refused.body.contains("invalid_client"), "{}", refused.body);
    let (code, log) = login.ended().await.unwrap();
    assert_eq!(code, Some(1));
    assert!(log.contains("invalid_client means its id, redirect_uri_mismatch its type"), "{log}");
}

#[tokio::test]
async fn an_answer_to_another_login_is_turned_away_and_the_right_one_still_counts() {
    let rig = Rig::start().await.unwrap();
    let login = Login::start(&rig, &[ALICE, "--no-browser"], &[]).await.unwrap();
    for query in ["code=4/0other&state=another", "error=access_denied&state=another", "code=4/0other&state=another"] {
        let page = visit(&back(&login, query)).await;
        assert!(page.status == 400 && page.body.contains("the answer to another login"), "{}", page.body);
    }
    for path in ["favicon.ico", "?code=4/0other", ""] {
        let page = visit(&back(&login, "").replace("?", path)).await;
        assert_eq!(page.status, 404, "{path}");
    }
    visit(&sent_to(&login, ALLOW).await).await;
    let (code, log) = login.ended().await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("the answer to another login").count(), 1, "told once: {log}");
}

#[tokio::test]
async fn googles_own_refusal_is_told_with_its_word() {
    let rig = Rig::start().await.unwrap();
    let login = Login::start(&rig, &[ALICE, "--no-browser"], &[]).await.unwrap();
    let state = parameter(&login.url, "state").to_owned();
    visit(&back(&login, &format!("error=admin_policy_enforced&state={state}"))).await;
    let (code, log) = login.ended().await.unwrap();
    assert!(code == Some(1) && log.contains("Google refused the consent (admin_policy_enforced)"), "{log}");
}

#[tokio::test]
async fn a_taken_port_and_a_missing_client_are_told_before_anybody_is_asked() {
    let rig = Rig::start().await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let web = rig.folder().join("web.json");
    std::fs::write(&web, r#"{"web":{"client_id":"x","client_secret":"sandbox-secret"}}"#).unwrap();
    let web = web.display().to_string();
    let mut nothing = rig.environment.clone();
    nothing.retain(|(name, _)| !name.starts_with("POSTROOM_CLIENT"));
    let mut no_key = rig.environment.clone();
    no_key.retain(|(name, _)| name != "POSTROOM_SECRET_KEY");
    for (more, environment, sentence) in [
        (["--port", &port], &rig.environment, "is taken by another program"),
        (["--client", &web], &rig.environment, "it is a client of the type \"Web application\""),
        (["--client", "/nowhere/at/all"], &rig.environment, "cannot be read"),
        (["--timeout", "9s"], &nothing, "POSTROOM_CLIENT_ID, POSTROOM_CLIENT_SECRET: not set"),
        (["--timeout", "9s"], &no_key, "POSTROOM_SECRET_KEY is not set"),
        (
            ["--timeout", "9s"],
            &rig.with(&[("POSTROOM_AUTH_URL", "http://example.com/")]),
            "POSTROOM_AUTH_URL: must begin with",
        ),
    ] {
        let arguments = [&["account", "login", ALICE, "--no-browser"], more.as_slice()].concat();
        let mut process = Process::start("postroom", &arguments, environment).unwrap();
        let (code, log) = process.ended(PATIENCE).await.unwrap();
        assert!(code == Some(1) && log.contains(sentence), "{sentence}: {log}");
        assert!(!log.contains("o/oauth2") && secrets_in(&log).is_empty(), "{log}");
    }
}

#[tokio::test]
async fn on_a_remote_machine_the_address_is_pasted() {
    let rig = Rig::start().await.unwrap();
    let file = rig.folder().join("client.json");
    std::fs::write(&file, r#"{"installed":{"client_id":"sandbox-client","client_secret":"sandbox-secret"}}"#).unwrap();
    let file = file.display().to_string();
    // No browser can be opened here, so nobody has to know --no-browser; the file wins over the environment.
    let settings = [("PATH", "/nowhere"), ("POSTROOM_CLIENT_ID", "another")];
    let mut login = Login::start(&rig, &[ALICE, "--client", &file], &settings).await.unwrap();
    assert!(login.process.log().contains("No browser could be opened here."), "{}", login.process.log());
    let port = parameter(&login.url, "redirect_uri").rsplit("%3A").next().unwrap().to_owned();
    assert!(login.process.log().contains(&format!("ssh -L {port}:127.0.0.1:{port} HOST")), "{}", login.process.log());
    login.process.type_line("").await.unwrap();
    login.process.type_line("4/0just-the-code").await.unwrap();
    until("the complaint", PATIENCE, || async {
        Ok(login.process.log().contains("copy the whole of it from the address bar").then_some(()))
    })
    .await
    .unwrap();
    let address = sent_to(&login, ALLOW).await;
    login.process.type_line(&format!("  {address} ")).await.unwrap();
    let (code, log) = login.ended().await.unwrap();
    assert!(code == Some(0) && log.contains("(consumer) added"), "{log}");
    assert_eq!(rig.sandbox.stats().account(ALICE).logins_ok, 1, "tried at once");
}
