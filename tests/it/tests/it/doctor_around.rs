//! `postroom doctor`: broken ways to the servers, and broken records of the sending domains.

use postroom_it::{Persistence, RigOptions};
use postroom_sandbox::{Action, ConfigChange, Fault, Stage};

use crate::doctor::{Clinic, RECORDS};

/// A port of loopback on which nobody listens: it was free a moment ago, and is not given out while it is bound.
fn closed_port() -> (std::net::TcpListener, String) {
    // Bound, but to another address of loopback: at 127.0.0.1 nobody answers.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("127.0.0.1:{port}"))
}

fn url(clinic: &Clinic, name: &str) -> String {
    format!("smtps://{name}:465?connect={}", clinic.rig.sandbox.smtp_addr())
}

#[tokio::test]
async fn the_token_endpoint_is_down() {
    let clinic = Clinic::open().await;
    let (_kept, closed) = closed_port();
    let token_url = format!("http://{closed}/token");
    let told = clinic.ask_with(&[], &[("POSTROOM_TOKEN_URL", &token_url)]).await;
    told.is(&[("port-closed", "error"), ("token-unavailable", "error")]);
    assert!(told.finding("port-closed")["what"].as_str().unwrap().contains("POSTROOM_TOKEN_URL"));
    assert_eq!(told.finding("clock-unknown")["severity"], "note");

    clinic.rig.sandbox.add_fault(Fault::new(Stage::Token, Action::http(503, ""))).unwrap();
    clinic.ask().await.is(&[("token-unavailable", "error")]);
}

#[tokio::test]
async fn the_smtp_port_is_closed_or_its_name_is_unknown() {
    let clinic = Clinic::open().await;
    let (_kept, closed) = closed_port();
    let smtp = format!("smtps://smtp.gmail.com:465?connect={closed}");
    let told = clinic.ask_with(&[], &[("POSTROOM_SMTP_URL", &smtp)]).await;
    told.is(&[("port-closed", "error"), ("login-failed", "warning")]);
    assert!(told.finding("port-closed")["about"].as_str().unwrap().starts_with("smtp.gmail.com at 127.0.0.1:"));
    // An empty label: no name, so that no resolver is asked for it.
    let imap = "imaps://imap.gmail.com?connect=no..name:993";
    clinic.ask_with(&[], &[("POSTROOM_IMAP_URL", imap)]).await.is(&[("name-unresolved", "error")]);
    let off = clinic.ask_with(&[], &[("POSTROOM_IMAP_URL", "off")]).await;
    off.is(&[]);
    assert_eq!(off.finding("imap-off")["severity"], "note");
}

#[tokio::test]
async fn certificates_of_another_name_and_of_an_unknown_authority() {
    let clinic = Clinic::open().await;
    let named = url(&clinic, "mail.example.org");
    let told = clinic.ask_with(&[], &[("POSTROOM_SMTP_URL", &named)]).await;
    told.is(&[("certificate-name", "error"), ("login-failed", "warning")]);
    let told = clinic.ask_with(&[], &[("POSTROOM_TLS_CA_FILE", "")]).await;
    told.is(&[("certificate-authority", "error"), ("certificate-authority", "error"), ("login-failed", "warning")]);
    // A port without TLS, such as one for STARTTLS.
    let plain = format!("smtps://smtp.gmail.com:465?connect={}", clinic.rig.sandbox.http_addr());
    let told = clinic.ask_with(&[], &[("POSTROOM_SMTP_URL", &plain)]).await;
    told.is(&[("tls-failed", "error"), ("login-failed", "warning")]);
}

#[tokio::test]
async fn a_server_that_greets_with_a_refusal_or_offers_no_xoauth2() {
    let clinic = Clinic::open().await;
    let busy = Action::reply("421 4.7.0 Try again later, closing connection. - gsmtp");
    let fault = clinic.rig.sandbox.add_fault(Fault::new(Stage::Greeting, busy)).unwrap();
    clinic.ask().await.is(&[("server-silent", "error"), ("login-failed", "warning")]);
    clinic.rig.sandbox.remove_fault(fault);
    clinic.rig.sandbox.set_config(&ConfigChange { xoauth2: Some(false), ..ConfigChange::default() });
    let told = clinic.ask().await;
    told.is(&[("xoauth2-missing", "error")]);
    assert_eq!(told.finding("login-not-tried")["severity"], "note");
}

#[tokio::test]
async fn logins_that_fail_for_now_or_are_used_up() {
    let clinic = Clinic::open().await;
    let fault = Fault::new(Stage::Auth, Action::reply("454 4.7.0 Too many login attempts - gsmtp"));
    let fault = clinic.rig.sandbox.add_fault(fault).unwrap();
    let once = [("POSTROOM_LOGIN_BURST", "1"), ("POSTROOM_LOGIN_INTERVAL", "1h")];
    clinic.ask_with(&[], &once).await.is(&[("login-failed", "warning")]);
    clinic.rig.sandbox.remove_fault(fault);
    let told = clinic.ask_with(&[], &once).await;
    told.is(&[]);
    assert!(told.finding("login-not-tried")["what"].as_str().unwrap().contains("used up"));
}

/// The troubles of a domain with other records than those that are in order.
async fn with_records(replaced: &str, by: &[(&str, &str)]) -> crate::doctor::Told {
    let records: Vec<_> = RECORDS.into_iter().filter(|(name, _)| *name != replaced).chain(by.iter().copied()).collect();
    let options = RigOptions { persistence: Persistence::Always, ..RigOptions::default() };
    Clinic::with(options, &records).await.ask().await
}

#[tokio::test]
async fn spf() {
    let at = "example.com";
    with_records(at, &[]).await.is(&[("spf-missing", "warning")]);
    with_records(at, &[(at, "v=spf1 -all"), (at, "v=spf1 include:_spf.google.com ~all")])
        .await
        .is(&[("spf-many", "error")]);
    with_records(at, &[(at, "v=spf1 ip4:192.0.2.1 -all")]).await.is(&[("spf-google", "warning")]);
    with_records(at, &[(at, "v=spf1 include:_spf.google.com +all")]).await.is(&[("spf-open", "error")]);
    // Google's senders two includes away; a text of more than 255 bytes.
    let long = format!("v=spf1 {}include:mail.example.com ~all", "ip4:192.0.2.1 ".repeat(30));
    with_records(at, &[(at, &long), ("mail.example.com", "v=spf1 redirect=_spf.google.com")]).await.is(&[]);
    // A circle, as a receiver would follow it.
    let circle = [(at, "v=spf1 include:a.example.com ~all"), ("a.example.com", "v=spf1 include:example.com mx ~all")];
    with_records(at, &circle).await.is(&[("spf-lookups", "error")]);
}

#[tokio::test]
async fn dkim_dmarc_and_neither() {
    let (dkim, dmarc) = ("google._domainkey.example.com", "_dmarc.example.com");
    with_records(dkim, &[]).await.is(&[("dkim-missing", "warning")]);
    with_records(dkim, &[(dkim, "v=DKIM1; p=")]).await.is(&[("dkim-revoked", "warning")]);
    with_records(dmarc, &[]).await.is(&[("dmarc-missing", "warning")]);
    with_records(dmarc, &[(dmarc, "v=DMARC1; p=maybe")]).await.is(&[("dmarc-wrong", "warning")]);
    let options = RigOptions { persistence: Persistence::Always, ..RigOptions::default() };
    let bare = Clinic::with(options, &RECORDS[3..]).await;
    bare.ask().await.is(&[("spf-missing", "warning"), ("dkim-missing", "warning"), ("sender-unproven", "error")]);
    // Another selector; a domain below one with a DMARC record.
    let options = RigOptions { persistence: Persistence::Always, ..RigOptions::default() };
    let records = [RECORDS[0], RECORDS[1], ("mail2026._domainkey.example.com", "v=DKIM1; p=MIGf"), RECORDS[3]];
    let clinic = Clinic::with(options, &records).await;
    clinic.ask_with(&["--dkim-selector", "mail2026"], &[]).await.is(&[]);
}

#[tokio::test]
async fn dns_that_gives_no_answer_keeps_nobody_from_the_rest() {
    let clinic = Clinic::open().await;
    let (_kept, closed) = closed_port();
    let told = clinic.ask_with(&["--resolver", &closed], &[]).await;
    let only: Vec<_> = told.troubles();
    assert!(!only.is_empty() && only.iter().all(|it| *it == ("dns-unanswered", "warning")), "{only:?}");
    assert_eq!((told.finding("login")["severity"].as_str(), told.code), (Some("ok"), 0));
}
