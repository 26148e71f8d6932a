//! Servers that offer less, and mails too large for one flight.

use postroom_shared::reply::Stage;
use postroom_shared::smtp::{End, SmtpSettings};

use crate::server::{BODY, BOTH, GMAIL, NO_CHUNKING, PLAIN, open, open_with, opening, patient, reply, send};

#[tokio::test]
async fn without_chunking_the_bytes_follow_the_354_dot_stuffed() {
    let (mut server, connection) = open(NO_CHUNKING).await;
    let sending = send(connection, BOTH, ".a\r\n..\r\nb");
    server
        .hears(&["MAIL FROM:<alice@example.com> SIZE=9", "RCPT TO:<bob@x.test>", "RCPT TO:<carol@x.test>", "DATA"])
        .await;
    server.say("250 OK\n550 5.1.1 no\n250 OK\n354 go on\n").await;
    server.hears(&["..a", "...", "b", "."]).await;
    server.say("250 2.0.0 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable);
    assert_eq!(outcome.recipients[0], Err(reply(Stage::Rcpt, 550, (5, 1, 1), "no")));

    // All refused, and DATA too.
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n550 5.1.1 no\n503 5.5.1 RCPT first\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, true));

    // All refused, and yet a 354: nothing but the end is sent.
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n550 5.1.1 no\n354 go on\n").await;
    server.hears(&["."]).await;
    server.say("554 5.5.1 no valid recipients\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, false));
}

#[tokio::test]
async fn without_pipelining_every_command_waits_for_its_reply() {
    let (mut server, mut connection) = open(PLAIN).await;
    for _ in 0..2 {
        let sending = send(connection, BOTH, BODY);
        for (line, answer) in [
            ("MAIL FROM:<alice@example.com>", "250 OK\n"),
            ("RCPT TO:<bob@x.test>", "550 5.1.1 no\n"),
            ("RCPT TO:<carol@x.test>", "250 OK\n"),
            ("DATA", "354 go on\n"),
        ] {
            server.hears(&[line]).await;
            server.say(answer).await;
        }
        server.hears(&["Subject: hi", "", "hello", "."]).await;
        server.say("250 2.0.0 OK\n").await;
        let (back, outcome) = sending.await.unwrap();
        assert!(matches!(outcome.end, End::Accepted(_)) && outcome.recipients[0].is_err() && outcome.reusable);
        connection = back;
    }
    // Nobody is left: no DATA.
    let sending = send(connection, &["bob"], BODY);
    for (line, answer) in [
        ("MAIL FROM:<alice@example.com>", "250 OK\n"),
        ("RCPT TO:<bob@x.test>", "550 5.1.1 no\n"),
        ("RSET", "250 OK\n"),
    ] {
        server.hears(&[line]).await;
        server.say(answer).await;
    }
    assert_eq!(sending.await.unwrap().1.end, End::NoRecipient);
}

#[tokio::test]
async fn a_large_mail_is_not_sent_before_its_envelope_is_taken() {
    let (mut server, connection) = open(GMAIL).await;
    let large = "0123456789abcde\n".repeat(8_192);
    let sending = send(connection, &["bob"], large.clone());
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=131072", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n550 5.1.1 no\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (connection, outcome) = sending.await.unwrap();
    assert_eq!((outcome.end, outcome.reusable), (End::NoRecipient, true));

    let sending = send(connection, &["bob"], large.clone());
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=131072", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n250 OK\n").await;
    server.hears(&["BDAT 131072 LAST"]).await;
    assert_eq!(server.bytes(131_072).await, large.as_bytes());
    server.say("250 2.0.0 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert!(matches!(outcome.end, End::Accepted(_)) && outcome.reusable);
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_large_mail_is_heard() {
    let (mut server, client) = opening(patient(), 4_096);
    server.log_in(GMAIL).await;
    let sending = send(client.await.unwrap().unwrap(), &["bob"], "x".repeat(1 << 20));
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=1048576", "RCPT TO:<bob@x.test>"]).await;
    server.say("250 OK\n250 OK\n").await;
    server.hears(&["BDAT 1048576 LAST"]).await;
    server.say("552 5.3.4 too large\n").await;
    let (_, outcome) = sending.await.unwrap();
    let end = End::Refused(reply(Stage::Data, 552, (5, 3, 4), "too large"));
    assert_eq!((outcome.end, outcome.reusable), (end, false));
}

#[tokio::test]
async fn chunking_can_be_turned_off() {
    let (mut server, connection) = open_with(SmtpSettings { chunking: false, ..patient() }, GMAIL).await;
    let sending = send(connection, &["bob"], BODY);
    server.hears(&["MAIL FROM:<alice@example.com> SIZE=22", "RCPT TO:<bob@x.test>", "DATA"]).await;
    server.say("250 OK\n250 OK\n451 4.3.0 later\n").await;
    server.hears(&["RSET"]).await;
    server.say("250 OK\n").await;
    let (_, outcome) = sending.await.unwrap();
    assert_eq!(outcome.end, End::Refused(reply(Stage::Data, 451, (4, 3, 0), "later")));
}
