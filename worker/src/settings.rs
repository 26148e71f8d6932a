//! The worker's settings. Each field names its variable, default and unit; all faults are told at once.

use std::time::Duration;

use postroom_shared::replies::{Table, from_settings};
use postroom_shared::settings::{
    LimitSettings, LogSettings, RedisSettings, SettingsError, Source, TlsSettings, TokenSettings,
};

use postroom_shared::telemetry::TraceSettings;
use postroom_shared::telemetry::probe::ProbeSettings;

use crate::retry::RetryPolicy;
use crate::sent::SentSettings;
use postroom_shared::smtp::SmtpSettings;

/// Everything a worker reads at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How to reach Redis.
    pub redis: RedisSettings,
    /// What a mail may expect; connections an account.
    pub limits: LimitSettings,
    /// How to get access tokens.
    pub tokens: TokenSettings,
    /// Whose certificates are trusted.
    pub tls: TlsSettings,
    /// How to reach Gmail.
    pub smtp: SmtpSettings,
    /// How to ask an account's Sent mailbox after an uncertain end.
    pub sent: SentSettings,
    /// When a mail that failed is tried again.
    pub retry: RetryPolicy,
    /// `POSTROOM_REPLIES_FILE`: what replies mean; rows of the operator's own before those of the builtin table.
    pub replies: &'static Table,
    /// What is logged.
    pub log: LogSettings,
    /// `POSTROOM_CONCURRENCY`: mails this worker has at once, waiting for a connection of theirs included. Default 64.
    pub concurrency: usize,
    /// `POSTROOM_DRAIN_SECONDS`: how long a worker that is told to stop lets its mails finish. Default 25 s: below the 30 s
    /// that Kubernetes grants.
    pub drain: Duration,
    /// `POSTROOM_LEASE`: after how long without a sign of life a worker's mails are taken back. Default 20 s, renewed at a
    /// third of it.
    pub lease: Duration,
    /// `POSTROOM_ATTEMPT_LIMIT`: how long one attempt may take. Default 10 min: Gmail may take minutes for 35 MB.
    pub attempt_limit: Duration,
    /// `POSTROOM_ON_TIME`: a mail that was sent within this after its time came was on time, for the metrics. Default 5 min;
    /// holds, used-up budgets and times of sending do not count.
    pub on_time: Duration,
    /// Where probes and metrics are answered.
    pub probe: ProbeSettings,
    /// Where traces go.
    pub traces: TraceSettings,
    /// `POSTROOM_WORKER_NAME`: a name for people; it need not be unique. Default the host's name.
    pub name: String,
}

impl Settings {
    /// Reads them from this process's environment and settings file.
    ///
    /// # Errors
    /// If any is not usable; all faults are told.
    pub fn from_process() -> Result<Self, SettingsError> {
        Self::read(Source::from_process())
    }

    /// Reads them from a source.
    ///
    /// # Errors
    /// If any is not usable; all faults are told.
    pub fn read(mut source: Source) -> Result<Self, SettingsError> {
        let host = || hostname::get().map_or_else(|_| "worker".to_owned(), |name| name.to_string_lossy().into_owned());
        let seconds = Duration::from_secs;
        let smtp = SmtpSettings::read(&mut source);
        let settings = from_settings(&mut source).map(|replies| Self {
            redis: RedisSettings::read(&mut source),
            limits: LimitSettings::read(&mut source),
            tokens: TokenSettings::read(&mut source),
            tls: TlsSettings::read(&mut source),
            sent: SentSettings::read(&mut source, &smtp),
            smtp,
            retry: RetryPolicy::read(&mut source),
            replies,
            log: LogSettings::read(&mut source),
            concurrency: source.number("POSTROOM_CONCURRENCY", 64, 1, 10_000) as usize,
            drain: source.span("POSTROOM_DRAIN_SECONDS", seconds(25), Duration::ZERO, seconds(3_600)),
            lease: source.span("POSTROOM_LEASE", seconds(20), seconds(1), seconds(600)),
            attempt_limit: source.span("POSTROOM_ATTEMPT_LIMIT", seconds(600), seconds(1), seconds(7_200)),
            on_time: source.span("POSTROOM_ON_TIME", seconds(300), seconds(1), seconds(2_592_000)),
            probe: ProbeSettings::read(&mut source, 9464),
            traces: TraceSettings::read(&mut source),
            name: source.text("POSTROOM_WORKER_NAME").unwrap_or_else(host),
        });
        source.finish()?;
        settings.ok_or_else(SettingsError::default)
    }
}
