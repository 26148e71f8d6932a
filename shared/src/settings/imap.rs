//! Where the Sent mailbox is: read by the worker, which asks it, and by `postroom doctor`, which looks whether it can be reached.

use super::Source;
use crate::dial::{Scheme, Server};
use crate::smtp::SmtpSettings;

const URL: &str = "POSTROOM_IMAP_URL";
const FORM: &str = "write imaps://imap.gmail.com:993, if need be with ?connect=HOST:PORT, or off";
const GMAILS: [&str; 2] = ["smtp.gmail.com", "smtp-relay.gmail.com"];

/// `POSTROOM_IMAP_URL`: the IMAP server, or `None` for `off`. Default `imaps://imap.gmail.com:993` if mail really goes to
/// Gmail (`POSTROOM_SMTP_URL` names it and has no `?connect=`), else off.
pub fn imap_server(source: &mut Source, smtp: &SmtpSettings) -> Option<Server> {
    let Some(text) = source.text(URL) else {
        let is_gmail = GMAILS.contains(&smtp.host.as_str()) && smtp.connect.0 == smtp.host;
        return is_gmail.then(|| Server::named(Scheme::Imaps, "imap.gmail.com"));
    };
    if text.trim() == "off" {
        return None;
    }
    match Server::parse(Scheme::Imaps, text.trim()) {
        Ok(server) => Some(server),
        Err(what) => {
            source.fault(URL, &format!("{what}: {FORM}"));
            None
        }
    }
}
