//! The replies of the simulated Gmail, word for word where Google publishes them. Data only.

pub(super) const GREETING: &str = "220 smtp.gmail.com ESMTP sandbox - gsmtp";
pub(super) const HELO: &str = "250 smtp.gmail.com at your service";
pub(super) const FLUSHED: &str = "250 2.1.5 Flushed - gsmtp";
pub(super) const NOTHING_DONE: &str = "250 2.0.0 OK - gsmtp";
pub(super) const SENDER_OK: &str = "250 2.1.0 OK - gsmtp";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 OK - gsmtp";
pub(super) const CHUNK_OK: &str = "250 2.0.0 OK, go on - gsmtp";
pub(super) const GO_AHEAD: &str = "354 Go ahead - gsmtp";
pub(super) const BYE: &str = "221 2.0.0 closing connection - gsmtp";
pub(super) const HELP: &str = "214 2.0.0 https://www.google.com/search?btnI&q=RFC+5321 - gsmtp";
pub(super) const VRFY: &str = "252 2.1.5 Send some mail, I'll try my best - gsmtp";
pub(super) const LOGGED_IN: &str = "235 2.7.0 Accepted";

pub(super) const UNKNOWN_COMMAND: &str = "502 5.5.1 Unrecognized command. - gsmtp";
pub(super) const SYNTAX: &str = "555 5.5.2 Syntax error. - gsmtp";
pub(super) const EMPTY_HELO: &str = "501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection. - gsmtp";
pub(super) const BAD_BDAT: &str = "501 5.5.4 Syntax error in BDAT arguments. - gsmtp";
pub(super) const LINE_TOO_LONG: &str = "500 5.5.2 Line too long. - gsmtp";
pub(super) const NO_CRLF: &str = "451 4.5.0 SMTP protocol violation, a line ended without CR. - gsmtp";
pub(super) const SENT_AHEAD: &str = "451 4.5.0 SMTP protocol violation, PIPELINING was not offered. - gsmtp";
pub(super) const BAD_RECIPIENT: &str = "553 5.1.3 The recipient address is not a valid RFC 5321 address. - gsmtp";
pub(super) const BAD_SENDER: &str = "553 5.1.7 The sender address is not a valid RFC 5321 address. - gsmtp";
pub(super) const NEEDS_SMTPUTF8: &str = "553 5.6.7 The address needs SMTPUTF8, which MAIL did not ask for. - gsmtp";

pub(super) const EHLO_FIRST: &str = "503 5.5.1 EHLO/HELO first. - gsmtp";
pub(super) const MAIL_FIRST: &str = "503 5.5.1 MAIL first. - gsmtp";
pub(super) const RCPT_FIRST: &str = "503 5.5.1 RCPT first. - gsmtp";
pub(super) const NESTED_MAIL: &str = "503 5.5.1 Nested MAIL command, RSET first. - gsmtp";
pub(super) const BDAT_BEGUN: &str = "503 5.5.1 DATA and BDAT cannot be mixed. - gsmtp";
pub(super) const MAIL_FAILED: &str = "503 5.5.1 The mail was refused, RSET first. - gsmtp";
pub(super) const ALREADY_LOGGED_IN: &str = "503 5.5.1 Already authenticated. - gsmtp";
pub(super) const LOGIN_INSIDE_MAIL: &str = "503 5.5.1 AUTH not permitted during a mail transaction. - gsmtp";

pub(super) const LOGIN_REQUIRED: &str = "530-5.7.0 Authentication Required. For more information, go to\r\n\
     530 5.7.0  https://support.google.com/accounts/troubleshooter/2402620. - gsmtp";
pub(super) const LOGIN_REFUSED: &str = "535-5.7.8 Username and Password not accepted. For more information, go to\r\n\
     535 5.7.8  https://support.google.com/mail/?p=BadCredentials - gsmtp";
pub(super) const UNKNOWN_MECHANISM: &str = "504 5.7.4 Unrecognized Authentication Type. - gsmtp";
pub(super) const CANNOT_DECODE: &str = "501 5.5.2 Cannot Decode response - gsmtp";
pub(super) const LOGIN_CANCELLED: &str = "501 5.7.0 Authentication canceled. - gsmtp";

pub(super) const TOO_MANY_SESSIONS: &str = "421 4.7.0 Try again later, closing connection. - gsmtp";
pub(super) const CONNECTION_EXPIRED: &str = "421 4.7.0 Connection expired, try reconnecting. - gsmtp";
pub(super) const TOO_MANY_RECIPIENTS: &str = "452 4.5.3 Your message has too many recipients. - gsmtp";
pub(super) const TOO_LARGE: &str = "552-5.3.4 Your message exceeded Google's message size limits. To view our message\r\n\
     552 5.3.4 size guidelines, go to https://support.google.com/mail/?p=MaxSizeError. - gsmtp";
/// Stricter than what is known of Gmail: a bare LF in a mail is a fault of the client that tests should see.
pub(super) const BARE_LF: &str = "550 5.6.11 The message contains a line feed without carriage return. - gsmtp";

/// Largest mail, as Gmail announces it.
pub(super) const MAX_SIZE: u64 = 35_882_577;
/// Most recipients of one mail over SMTP.
pub(super) const MAX_RECIPIENTS: usize = 100;
