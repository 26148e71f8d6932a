//! Forty wordings that are not in the table: other servers', other stages', and none at all.

use super::super::Row;
use super::{Class, found, table};
use crate::reason::Reason;
use crate::reply::Stage;

const WORDINGS: &[(Stage, &str, Class)] = {
    use Class::{Message, Recipient, Reconnect, Soon, Uncertain};
    use Stage::{Auth, Connect, Data, Ehlo, Final, Greeting, Mail, Rcpt};
    &[
        (Greeting, "421 Service not available, closing transmission channel", Soon),
        (Greeting, "421 4.7.1 Too many concurrent connections from your address", Soon),
        (Ehlo, "421 4.3.2 System not accepting network messages", Soon),
        (Auth, "421 4.7.0 Try something else", Soon),
        (Mail, "421 4.7.0 Goodbye", Reconnect),
        (Mail, "421 4.4.2 smtp.example.net Error: timeout exceeded", Reconnect),
        (Rcpt, "421 4.7.0 Try again later, closing connection. - gsmtp", Soon),
        (Rcpt, "421 4.2.1 Slow down", Soon),
        (Data, "421 4.7.99 A code that nobody knows - gsmtp", Soon),
        (Final, "421 Timeout waiting for data from client", Soon),
        (Auth, "432 4.7.12 A password transition is needed", Soon),
        (Mail, "441 4.4.1 No answer from host", Soon),
        (Rcpt, "450 4.2.0 Greylisted, see https://postgrey.example/help", Soon),
        (Rcpt, "450 4.1.2 Recipient address rejected: Domain not found", Soon),
        (Mail, "450 4.2.1 Mailbox busy", Soon),
        (Rcpt, "451 4.7.1 Please try again later", Soon),
        (Rcpt, "451 4.3.0 Something went wrong - gsmtp", Soon),
        (Final, "451 4.3.5 Server configuration problem", Soon),
        (Mail, "452 4.3.1 Insufficient system storage", Soon),
        (Mail, "452 4.5.3 Too many mails in this session", Soon),
        (Mail, "454 4.7.0 Temporary authentication failure", Soon),
        (Final, "499 4.9.9 Words from the future - gsmtp", Soon),
        (Rcpt, "550 No such user here", Recipient),
        (Rcpt, "550 5.1.0 Address rejected", Recipient),
        (Rcpt, "550 5.7.1 Relaying denied", Recipient),
        (Rcpt, "550 5.7.1 [203.0.113.7] Listed at a blocklist, unsolicited mail", Recipient),
        (Rcpt, "551 5.1.6 User not local; please try <ann@example.net>", Recipient),
        (Rcpt, "552 5.3.4 Message too big for this mailbox", Recipient),
        (Rcpt, "554 5.7.1 Access denied", Recipient),
        (Rcpt, "556 5.1.10 Domain does not accept mail", Recipient),
        (Connect, "554 No SMTP service here", Message),
        (Ehlo, "550 5.7.1 Your host name is on our list", Message),
        (Auth, "538 5.7.11 Encryption required for this mechanism", Message),
        (Mail, "550 5.1.8 Sender's domain not found", Message),
        (Mail, "553 5.7.1 Sender address rejected: not owned by user", Message),
        (Data, "554 5.5.1 No valid recipients", Message),
        (Final, "550 5.1.1 The email account that you tried to reach does not exist. - gsmtp", Message),
        (
            Final,
            "550-5.7.1 This message does not meet IPv6 sending guidelines regarding PTR records and authentication.",
            Message,
        ),
        (Final, "554 5.7.1 Message contains a virus", Message),
        (Final, "599 5.9.9 Words from the future - gsmtp", Message),
        (Final, "354 Go ahead, again", Uncertain),
        (Rcpt, "354 Go ahead, far too early", Soon),
    ]
};

#[test]
fn at_least_forty_unknown_wordings_find_a_fallback() {
    assert!(WORDINGS.len() >= 40);
    for (stage, wire, class) in WORDINGS {
        let (found, _, name) = found(*stage, wire);
        let row: &Row = table().rows().find(|row| row.name == name).unwrap();
        assert!(row.fallback, "{wire} is answered by {name}");
        assert_eq!(found, *class, "{wire}");
    }
}

#[test]
fn unknown_words_of_a_login_never_cost_a_mail() {
    for (wire, class, reason) in [
        ("535 Incorrect authentication data", Class::Token, Reason::TokenRefused),
        ("535-5.7.1 Username and Password not accepted. - gsmtp", Class::Token, Reason::TokenRefused),
        ("535 5.7.139 Authentication unsuccessful", Class::Token, Reason::TokenRefused),
        ("534 5.7.30 Basic authentication is not supported", Class::Consent, Reason::Consent),
    ] {
        let (found, why, _) = found(Stage::Auth, wire);
        assert_eq!((found, why), (class, reason), "{wire}");
    }
}
