//! The dialogue when all goes well: with Gmail, with servers that offer less, and more than once on one connection.

use std::time::Duration;

use postroom_worker::sent::{Looked, SentError};

use crate::server::{GMAIL, ID, LOGIN, PATIENT, PLAIN, look, open, opening, token};

const SENT: &str = "[Gmail]/Sent Mail";

#[tokio::test]
async fn gmail_is_asked_by_its_own_index_and_each_look_opens_the_mailbox_anew() {
    let (mut server, session) = open(GMAIL, PATIENT).await;
    let first = look(session);
    server.examine("P3", SENT).await;
    server.hears(r#"P4 UID SEARCH X-GM-RAW "rfc822msgid:1@x.example""#).await;
    server.say("* SEARCH\nP4 OK SEARCH completed (Success)\n").await;
    let (session, looked) = first.await.unwrap();
    assert_eq!(looked, Ok(Looked::NotFound));
    let second = look(session);
    server.examine("P5", SENT).await;
    server.hears(r#"P6 UID SEARCH X-GM-RAW "rfc822msgid:1@x.example""#).await;
    server.say("* 18 EXISTS\n* SEARCH 18\nP6 OK SEARCH completed (Success)\n").await;
    let (session, looked) = second.await.unwrap();
    assert_eq!(looked, Ok(Looked::Found(1)));
    let closing = tokio::spawn(session.close());
    server.hears("P7 LOGOUT").await;
    server.say("* BYE LOGOUT Requested\nP7 OK Quoth the raven, nevermore...\n").await;
    closing.await.unwrap();
}

#[tokio::test]
async fn a_server_without_gmails_extensions_is_asked_by_the_header() {
    let (mut server, client) = opening(PATIENT);
    server.greet(PLAIN).await;
    server.hears("LOGIN AUTHENTICATE XOAUTH2").await;
    server.say("+ \n").await;
    server.hears(LOGIN).await;
    server.say("LOGIN OK Logged in\n").await;
    server.hears("P2 CAPABILITY").await;
    server.say("* CAPABILITY IMAP4rev1 SPECIAL-USE\nP2 OK done\n").await;
    server
        .list("P3", "* LIST () \".\" INBOX\n* LIST (\\Sent) \".\" Sent\n* LIST (\\Sent) \".\" \"Sent Messages\"\n")
        .await;
    let looking = look(client.await.unwrap().unwrap());
    for (examine, search, mailbox) in [("P4", "P5", "Sent"), ("P6", "P7", "Sent Messages")] {
        server.examine(examine, mailbox).await;
        server.hears(&format!("{search} UID SEARCH HEADER Message-ID \"{ID}\"")).await;
        server.say(&format!("* SEARCH\n{search} OK Search completed.\n")).await;
    }
    assert_eq!(looking.await.unwrap().1, Ok(Looked::NotFound));
}

#[tokio::test]
async fn offers_may_come_with_the_ok_to_the_login() {
    let (mut server, client) = opening(PATIENT);
    server.greet("IMAP4rev1 SASL-IR AUTH=XOAUTH2").await;
    server.hears(&format!("LOGIN AUTHENTICATE XOAUTH2 {LOGIN}")).await;
    server.say("LOGIN OK [CAPABILITY IMAP4rev1 X-GM-EXT-1] Logged in\n").await;
    server.list("P2", "* LIST () \"/\" \"Sent Items\"\n").await;
    let looking = look(client.await.unwrap().unwrap());
    server.examine("P3", "Sent Items").await;
    server.hears(r#"P4 UID SEARCH X-GM-RAW "rfc822msgid:1@x.example""#).await;
    server.say("* SEARCH 3 9\nP4 OK done\n").await;
    assert_eq!(looking.await.unwrap().1, Ok(Looked::Found(2)));
}

#[tokio::test]
async fn a_connection_is_spent_before_its_token_ends_and_bad_ids_never_leave() {
    let (_server, mut session) = open(GMAIL, PATIENT).await;
    let now = token().issued();
    assert!(!session.is_spent(now.after(Duration::from_secs(3_290))));
    assert!(session.is_spent(now.after(Duration::from_secs(3_301))));
    assert_eq!(session.look("<1@x>\r\nP9 DELETE Sent").await, Err(SentError::MessageId));
}
