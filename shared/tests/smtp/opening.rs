//! Opening a connection: TLS, greeting, login, and when it is used up.

use std::sync::Arc;
use std::time::Duration;

use postroom_shared::reply::{Silence, Stage};
use postroom_shared::smtp::{Connection, Dialer, End, SmtpSettings};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{
    BODY, BOTH, GMAIL, PLAIN, SHORT, Server, account, open, opening, patient, reply, send, settings, silence, token,
};

#[tokio::test]
async fn silence_before_the_login_is_told_with_its_stage() {
    for (stage, said) in [(Stage::Greeting, ""), (Stage::Ehlo, "220 hi\n")] {
        let (mut server, client) = opening(settings(SHORT), 1_024);
        server.say(said).await;
        let reply = client.await.unwrap().err().unwrap();
        assert_eq!(silence(&End::Lost(reply)), (stage, Silence::Timeout));
    }
    let (mut server, client) = opening(patient(), 1_024);
    server.say("421 4.7.0 try again later\n").await;
    drop(server);
    let refused = reply(Stage::Greeting, 421, (4, 7, 0), "try again later");
    assert_eq!(client.await.unwrap().err().unwrap(), refused);
    let (mut server, client) = opening(patient(), 1_024);
    server.say("220 hi\n").await;
    server.line().await;
    server.say("550 5.7.1 who are you\n").await;
    drop(server);
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Ehlo, 550, (5, 7, 1), "who are you"));
}

#[tokio::test]
async fn a_refused_token_is_answered_with_an_empty_line() {
    let (mut server, client) = opening(patient(), 4_096);
    server.greet(GMAIL).await;
    server.line().await;
    server.say("334 eyJzdGF0dXMiOiI0MDAifQ==\n").await;
    server.hears(&[""]).await;
    server.say("535-5.7.8 Username and Password not accepted. For more information, go to\n535 5.7.8  https://x.test - gsmtp\n").await;
    let text = "Username and Password not accepted. For more information, go to https://x.test - gsmtp";
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Auth, 535, (5, 7, 8), text));

    let (mut server, client) = opening(patient(), 4_096);
    server.greet(GMAIL).await;
    server.line().await;
    server.say("454 4.7.0 Too many login attempts\n").await;
    assert_eq!(client.await.unwrap().err().unwrap(), reply(Stage::Auth, 454, (4, 7, 0), "Too many login attempts"));

    let (mut server, client) = opening(patient(), 4_096);
    server.greet(&["AUTH PLAIN"]).await;
    assert_eq!(client.await.unwrap().err().unwrap().code(), Some(504));
}

#[tokio::test]
async fn a_connection_is_spent_before_its_token_ends() {
    let (_server, connection) = open(PLAIN).await;
    let opened = connection.opened();
    assert!(!connection.is_spent(opened.after(Duration::from_secs(3_290))));
    assert!(connection.is_spent(opened.after(Duration::from_secs(3_301))));
    assert!(connection.reusable());
}

fn certificate(name: &str) -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (certificate, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn over_tls_the_name_is_checked_and_sessions_resume() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (root, acceptor) = certificate("mx.test");
    let tls = SmtpSettings { roots: vec![root], connect: ("127.0.0.1".to_owned(), port), ..patient() };
    let dialer = Arc::new(Dialer::new(tls.clone()).unwrap());
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let dialer = dialer.clone();
        let opening = tokio::spawn(async move { Connection::open(&dialer, &account(), &token()).await });
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut server = Server(BufReader::new(stream));
        server.log_in(GMAIL).await;
        let sending = send(opening.await.unwrap().unwrap(), BOTH, BODY);
        server.flight().await;
        server.say("250 OK\n250 OK\n250 OK\n250 2.0.0 OK\n").await;
        let (connection, outcome) = sending.await.unwrap();
        assert!(matches!(outcome.end, End::Accepted(_)) && connection.reusable());
        assert_eq!(server.0.get_ref().get_ref().1.handshake_kind(), Some(expected));
    }
    let wrong = Dialer::new(SmtpSettings { host: "other.test".to_owned(), ..tls.clone() }).unwrap();
    let refused = tokio::spawn(async move { Connection::open(&wrong, &account(), &token()).await });
    let _ = acceptor.accept(listener.accept().await.unwrap().0).await;
    assert_eq!(silence(&End::Lost(refused.await.unwrap().err().unwrap())), (Stage::Connect, Silence::Tls));
    drop(listener);
    let gone = Connection::open(&dialer, &account(), &token()).await.err().unwrap();
    assert_eq!(silence(&End::Lost(gone)), (Stage::Connect, Silence::Unreachable));
}
