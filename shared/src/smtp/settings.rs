//! Where the SMTP server is and how to talk to it. Only `smtps://` is known: a token never travels in the clear.

use std::time::Duration;

use crate::settings::{Source, TlsSettings};
use rustls::pki_types::CertificateDer;

use crate::dial::{Scheme, Server};

const URL: &str = "POSTROOM_SMTP_URL";
const FORM: &str = "write smtps://smtp.gmail.com:465, if need be with ?connect=HOST:PORT";

/// The SMTP server and how long to wait for it.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// `POSTROOM_SMTP_URL`: the name that the server's certificate must carry. Default `smtp.gmail.com`.
    pub host: String,
    /// The host and port that are dialled: those of the URL, or of its `?connect=`.
    pub connect: (String, u16),
    /// `POSTROOM_SMTP_CHUNKING`: `auto` uses `BDAT` where the server offers it, `off` never. Default `auto`.
    pub chunking: bool,
    /// `POSTROOM_EHLO_NAME`: what we call ourselves. Default this host's name if it has a dot, else (`None`) the
    /// connection's own address: some front ends refuse a generic name.
    pub ehlo_name: Option<String>,
    /// `POSTROOM_TLS_CA_FILE`: roots trusted beside the public ones.
    pub roots: Vec<CertificateDer<'static>>,
    /// For TCP and TLS together. 15 s.
    pub connect_timeout: Duration,
    /// `POSTROOM_SMTP_TIMEOUT`: for the reply to a command. Default 60 s.
    pub command_timeout: Duration,
    /// For the reply to a mail's bytes, and for any of them to leave. 5 min, or more if `POSTROOM_SMTP_TIMEOUT` is more.
    pub data_timeout: Duration,
}

impl SmtpSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let Server { host, connect } = read_url(source);
        let command_timeout = source.span(
            "POSTROOM_SMTP_TIMEOUT",
            Duration::from_secs(60),
            Duration::from_secs(1),
            Duration::from_secs(900),
        );
        Self {
            host,
            connect,
            chunking: read_chunking(source),
            ehlo_name: read_ehlo_name(source),
            roots: TlsSettings::read(source).extra_roots,
            connect_timeout: Duration::from_secs(15),
            command_timeout,
            data_timeout: command_timeout.max(Duration::from_secs(300)),
        }
    }
}

fn read_url(source: &mut Source) -> Server {
    let default = Server::named(Scheme::Smtps, "smtp.gmail.com");
    let Some(text) = source.text(URL) else { return default };
    match Server::parse(Scheme::Smtps, text.trim()) {
        Ok(server) => server,
        Err(what) => {
            source.fault(URL, &format!("{what}: {FORM}"));
            default
        }
    }
}

fn read_chunking(source: &mut Source) -> bool {
    const NAME: &str = "POSTROOM_SMTP_CHUNKING";
    match source.text(NAME).as_deref() {
        None | Some("auto") => true,
        Some("off") => false,
        Some(other) => {
            source.fault(NAME, &format!("{other:?} is not auto or off"));
            true
        }
    }
}

fn read_ehlo_name(source: &mut Source) -> Option<String> {
    const NAME: &str = "POSTROOM_EHLO_NAME";
    let Some(name) = source.text(NAME) else {
        let host = hostname::get().ok()?.into_string().ok()?;
        return (host.contains('.') && is_ehlo_name(&host)).then_some(host);
    };
    if is_ehlo_name(&name) {
        return Some(name);
    }
    source.fault(NAME, &format!("{name:?} is neither a host's name nor an address in brackets such as [192.0.2.1]"));
    None
}

fn is_ehlo_name(name: &str) -> bool {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    let is_literal = |byte: u8| byte.is_ascii_alphanumeric() || b".:".contains(&byte);
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => !literal.is_empty() && literal.bytes().all(is_literal),
        None => !name.is_empty() && !name.starts_with(['-', '.']) && name.bytes().all(is_domain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (SmtpSettings, String) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut source = Source::from_pairs(pairs);
        let settings = SmtpSettings::read(&mut source);
        (settings, source.finish().err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn the_default_is_gmail() {
        let (settings, faults) = read(&[]);
        assert_eq!((settings.host.as_str(), settings.connect.1, settings.chunking), ("smtp.gmail.com", 465, true));
        assert_eq!((settings.connect.0.as_str(), faults.as_str()), ("smtp.gmail.com", ""));
        assert!(settings.ehlo_name.is_none_or(|name| name.contains('.')));
    }

    #[test]
    fn the_url_may_dial_elsewhere_but_keeps_the_name() {
        for (url, host, connect) in [
            ("smtps://smtp.gmail.com:465?connect=127.0.0.1:4465", "smtp.gmail.com", ("127.0.0.1", 4465)),
            ("smtps://smtp.gmail.com/?connect=[::1]:4465", "smtp.gmail.com", ("::1", 4465)),
            ("smtps://localhost:4465", "localhost", ("localhost", 4465)),
            ("smtps://smtp-relay.gmail.com", "smtp-relay.gmail.com", ("smtp-relay.gmail.com", 465)),
        ] {
            let (settings, faults) = read(&[(URL, url)]);
            assert_eq!((settings.host.as_str(), faults.as_str()), (host, ""), "{url}");
            assert_eq!(settings.connect, (connect.0.to_owned(), connect.1), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for url in [
            "smtp://smtp.gmail.com:587",
            "smtps://",
            "smtps://user@host",
            "smtps://host:0",
            "smtps://host:x",
            "smtps://a b",
            "smtps://host?x=1",
            "smtps://host?connect=127.0.0.1",
        ] {
            assert!(read(&[(URL, url)]).1.contains("smtps://smtp.gmail.com:465"), "{url}");
        }
        for (name, value) in [
            ("POSTROOM_SMTP_CHUNKING", "on"),
            ("POSTROOM_EHLO_NAME", "a b"),
            ("POSTROOM_EHLO_NAME", "[]"),
            ("POSTROOM_SMTP_TIMEOUT", "0"),
        ] {
            assert!(read(&[(name, value)]).1.contains(name), "{value}");
        }
        assert_eq!(read(&[("POSTROOM_EHLO_NAME", "[192.0.2.1]")]).0.ehlo_name.as_deref(), Some("[192.0.2.1]"));
    }
}
