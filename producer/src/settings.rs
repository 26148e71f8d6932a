//! The settings of the program `postroom`, and what `account add` and `account login` read besides.
//!
//! All faults are told at once; no value of a secret is ever repeated.

use postroom_shared::settings::{
    ConsentSettings, LimitSettings, LogSettings, RedisSettings, SettingsError, Source, TlsSettings, TokenSettings,
};
use postroom_shared::smtp::SmtpSettings;
use secrecy::SecretString;

/// What every command of `postroom` reads.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach Redis.
    pub redis: RedisSettings,
    /// What a mail may expect when it says nothing itself.
    pub limits: LimitSettings,
    /// What seals the accounts' credentials.
    pub tokens: TokenSettings,
    /// What is logged, and how.
    pub log: LogSettings,
}

impl Settings {
    /// From this process's environment, over the TOML file that `POSTROOM_CONFIG` names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn from_process() -> Result<Self, SettingsError> {
        Self::read(Source::from_process())
    }

    /// From a source that was made elsewhere.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(mut source: Source) -> Result<Self, SettingsError> {
        let settings = Self {
            redis: RedisSettings::read(&mut source),
            limits: LimitSettings::read(&mut source),
            tokens: TokenSettings::read(&mut source),
            log: LogSettings::read(&mut source),
        };
        source.finish().map(|()| settings)
    }
}

/// An account's credentials as far as they are set; what is missing is asked for at a terminal.
#[derive(Clone, Default)]
pub struct CredentialSettings {
    /// `POSTROOM_CLIENT_ID` (or `_FILE`): the OAuth2 client's id.
    pub client_id: Option<SecretString>,
    /// `POSTROOM_CLIENT_SECRET` (or `_FILE`): the OAuth2 client's secret; an empty file for a client without one.
    pub client_secret: Option<SecretString>,
    /// `POSTROOM_REFRESH_TOKEN` (or `_FILE`): what the person's consent gave.
    pub refresh_token: Option<SecretString>,
}

impl CredentialSettings {
    /// From this process's environment, over the TOML file that `POSTROOM_CONFIG` names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn from_process() -> Result<Self, SettingsError> {
        Self::read(Source::from_process())
    }

    /// From a source that was made elsewhere.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(mut source: Source) -> Result<Self, SettingsError> {
        let settings = Self {
            client_id: source.secret("POSTROOM_CLIENT_ID"),
            client_secret: source.secret("POSTROOM_CLIENT_SECRET"),
            refresh_token: source.secret("POSTROOM_REFRESH_TOKEN"),
        };
        source.finish().map(|()| settings)
    }
}

/// What `account login` reads besides.
#[derive(Clone)]
pub struct LoginSettings {
    /// Where the person consents.
    pub consent: ConsentSettings,
    /// Whose certificates are trusted.
    pub tls: TlsSettings,
    /// The server at which the login is tried.
    pub smtp: SmtpSettings,
    /// The client in whose name the person is asked.
    pub client: ClientSettings,
}

/// An OAuth2 client as far as it is set; what is missing is asked for at a terminal.
#[derive(Clone, Default)]
pub struct ClientSettings {
    /// `POSTROOM_CLIENT_ID` (or `_FILE`): its id.
    pub id: Option<SecretString>,
    /// `POSTROOM_CLIENT_SECRET` (or `_FILE`): its secret; an empty file for a client without one.
    pub secret: Option<SecretString>,
}

impl LoginSettings {
    /// From this process's environment, over the TOML file that `POSTROOM_CONFIG` names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn from_process() -> Result<Self, SettingsError> {
        let mut source = Source::from_process();
        let smtp = SmtpSettings::read(&mut source);
        let settings = Self {
            consent: ConsentSettings::read(&mut source),
            tls: TlsSettings { extra_roots: smtp.roots.clone() },
            smtp,
            client: ClientSettings {
                id: source.secret("POSTROOM_CLIENT_ID"),
                secret: source.secret("POSTROOM_CLIENT_SECRET"),
            },
        };
        source.finish().map(|()| settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_told_at_once_without_values() {
        let pairs = [
            ("POSTROOM_MAIL_TTL", "soon"),
            ("POSTROOM_LOG_FORMAT", "xml"),
            ("POSTROOM_TOKEN_URL", "http://example.com/token"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = Settings::read(Source::from_pairs(pairs.clone())).unwrap_err().to_string();
        assert!(pairs.iter().all(|(name, _)| text.contains(name)), "{text}");
    }
}
