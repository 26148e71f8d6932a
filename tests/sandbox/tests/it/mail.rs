//! Mails by BDAT and DATA, in one flight and command by command, and what is recorded of them.

use postroom_sandbox::{Config, Keep, MailFilter, Sandbox, content_hash};

use crate::client::{Client, End, ME, flight, mail_with_id, sandbox};

#[tokio::test]
async fn one_flight_is_answered_in_order_and_recorded() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    let mail = mail_with_id("one@x");
    let replies = client.mail("you@example.net", &mail).await;
    assert!(replies[0].starts_with("250 2.1.0") && replies[1].starts_with("250 2.1.5"), "{replies:?}");
    assert_eq!(replies[2], "250 2.0.0 OK 1 - gsmtp");

    let recorded = &sandbox.mails()[0];
    assert_eq!((recorded.n, recorded.account.as_str(), recorded.from.as_str()), (1, ME, ME));
    assert_eq!(recorded.recipients, ["you@example.net"]);
    assert_eq!(recorded.message_id.as_deref(), Some("<one@x>"));
    assert_eq!((recorded.size, recorded.hash), (mail.len() as u64, content_hash(mail.as_bytes())));
    assert!(recorded.chunked && recorded.received_ms > 1.7e12);
    assert_eq!(sandbox.mail_bytes(1).unwrap().as_ref(), mail.as_bytes());
    assert_eq!(sandbox.mail_bytes(2), None);
}

#[tokio::test]
async fn several_mails_in_one_flight_and_content_cut_into_pieces() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    let flights: String = (0..50).map(|i| flight("you@example.net", &mail_with_id(&format!("{i}@x")))).collect();
    for piece in flights.as_bytes().chunks(977) {
        client.send(piece).await;
    }
    let replies = client.replies(150).await;
    assert_eq!(replies[149], "250 2.0.0 OK 50 - gsmtp");
    let large = format!("Message-ID: <large@x>\r\n\r\n{}", "0123456789abcd\r\n".repeat(20_000));
    client.mail("you@example.net", &large).await;
    assert_eq!(sandbox.mail_bytes(51).unwrap().as_ref(), large.as_bytes());
    let found = sandbox.find_mails(&MailFilter { message_id: Some("17@x".to_owned()), ..MailFilter::default() });
    assert_eq!(found.iter().map(|mail| mail.n).collect::<Vec<_>>(), [18]);
}

#[tokio::test]
async fn chunks_are_joined() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    client
        .send(format!(
            "MAIL FROM:<{ME}>\r\nRCPT TO:<a@x.example>\r\nBDAT 10\r\nSubject: aBDAT 5\r\nb\r\n\r\nBDAT 0 LAST\r\n"
        ))
        .await;
    let replies = client.replies(5).await;
    assert!(replies[2].starts_with("250 2.0.0") && replies[3].starts_with("250 2.0.0"), "{replies:?}");
    assert_eq!(replies[4], "250 2.0.0 OK 1 - gsmtp", "{replies:?}");
    assert_eq!(sandbox.mail_bytes(1).unwrap().as_ref(), b"Subject: ab\r\n\r\n");
}

#[tokio::test]
async fn a_refused_recipient_is_echoed_by_503_and_its_bytes_are_swallowed() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    // Content that would do harm if it were read as commands.
    let replies = client.mail("nobody", "QUIT\r\nQUIT\r\n").await;
    assert!(replies[1].starts_with("553 5.1.3"), "{replies:?}");
    assert_eq!(replies[2], "503 5.5.1 RCPT first. - gsmtp");
    assert!(client.ask("RSET").await.starts_with("250 2.1.5"));
    let replies = client.mail("you@example.net", &mail_with_id("next@x")).await;
    assert_eq!(replies[2], "250 2.0.0 OK 1 - gsmtp");
}

#[tokio::test]
async fn without_rset_the_next_mail_is_nested() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    assert!(client.ask(&format!("MAIL FROM:<{ME}>")).await.starts_with("250"));
    assert!(client.ask(&format!("MAIL FROM:<{ME}>")).await.starts_with("503 5.5.1"));
}

#[tokio::test]
async fn data_takes_the_dots_off() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.send(format!("MAIL FROM:<{ME}>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n")).await;
    assert!(client.replies(3).await[2].starts_with("354"));
    client.send("Message-ID: <d@x>\r\n\r\n..\r\n..a\r\nb.\r\n.\r\nNOOP\r\n").await;
    assert_eq!(client.reply().await, "250 2.0.0 OK 1 - gsmtp");
    assert_eq!(client.reply().await, "250 2.0.0 OK - gsmtp");
    assert_eq!(sandbox.mail_bytes(1).unwrap().as_ref(), b"Message-ID: <d@x>\r\n\r\n.\r\n.a\r\nb.\r\n");
    assert!(!sandbox.mails()[0].chunked);
}

#[tokio::test]
async fn bare_line_feeds_are_refused_and_do_not_end_a_mail() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.send(format!("MAIL FROM:<{ME}>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n")).await;
    client.replies(3).await;
    client.send("Subject: x\r\n\r\na\n.\r\nMAIL FROM:<smuggled@x.example>\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("550 5.6.11"));
    assert!(client.mail("you@example.net", "Subject: x\n\nHi\n").await[2].starts_with("550 5.6.11"));
    assert_eq!(sandbox.stats().mails_accepted, 0);
    assert_eq!(sandbox.stats().command("MAIL"), 2);
}

#[tokio::test]
async fn sizes_over_the_limit_are_refused_at_mail_and_after_the_content() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    assert!(client.ask(&format!("MAIL FROM:<{ME}> SIZE=35882578")).await.starts_with("552-5.3.4"));
    assert!(client.ask(&format!("MAIL FROM:<{ME}> SIZE=35882577")).await.starts_with("250"));
    assert!(client.ask("RCPT TO:<a@x.example>").await.starts_with("250"));
    client.send("BDAT 35882578 LAST\r\n").await;
    for piece in vec![b'x'; 35_882_578].chunks(1 << 20) {
        client.send(piece).await;
    }
    assert!(client.reply().await.starts_with("552-5.3.4"));
    assert!(client.mail("you@example.net", &mail_with_id("a@x")).await[2].starts_with("250"));
}

#[tokio::test]
async fn doubled_ids_are_counted_for_each_recipient() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    for (to, id) in [("a@x.example", "1@x"), ("a@x.example", "2@x"), ("b@x.example", "1@x"), ("a@x.example", "1@x")] {
        client.mail(to, &mail_with_id(id)).await;
    }
    client.mail("a@x.example", "Subject: no id\r\n\r\n").await;
    let stats = sandbox.stats();
    assert_eq!((stats.mails_accepted, stats.distinct, stats.doubled, stats.without_message_id), (5, 3, 1, 1));
    let doubled = sandbox.doubled();
    assert_eq!(doubled.len(), 1);
    assert_eq!(
        (doubled[0].recipient.as_str(), doubled[0].message_id.as_str(), doubled[0].times),
        ("a@x.example", "<1@x>", 2)
    );
    sandbox.reset();
    assert_eq!((sandbox.stats().mails_accepted, sandbox.stats().doubled, sandbox.mails().len()), (0, 0, 0));
    assert_eq!(sandbox.stats().open_connections, 1);
}

#[tokio::test]
async fn without_bytes_the_hash_is_kept() {
    let sandbox = Sandbox::start(Config { keep: Keep::None, ..Config::default() }).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    for id in ["1@x", "22@x"] {
        client.mail("a@x.example", &mail_with_id(id)).await;
    }
    assert_eq!(sandbox.mail_bytes(2), None);
    let hashes: Vec<u64> = sandbox.mails().iter().map(|mail| mail.hash).collect();
    assert_eq!(hashes, ["1@x", "22@x"].map(|id| content_hash(mail_with_id(id).as_bytes())));
}

#[tokio::test]
async fn without_pipelining_commands_sent_ahead_end_the_connection() {
    let sandbox = Sandbox::start(Config { pipelining: false, ..Config::default() }).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    let mail = mail_with_id("1@x");
    assert!(client.ask(&format!("MAIL FROM:<{ME}>")).await.starts_with("250"));
    assert!(client.ask("RCPT TO:<a@x.example>").await.starts_with("250"));
    client.send(format!("BDAT {} LAST\r\n{mail}", mail.len())).await;
    assert!(client.reply().await.starts_with("250"));
    client.send(flight("a@x.example", &mail)).await;
    assert!(client.reply().await.starts_with("451 4.5.0"));
    assert!(client.try_reply().await.is_err());
    assert_eq!((sandbox.stats().pipelining_violations, sandbox.stats().mails_accepted), (1, 1));
}

#[tokio::test]
async fn without_chunking_bdat_is_unknown() {
    let sandbox = Sandbox::start(Config { chunking: false, ..Config::default() }).await.unwrap();
    let mut client = Client::logged_in(&sandbox, ME).await;
    assert!(client.mail("a@x.example", "QUIT\r\n").await[2].starts_with("502 5.5.1"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert_eq!(client.try_reply().await, Err(End::Closed));
}

#[tokio::test]
async fn the_hundred_and_first_recipient_is_refused() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.ask(&format!("MAIL FROM:<{ME}>")).await;
    for i in 0..100 {
        assert!(client.ask(&format!("RCPT TO:<{i}@x.example>")).await.starts_with("250"));
    }
    assert!(client.ask("RCPT TO:<100@x.example>").await.starts_with("452 4.5.3"));
}
