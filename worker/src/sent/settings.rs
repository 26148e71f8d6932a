//! Where the Sent mailbox is asked, how long "not there" is not believed yet, and what becomes of a mail if nobody can say.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use postroom_shared::dial::Server;
use postroom_shared::settings::{Source, imap_server};
use postroom_shared::smtp::SmtpSettings;

/// What becomes of a mail with an uncertain end if Sent could not be asked until the mail's deadline, or is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uncertain {
    /// It is sent again: rather twice than never.
    #[default]
    Resend,
    /// It becomes a dead letter, for a person to decide: rather never than twice.
    Dead,
}

impl Uncertain {
    /// The word of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resend => "resend",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for Uncertain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Uncertain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Resend, Self::Dead]
            .into_iter()
            .find(|word| word.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not resend or dead"))
    }
}

/// The IMAP server, and how its answers are taken.
#[derive(Debug, Clone)]
pub struct SentSettings {
    /// `POSTROOM_IMAP_URL`: the server, or `None` for `off`. Default `imaps://imap.gmail.com:993` if mail really goes to
    /// Gmail (`POSTROOM_SMTP_URL` names it and has no `?connect=`), else off.
    pub server: Option<Server>,
    /// `POSTROOM_SENT_ALLOWANCE`: how long after the uncertain end "not found" is not believed yet, because Gmail may still
    /// be indexing. Default 2 min.
    pub allowance: Duration,
    /// `POSTROOM_UNCERTAIN`: what becomes of a mail if nobody can say whether it was taken. Default `resend`.
    pub uncertain: Uncertain,
    /// For TCP and TLS together. 15 s.
    pub connect_timeout: Duration,
    /// For the answer to a command. 30 s.
    pub command_timeout: Duration,
    /// For a whole look, its turn and its connection included. 60 s.
    pub look_timeout: Duration,
    /// How long a connection is kept for further looks. 30 s.
    pub keep: Duration,
}

impl SentSettings {
    /// Reads the group; its default depends on where mail is sent.
    pub fn read(source: &mut Source, smtp: &SmtpSettings) -> Self {
        let seconds = Duration::from_secs;
        Self {
            server: imap_server(source, smtp),
            allowance: source.span("POSTROOM_SENT_ALLOWANCE", seconds(120), Duration::ZERO, seconds(3_600)),
            uncertain: source.parse("POSTROOM_UNCERTAIN", Uncertain::default()),
            connect_timeout: seconds(15),
            command_timeout: seconds(30),
            look_timeout: seconds(60),
            keep: seconds(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use postroom_shared::dial::Scheme;

    use super::*;

    const URL: &str = "POSTROOM_IMAP_URL";

    fn read(pairs: &[(&str, &str)]) -> (SentSettings, String) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut source = Source::from_pairs(pairs);
        let smtp = SmtpSettings::read(&mut source);
        let settings = SentSettings::read(&mut source, &smtp);
        (settings, source.finish().err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn gmail_is_asked_only_if_mail_really_goes_there() {
        let gmail = Some(Server::named(Scheme::Imaps, "imap.gmail.com"));
        let own = Server { host: "imap.gmail.com".to_owned(), connect: ("127.0.0.1".to_owned(), 4493) };
        let own_url = "imaps://imap.gmail.com:993?connect=127.0.0.1:4493";
        let elsewhere = "smtps://smtp.gmail.com:465?connect=127.0.0.1:4465";
        for (smtp, imap, expected) in [
            ("", "", &gmail),
            ("smtps://smtp-relay.gmail.com", "", &gmail),
            (elsewhere, "", &None),
            ("smtps://mail.example.org", "", &None),
            ("", "off", &None),
            (elsewhere, own_url, &Some(own)),
        ] {
            let (settings, faults) = read(&[("POSTROOM_SMTP_URL", smtp), (URL, imap)]);
            assert_eq!((&settings.server, faults.as_str()), (expected, ""), "{smtp} {imap}");
        }
    }

    #[test]
    fn defaults_and_faults() {
        let (settings, faults) = read(&[]);
        assert_eq!(
            (settings.allowance, settings.uncertain, faults.as_str()),
            (Duration::from_secs(120), Uncertain::Resend, "")
        );
        assert_eq!(read(&[("POSTROOM_UNCERTAIN", "dead")]).0.uncertain, Uncertain::Dead);
        for (name, value) in [
            (URL, "imap://imap.gmail.com"),
            (URL, "smtps://imap.gmail.com"),
            (URL, "OFF!"),
            ("POSTROOM_UNCERTAIN", "maybe"),
            ("POSTROOM_SENT_ALLOWANCE", "2 fortnights"),
        ] {
            assert!(read(&[(name, value)]).1.contains(name), "{value}");
        }
    }
}
