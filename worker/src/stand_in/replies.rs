//! What the stand-in says. Every reply that may come into a timeline says that nothing was sent. Data only.

pub(super) const GREETING: &str = "220 stand-in.postroom.test ESMTP simulated (test mode: nothing is sent)";
/// As Gmail offers it (`SIZE` and all), so that the same mails can be carried.
pub(super) const OFFERS: &str = "250-stand-in.postroom.test at your service\r\n250-SIZE 35882577\r\n250-8BITMIME\r\n\
     250-AUTH XOAUTH2\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8";
pub(super) const LOGGED_IN: &str = "235 2.7.0 Accepted (test mode: no token was asked for)";
pub(super) const SENDER_OK: &str = "250 2.1.0 OK (test mode: nothing was sent)";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 OK (test mode: nothing was sent)";
pub(super) const GO_AHEAD: &str = "354 Go ahead (test mode: nothing is sent)";
pub(super) const TAKEN: &str = "250 2.0.0 OK (test mode: nothing was sent)";
pub(super) const CHUNK_OK: &str = "250 2.0.0 OK, go on (test mode: nothing was sent)";
pub(super) const NOTHING_DONE: &str = "250 2.0.0 OK";
pub(super) const BYE: &str = "221 2.0.0 closing connection";
/// In Gmail's words.
pub(super) const NO_SUCH_USER: &str = "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n\
     550-5.1.1 double-checking the recipient's email address for typos or\r\n\
     550-5.1.1 unnecessary spaces. For more information, go to\r\n\
     550 5.1.1  https://support.google.com/mail/?p=NoSuchUser (test mode: nothing was sent)";
pub(super) const NOT_NOW: &str = "451 4.3.0 Mail server temporarily rejected message. (test mode: nothing was sent)";
pub(super) const RCPT_FIRST: &str = "503 5.5.1 RCPT first. (test mode: nothing was sent)";
pub(super) const MAIL_FIRST: &str = "503 5.5.1 MAIL first. (test mode: nothing was sent)";
pub(super) const UNKNOWN_COMMAND: &str = "502 5.5.1 Unrecognized command. (test mode: nothing was sent)";
