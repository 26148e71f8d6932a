//! What the doctor reads: what `postroom` reads, and where the worker's servers are.

use postroom::settings::Settings;
use postroom_shared::dial::Server;
use postroom_shared::settings::{SettingsError, Source, TlsSettings, imap_server};
use postroom_shared::smtp::SmtpSettings;

/// The settings of `postroom doctor`.
#[derive(Debug, Clone)]
pub(crate) struct DoctorSettings {
    /// What every command reads.
    pub(crate) base: Settings,
    /// Where mail is sent.
    pub(crate) smtp: SmtpSettings,
    /// Where Sent is asked; `None`: nowhere.
    pub(crate) imap: Option<Server>,
}

impl DoctorSettings {
    /// From this process's environment, over the TOML file that `POSTROOM_CONFIG` names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn from_process() -> Result<Self, SettingsError> {
        let mut source = Source::from_process();
        let smtp = SmtpSettings::read(&mut source);
        let imap = imap_server(&mut source, &smtp);
        // What is found stands in the report: only what a person asked for is logged besides.
        let is_log_set = source.text("POSTROOM_LOG").is_some();
        let mut base = Settings::read(source)?;
        if !is_log_set {
            "error".clone_into(&mut base.log.filter);
        }
        Ok(Self { base, smtp, imap })
    }

    /// The roots that are trusted, for the token endpoint.
    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings { extra_roots: self.smtp.roots.clone() }
    }
}
