//! Dialogues that break: cut, silent, closed by a 421, spoken into, cancelled.

use postroom_shared::reply::{Silence, Stage};
use postroom_shared::smtp::{End, Outgoing};

use crate::server::{
    BODY, BOTH, GMAIL, PLAIN, SHORT, addresses, open, open_with, opening, patient, reply, send, settings, silence,
};

#[tokio::test]
async fn cut_after_the_last_byte_is_uncertain_unless_the_replies_prove_otherwise() {
    let uncertain = Some(Stage::Final);
    for (said, expected) in [
        ("", uncertain),
        ("250 OK\n", uncertain),
        ("250 OK\n550 5.1.1 no\n", uncertain),
        ("250 OK\n250 OK\n250 OK\n", uncertain),
        ("550 5.1.7 no\n", None),
        ("250 OK\n550 5.1.1 no\n550 5.1.1 no\n", None),
        ("421 4.7.0 closing\n", None),
        ("250 OK\n421 4.4.5 closing\n", None),
    ] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say(said).await;
        drop(server);
        let (_, outcome) = sending.await.unwrap();
        assert!(!outcome.reusable);
        match expected {
            Some(stage) => assert_eq!(silence(&outcome.end), (stage, Silence::Closed), "{said}"),
            None => assert!(matches!(outcome.end, End::Refused(_) | End::NoRecipient), "{said}: {:?}", outcome.end),
        }
    }
}

#[tokio::test]
async fn cut_before_the_last_byte_is_surely_not_taken() {
    // Room for less than the mail, so that its last bytes never leave.
    let (mut server, client) = opening(patient(), 1_024);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), BOTH, "x".repeat(50_000));
    server.line().await;
    drop(server);
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Data, Silence::Closed));
}

#[tokio::test]
async fn silence_is_told_with_its_stage() {
    let (mut server, connection) = open_with(settings(SHORT), GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n").await;
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Final, Silence::Timeout));

    let (mut server, connection) = open_with(settings(SHORT), PLAIN).await;
    let sending = send(connection, BOTH, BODY);
    server.hears(&["MAIL FROM:<alice@example.com>"]).await;
    server.say("250 OK\n").await;
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Rcpt, Silence::Timeout));

    // A server that does not read: the bytes do not leave.
    let (mut server, client) = opening(settings(SHORT), 1_024);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), BOTH, "x".repeat(50_000));
    assert_eq!(silence(&sending.await.unwrap().1.end), (Stage::Data, Silence::Timeout));
}

#[tokio::test]
async fn a_421_ends_the_connection_at_any_stage() {
    for said in ["421 4.7.0 a\n421 4.7.0 a\n421 4.7.0 a\n421 4.7.0 a\n", "250 OK\n250 OK\n250 OK\n421 4.3.0 later\n"] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say(said).await;
        let (_, outcome) = sending.await.unwrap();
        assert!(matches!(&outcome.end, End::Refused(reply) if reply.code() == Some(421)), "{outcome:?}");
        assert!(!outcome.reusable);
    }
    // Gmail answers 421 for a single recipient as well: what was taken for the others is not thrown away.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n421 4.7.0 TLS required\n250 OK\n250 2.0.0 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && !outcome.reusable);
    assert_eq!(outcome.recipients[0], Err(reply(Stage::Rcpt, 421, (4, 7, 0), "TLS required")));
}

#[tokio::test]
async fn what_was_said_while_idle_is_never_taken_for_an_answer() {
    // Words that come with the last reply.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n421 4.4.2 idle too long\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && !outcome.reusable && !connection.reusable());

    // Words that come later: the next mail is surely not taken.
    for (said, stays) in [("421 4.4.2 idle too long\n", false), ("250 2.0.0 a spare one\n", true), ("", false)] {
        let (mut server, connection) = open(GMAIL).await;
        server.say(said).await;
        let kept = stays.then_some(server);
        let (_, outcome) = send(connection, BOTH, BODY).await.unwrap();
        match &outcome.end {
            End::Refused(reply) => assert_eq!((reply.stage, reply.code()), (Stage::Mail, Some(421))),
            end => assert_eq!((silence(end).0, outcome.reusable), (Stage::Mail, false), "{said}"),
        }
        drop(kept);
    }
}

#[tokio::test]
async fn a_cancelled_send_leaves_a_connection_that_is_never_used_again() {
    let (mut server, mut connection) = open(GMAIL).await;
    let (from, recipients) = ("alice@example.com".parse().unwrap(), addresses(BOTH));
    let mail = Outgoing { from: &from, recipients: &recipients, bytes: BODY.as_bytes(), smtputf8: false };
    tokio::select! {
        _ = connection.send(&mail) => panic!("the server has not answered"),
        () = server.flight() => {}
    }
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(!connection.reusable());
    let outcome = connection.send(&mail).await;
    assert_eq!((silence(&outcome.end).0, outcome.reusable), (Stage::Mail, false));
    connection.quit().await;
    assert_eq!(server.line().await, "");
}
