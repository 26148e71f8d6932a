//! MAIL, RCPT and BDAT in one flight: who is refused, what is success, what stays usable.

use postroom_shared::reply::{Reply, Silence, Stage};
use postroom_shared::smtp::{End, Outcome};

use crate::server::{BODY, BOTH, GMAIL, PLAIN, open, reply, send, silence};

#[tokio::test]
async fn a_mail_goes_in_one_flight_and_the_connection_serves_the_next() {
    let (mut server, mut connection) = open(GMAIL).await;
    for round in 1..=2 {
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server
            .say("250 2.1.0 OK\n250 2.1.5 OK\n251 2.1.5 will forward\n250-2.0.0 OK\n250 2.0.0 queued - gsmtp\n")
            .await;
        let (back, outcome) = sending.await.unwrap();
        let taken = reply(Stage::Final, 250, (2, 0, 0), "OK queued - gsmtp");
        assert_eq!(outcome, Outcome { recipients: vec![Ok(()), Ok(())], end: End::Accepted(taken), reusable: true });
        assert_eq!(back.mails_sent(), round);
        connection = back;
    }
    let quitting = tokio::spawn(connection.quit());
    server.hears(&["QUIT"]).await;
    server.say("221 2.0.0 bye\n").await;
    quitting.await.unwrap();
    assert_eq!(server.line().await, "");
}

#[tokio::test]
async fn one_refused_recipient_does_not_stop_the_others() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 2.1.0 OK\n550-5.1.1 no such\n550 5.1.1 user - gsmtp\n250 2.1.5 OK\n250 2.0.0 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let refused = reply(Stage::Rcpt, 550, (5, 1, 1), "no such user - gsmtp");
    assert_eq!(outcome.recipients, [Err(refused), Ok(())]);
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable && connection.reusable());
}

#[tokio::test]
async fn when_all_are_refused_the_echo_hides_nothing_and_the_next_mail_goes() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 2.1.0 OK\n550 5.1.1 no bob\n452 4.2.2 carol is full\n503 5.5.1 RCPT first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 2.1.5 Flushed\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let refusals = [reply(Stage::Rcpt, 550, (5, 1, 1), "no bob"), reply(Stage::Rcpt, 452, (4, 2, 2), "carol is full")];
    assert_eq!(outcome, Outcome { recipients: refusals.map(Err).into(), end: End::NoRecipient, reusable: true });
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(matches!(sending.await.unwrap().1.end, End::Accepted(_)));
}

#[tokio::test]
async fn a_refused_sender_refuses_the_mail_and_not_its_recipients() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("552 5.2.3 too large\n503 5.5.1 MAIL first\n503 5.5.1 MAIL first\n503 5.5.1 MAIL first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    let end = End::Refused(reply(Stage::Mail, 552, (5, 2, 3), "too large"));
    assert_eq!(outcome, Outcome { recipients: vec![Ok(()), Ok(())], end, reusable: true });
}

#[tokio::test]
async fn a_refusal_of_the_content_is_the_mails_end() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server
        .say("250 OK\n250 OK\n250 OK\n550-5.7.1 [1.2.3.4] unsolicited\n550-5.7.1 mail, see\n550 5.7.1 help - gsmtp\n")
        .await;
    server.hears(&["RSET"]).await;
    // A server that does not reset has lost step: the end stays, the connection does not.
    server.say("500 5.5.1 what\n").await;
    let (connection, outcome) = sending.await.unwrap();
    let end = reply(Stage::Final, 550, (5, 7, 1), "[1.2.3.4] unsolicited mail, see help - gsmtp");
    assert_eq!((outcome.end, outcome.reusable), (End::Refused(end), false));
    let (_, again) = send(connection, BOTH, BODY).await.unwrap();
    assert_eq!(silence(&again.end), (Stage::Mail, Silence::Closed));
}

#[tokio::test]
async fn only_250_is_success() {
    for said in ["251 2.0.0 odd\n", "354 go on\n", "nonsense\n", "250-a\n251 b\n"] {
        let (mut server, connection) = open(GMAIL).await;
        let sending = send(connection, BOTH, BODY);
        server.flight().await;
        server.say("250 OK\n250 OK\n250 OK\n").await;
        server.say(said).await;
        let (connection, outcome) = sending.await.unwrap();
        assert_eq!((silence(&outcome.end), outcome.reusable), ((Stage::Final, Silence::Garbage), false), "{said}");
        assert!(!connection.reusable());
    }
    // A bare code is a reply too.
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, BOTH, BODY);
    server.flight().await;
    server.say("250\n250\n250\n250\n").await;
    let taken = Reply::new(Stage::Final, 250, None, "");
    assert_eq!(sending.await.unwrap().1.end, End::Accepted(taken));
}

#[tokio::test]
async fn what_is_not_ascii_is_declared_or_refused() {
    let (mut server, connection) = open(GMAIL).await;
    let sending = send(connection, &["böb"], "Subject: hö\r\n\r\n");
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=16 BODY=8BITMIME SMTPUTF8", "RCPT TO:<böb@x.test>"]).await;
    server.hears(&["BDAT 16 LAST"]).await;
    server.bytes(16).await;
    server.say("250 OK\n250 OK\n250 2.0.0 OK\n").await;
    assert!(matches!(sending.await.unwrap().1.end, End::Accepted(_)));
    for (to, body, code) in [("böb", "a\r\n", 550), ("bob", "ä\r\n", 554)] {
        let (_server, connection) = open(PLAIN).await;
        let (_, outcome) = send(connection, &[to], body).await.unwrap();
        assert!(matches!(&outcome.end, End::Refused(reply) if reply.code() == Some(code)), "{outcome:?}");
        assert!(outcome.reusable);
    }
}
