//! What goes wrong is an error of its own kind, and never "not found".

use postroom_shared::reply::Silence;
use postroom_worker::sent::SentError;

use crate::server::{GMAIL, LOGIN, PATIENT, SHORT, Server, look, open, opening};

fn how(error: &SentError) -> Silence {
    let SentError::Silent { how, .. } = error else { panic!("{error:?}") };
    *how
}

fn refused(command: &'static str, text: &str) -> SentError {
    SentError::Refused { command, text: text.to_owned() }
}

/// What comes of a login that is answered so.
async fn login_answered(said: &str) -> SentError {
    let (mut server, client) = opening(PATIENT);
    server.greet(GMAIL).await;
    server.hears(&format!("LOGIN AUTHENTICATE XOAUTH2 {LOGIN}")).await;
    server.say(said).await;
    client.await.unwrap().err().unwrap()
}

#[tokio::test]
async fn a_refused_token_is_answered_with_an_empty_line() {
    let (mut server, client) = opening(PATIENT);
    server.greet(GMAIL).await;
    server.hears(&format!("LOGIN AUTHENTICATE XOAUTH2 {LOGIN}")).await;
    server.say("+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\n").await;
    server.hears("").await;
    server.say("LOGIN NO [AUTHENTICATIONFAILED] Invalid credentials of alice@example.com (Failure)\n").await;
    let text = "[AUTHENTICATIONFAILED] Invalid credentials of a***@example.com (Failure)".to_owned();
    assert_eq!(client.await.unwrap().err(), Some(SentError::LoginRefused { text }));
}

#[tokio::test]
async fn only_what_is_about_the_token_refuses_the_token() {
    for said in ["[AUTHENTICATIONFAILED] no", "[EXPIRED] no"] {
        let error = login_answered(&format!("LOGIN NO {said}\n")).await;
        assert_eq!(error, SentError::LoginRefused { text: said.to_owned() });
    }
    for said in [
        "[ALERT] Too many simultaneous connections. (Failure)",
        "[UNAVAILABLE] Temporary authentication failure.",
        "System Error (Failure)",
    ] {
        assert_eq!(login_answered(&format!("LOGIN NO {said}\n")).await, refused("AUTHENTICATE", said));
    }
    assert_eq!(login_answered("LOGIN BAD what?\n").await, refused("AUTHENTICATE", "what?"));
    let (mut server, client) = opening(PATIENT);
    server.greet("IMAP4rev1 AUTH=PLAIN").await;
    assert!(matches!(client.await.unwrap(), Err(SentError::Refused { command: "AUTHENTICATE", .. })));
}

#[tokio::test]
async fn before_the_login_silence_and_garbage_are_told_apart() {
    for (said, expected) in [
        ("", Silence::Timeout),
        ("* OK hello\n", Silence::Timeout),
        ("* BYE too many connections\n", Silence::Closed),
        ("220 smtp.example ESMTP\n", Silence::Garbage),
        ("P1 OK\n", Silence::Garbage),
    ] {
        let (mut server, client) = opening(SHORT);
        server.say(said).await;
        assert_eq!(how(&client.await.unwrap().err().unwrap()), expected, "{said}");
    }
    let (server, client) = opening(PATIENT);
    drop(server);
    assert_eq!(how(&client.await.unwrap().err().unwrap()), Silence::Closed);
}

#[tokio::test]
async fn an_account_without_sent_is_told() {
    let (mut server, client) = opening(PATIENT);
    server.log_in(GMAIL).await;
    server.list("P2", "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\n").await;
    assert_eq!(client.await.unwrap().err(), Some(SentError::NoSentMailbox));
}

/// What comes of a search that is answered so; then the connection is cut.
async fn search_answered(said: &str) -> SentError {
    let (mut server, session): (Server, _) = open(GMAIL, SHORT).await;
    let looking = look(session);
    server.examine("P3", "[Gmail]/Sent Mail").await;
    server.hears(r#"P4 UID SEARCH X-GM-RAW "rfc822msgid:1@x.example""#).await;
    server.say(said).await;
    if said.ends_with('~') {
        return looking.await.unwrap().1.unwrap_err();
    }
    drop(server);
    looking.await.unwrap().1.unwrap_err()
}

#[tokio::test]
async fn nothing_but_an_ok_to_the_search_says_not_found() {
    for (said, expected) in [
        ("* SEARCH\n", Silence::Closed),
        ("* SEARCH", Silence::Closed),
        ("", Silence::Closed),
        ("* BYE going down\n", Silence::Closed),
        ("* SEARCH\nP3 OK of another command\n", Silence::Closed),
        ("P4 OK without a result\n", Silence::Garbage),
        ("* SEARCH alice@example.com\n", Silence::Garbage),
        ("* SEARCH\n* OK ~", Silence::Timeout),
    ] {
        let error = search_answered(said).await;
        assert_eq!(how(&error), expected, "{said}");
        assert!(!error.to_string().contains("alice@"), "{error}");
    }
    assert_eq!(
        search_answered("* SEARCH\nP4 NO [SERVERBUG] bob@x.org\n").await,
        refused("SEARCH", "[SERVERBUG] b***@x.org")
    );
    assert_eq!(
        search_answered("* SEARCH\nP4 BAD Could not parse command\n").await,
        refused("SEARCH", "Could not parse command")
    );
    let endless = "* OK still searching\n".repeat(60_000);
    let error = flooded(&endless).await;
    assert_eq!(how(&error), Silence::Garbage);
}

/// What comes of a server that talks without end.
async fn flooded(text: &str) -> SentError {
    let (mut server, session) = open(GMAIL, PATIENT).await;
    let looking = look(session);
    server.hears("P3 EXAMINE \"[Gmail]/Sent Mail\"").await;
    let flood = text.to_owned();
    let flooding = tokio::spawn(async move { server.try_say(&flood).await });
    let error = looking.await.unwrap().1.unwrap_err();
    assert!(flooding.await.unwrap().is_err(), "all of it was taken");
    error
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_opened_is_told() {
    let (mut server, session) = open(GMAIL, PATIENT).await;
    let looking = look(session);
    server.hears("P3 EXAMINE \"[Gmail]/Sent Mail\"").await;
    server.say("P3 NO [NONEXISTENT] Unknown Mailbox: [Gmail]/Sent Mail (Failure)\n").await;
    let text = "[NONEXISTENT] Unknown Mailbox: [Gmail]/Sent Mail (Failure)";
    assert_eq!(looking.await.unwrap().1, Err(refused("EXAMINE", text)));
}
