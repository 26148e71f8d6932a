//! Scripted faults at each stage.

use std::time::{Duration, Instant};

use postroom_sandbox::{Action, ConfigChange, Fault, Sandbox, Stage};

use crate::client::{Client, End, ME, access_token, flight, mail_with_id, sandbox};

fn add(sandbox: &Sandbox, fault: Fault) {
    sandbox.add_fault(fault).unwrap();
}

#[tokio::test]
async fn connect_can_be_cut_before_tls() {
    let sandbox = sandbox().await;
    add(&sandbox, Fault::new(Stage::Connect, Action::Cut).times(1));
    assert!(Client::dial(&sandbox).await.is_err());
    Client::greeted(&sandbox).await;
}

#[tokio::test]
async fn greeting_and_ehlo_can_be_refused() {
    let sandbox = sandbox().await;
    add(&sandbox, Fault::new(Stage::Greeting, Action::reply("421 4.7.0 Try again later")).times(1));
    let mut client = Client::dial(&sandbox).await.unwrap();
    assert_eq!(client.reply().await, "421 4.7.0 Try again later");
    assert_eq!(client.try_reply().await, Err(End::Closed));

    add(&sandbox, Fault::new(Stage::Ehlo, Action::reply("550 5.7.1 no\n550 5.7.1 really")).times(1));
    let mut client = Client::dial(&sandbox).await.unwrap();
    client.reply().await;
    assert_eq!(client.ask("EHLO client.example").await, "550-5.7.1 no\n550 5.7.1 really");
    assert!(client.ask("EHLO client.example").await.starts_with("250-"));
}

#[tokio::test]
async fn auth_can_be_refused_for_one_account() {
    let sandbox = sandbox().await;
    add(
        &sandbox,
        Fault::new(Stage::Auth, Action::reply("454 4.7.0 Too many login attempts")).account("ME@example.com"),
    );
    Client::logged_in(&sandbox, "other@example.com").await;
    let token = access_token(&sandbox, ME).await;
    let mut client = Client::greeted(&sandbox).await;
    assert!(client.auth(ME, &token).await.starts_with("454 4.7.0"));
    assert_eq!(sandbox.stats().account(ME).logins_refused, 1);
}

#[tokio::test]
async fn garbage_is_said_and_the_connection_closed() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Final, Action::Garbage("HTTP/1.1 400 Bad Request".to_owned())));
    let replies = client.mail("a@x.example", &mail_with_id("1@x")).await;
    assert_eq!(replies[2], "HTTP/1.1 400 Bad Request");
    assert!(client.line().await.is_err() && sandbox.mails().is_empty());
}

#[tokio::test]
async fn a_refused_mail_echoes_through_the_flight() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Mail, Action::reply("550 5.4.5 Daily user sending limit exceeded.")).times(1));
    let replies = client.mail("a@x.example", "QUIT\r\n").await;
    assert!(replies[0].starts_with("550 5.4.5") && replies[2].starts_with("503 5.5.1 MAIL first"), "{replies:?}");
    assert!(client.mail("a@x.example", &mail_with_id("1@x")).await[2].starts_with("250"));
}

#[tokio::test]
async fn one_recipient_of_two_can_be_refused() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Rcpt, Action::reply("550 5.1.1 No such user")).recipient("nobody@"));
    let mail = mail_with_id("1@x");
    client
        .send(format!(
            "MAIL FROM:<{ME}>\r\nRCPT TO:<nobody@x.example>\r\nRCPT TO:<b@x.example>\r\nBDAT {} LAST\r\n{mail}",
            mail.len()
        ))
        .await;
    let replies = client.replies(4).await;
    assert!(replies[1].starts_with("550 5.1.1") && replies[3].starts_with("250 2.0.0"), "{replies:?}");
    assert_eq!(sandbox.mails()[0].recipients, ["b@x.example"]);
}

#[tokio::test]
async fn data_can_be_refused_by_either_way() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Data, Action::reply("451 4.3.0 Temporarily rejected")).times(2));
    assert!(client.mail("a@x.example", "QUIT\r\n").await[2].starts_with("451 4.3.0"));
    assert!(client.ask("RSET").await.starts_with("250"));
    client.send(format!("MAIL FROM:<{ME}>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n")).await;
    assert!(client.replies(3).await[2].starts_with("451 4.3.0"));
    assert!(client.mail("a@x.example", &mail_with_id("1@x")).await[2].starts_with("250"));
}

#[tokio::test]
async fn each_mail_fails_twice_and_then_goes() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(
        &sandbox,
        Fault::new(Stage::Final, Action::reply("451 4.3.0 Mail server temporarily rejected message")).per_mail_times(2),
    );
    let mut codes = Vec::new();
    for id in ["1@x", "2@x", "1@x", "1@x", "2@x", "2@x"] {
        codes.push(client.mail("a@x.example", &mail_with_id(id)).await[2][..3].to_owned());
    }
    assert_eq!(codes, ["451", "451", "451", "250", "451", "250"]);
    assert_eq!(sandbox.stats().refused[&451], 4);
    assert_eq!(sandbox.faults()[0].fired, 4);
}

#[tokio::test]
async fn each_recipient_fails_once() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Rcpt, Action::reply("450 4.2.1 Too quickly")).per_mail_times(1));
    client.ask(&format!("MAIL FROM:<{ME}>")).await;
    let mut codes = Vec::new();
    for to in ["a@x.example", "b@x.example", "a@x.example"] {
        codes.push(client.ask(&format!("RCPT TO:<{to}>")).await[..3].to_owned());
    }
    assert_eq!(codes, ["450", "450", "250"]);
}

#[tokio::test]
async fn accept_then_cut_stores_the_mail_and_never_says_so() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Final, Action::AcceptThenCut).subject("Hello 1@x"));
    client.send(flight("a@x.example", &mail_with_id("1@x"))).await;
    // Replies to MAIL and RCPT may or may not come through; the last one never does.
    let mut replies = Vec::new();
    let end = loop {
        match client.try_reply().await {
            Ok(reply) => replies.push(reply),
            Err(end) => break end,
        }
    };
    assert!(replies.len() <= 2 && end == End::Broken, "{replies:?} {end:?}");
    assert_eq!(sandbox.mails()[0].message_id.as_deref(), Some("<1@x>"));
    assert_eq!(sandbox.stats().account(ME).open_sessions, 0);
}

#[tokio::test]
async fn cut_at_final_stores_nothing() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Final, Action::Cut));
    client.send(flight("a@x.example", &mail_with_id("1@x"))).await;
    while client.try_reply().await.is_ok() {}
    assert_eq!(sandbox.stats().mails_accepted, 0);
}

#[tokio::test]
async fn silence_keeps_the_connection_open() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Final, Action::Silence));
    client.send(flight("a@x.example", &mail_with_id("1@x"))).await;
    assert_eq!(client.replies(2).await.len(), 2);
    assert!(client.is_silent_for(Duration::from_millis(200)).await);
    assert_eq!((sandbox.stats().mails_accepted, sandbox.stats().open_connections), (0, 1));
}

#[tokio::test]
async fn delays_come_before_or_after_the_mail_is_stored() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    add(&sandbox, Fault::new(Stage::Mail, Action::DelayMs(150)).times(1));
    let start = Instant::now();
    client.mail("a@x.example", &mail_with_id("1@x")).await;
    assert!(start.elapsed() >= Duration::from_millis(150));

    add(&sandbox, Fault::new(Stage::Final, Action::StoreAndDelayMs(60_000)));
    client.send(flight("a@x.example", &mail_with_id("2@x"))).await;
    assert!(sandbox.wait_for_mails(2, Duration::from_secs(20)).await);
    client.replies(2).await;
    assert!(client.is_silent_for(Duration::from_millis(100)).await);
}

#[tokio::test]
async fn who_hangs_up_in_a_delay_is_no_longer_connected_and_the_mail_is_still_dealt_with() {
    let sandbox = sandbox().await;
    add(&sandbox, Fault::new(Stage::Final, Action::StoreAndDelayMs(60_000)));
    let mut client = Client::logged_in(&sandbox, ME).await;
    client.send(flight("a@x.example", &mail_with_id("1@x"))).await;
    assert!(sandbox.wait_for_mails(1, Duration::from_secs(20)).await);
    assert_eq!(sandbox.stats().account(ME).open_sessions, 1);
    // Bytes that nobody read yet must not hide the end.
    client.send("NOOP\r\n").await;
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(20);
    while sandbox.stats().account(ME).open_sessions > 0 {
        assert!(Instant::now() < deadline, "the session still counts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sandbox.stats().open_connections, 1, "the server is busy with the mail until the delay is over");
}

#[tokio::test]
async fn latency_is_paid_once_a_flight() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    sandbox.set_config(&ConfigChange { latency_ms: Some(1000), ..ConfigChange::default() });
    let start = Instant::now();
    client.mail("a@x.example", &mail_with_id("1@x")).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(3), "paid once for each reply");
}

#[tokio::test]
async fn a_421_closes_and_rules_can_be_taken_away() {
    let sandbox = sandbox().await;
    let mut client = Client::logged_in(&sandbox, ME).await;
    let id = sandbox.add_fault(Fault::new(Stage::Final, Action::reply("421 4.7.28 Unusual rate"))).unwrap();
    assert!(client.mail("a@x.example", &mail_with_id("1@x")).await[2].starts_with("421 4.7.28"));
    assert_eq!(client.try_reply().await, Err(End::Closed));
    assert!(sandbox.remove_fault(id) && !sandbox.remove_fault(id));
    let mut client = Client::logged_in(&sandbox, ME).await;
    assert!(client.mail("a@x.example", &mail_with_id("1@x")).await[2].starts_with("250"));
    assert!(sandbox.add_fault(Fault::new(Stage::Connect, Action::reply("421 no"))).is_err());
}
