//! What the dashboard reads from its surroundings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use postroom_shared::replies::{Table, from_settings};
use postroom_shared::settings::Source;
use postroom_shared::tokens::{SealError, Sealer};

/// What stands for the trace's id in `POSTROOM_TRACE_URL`.
const TRACE_ID: &str = "{trace_id}";

/// Whether there is a dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// There is none.
    #[default]
    Off,
    /// There is one.
    On,
    /// There is one that shows and changes nothing.
    ReadOnly,
}

impl FromStr for Access {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            "read-only" => Ok(Self::ReadOnly),
            other => Err(format!("{other:?} is neither off, on nor read-only")),
        }
    }
}

/// How the dashboard is.
#[derive(Clone, Default)]
pub struct DashboardSettings {
    /// `POSTROOM_DASHBOARD`: `off`, `on` or `read-only`. Default `off`: nothing is open unless it is said so.
    pub access: Access,
    /// `POSTROOM_TRACE_URL`: where a trace is shown, with `{trace_id}` in its place. Default none: traces are not linked.
    pub trace_url: Option<String>,
    /// From `POSTROOM_SECRET_KEY`: seals the sessions, so that every server takes them.
    pub(super) sealer: Option<Arc<Sealer>>,
    /// What replies mean, with the rows of `POSTROOM_REPLIES_FILE`.
    pub(super) replies: Option<&'static Table>,
}

impl fmt::Debug for DashboardSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DashboardSettings({:?})", self.access)
    }
}

impl DashboardSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let access = source.parse("POSTROOM_DASHBOARD", Access::Off);
        let trace_url = trace_url(source);
        if access == Access::Off {
            return Self::default();
        }
        let sealer = source.secret("POSTROOM_SECRET_KEY").ok_or(SealError::Missing);
        let sealer = sealer.and_then(|keys| Sealer::from_setting(&keys)).map(Arc::new);
        if let Err(error) = &sealer {
            source.fault("POSTROOM_DASHBOARD", &format!("logins are sealed with a key: {error}"));
        }
        Self { access, trace_url, sealer: sealer.ok(), replies: from_settings(source) }
    }
}

fn trace_url(source: &mut Source) -> Option<String> {
    let url = source.text("POSTROOM_TRACE_URL")?;
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && url.contains(TRACE_ID) {
        return Some(url);
    }
    source.fault("POSTROOM_TRACE_URL", "write https:// (or http://) with {trace_id} where the trace's id belongs");
    None
}

/// The address of a trace.
pub(super) fn trace_link(url: &str, trace_id: &str) -> String {
    let is_id = trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    url.replace(TRACE_ID, if is_id { trace_id } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("POSTROOM_SECRET_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");

    fn read(pairs: &[(&str, &str)]) -> (DashboardSettings, String) {
        let mut source = Source::from_pairs(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let settings = DashboardSettings::read(&mut source);
        (settings, source.finish().err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn nothing_is_open_unless_it_is_said_so() {
        let (settings, told) = read(&[]);
        assert!(settings.access == Access::Off && settings.sealer.is_none() && told.is_empty());
        let (settings, told) = read(&[KEY, ("POSTROOM_DASHBOARD", "read-only")]);
        assert!(settings.access == Access::ReadOnly && settings.sealer.is_some() && told.is_empty(), "{told}");
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        for (pairs, word) in [
            (&[("POSTROOM_DASHBOARD", "on")][..], "POSTROOM_SECRET_KEY is not set"),
            (&[("POSTROOM_DASHBOARD", "yes")], "neither off, on nor read-only"),
            (
                &[KEY, ("POSTROOM_DASHBOARD", "on"), ("POSTROOM_TRACE_URL", "javascript:{trace_id}")],
                "POSTROOM_TRACE_URL",
            ),
            (&[KEY, ("POSTROOM_DASHBOARD", "on"), ("POSTROOM_TRACE_URL", "https://x.example/")], "{trace_id}"),
        ] {
            let (_, told) = read(pairs);
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn only_a_traces_id_comes_into_its_address() {
        let url = "https://x.example/trace/{trace_id}?a=1";
        assert_eq!(trace_link(url, "00ff"), "https://x.example/trace/00ff?a=1");
        assert_eq!(trace_link(url, "\"><b>"), "https://x.example/trace/?a=1");
    }
}
