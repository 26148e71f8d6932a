//! One setting after another from the environment, a `_FILE` beside it, or the TOML file.
//!
//! A source gathers faults instead of stopping at the first; it never repeats a secret's value, and overwrites all that it
//! read when it is dropped.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// `OTEL_`: what OpenTelemetry defines.
fn is_ours(name: &str) -> bool {
    ["POSTROOM_", "OTEL_"].iter().any(|start| name.starts_with(start))
}

/// Reads settings and remembers what was wrong with them.
pub struct Source {
    environment: BTreeMap<String, Zeroizing<String>>,
    file: BTreeMap<String, Zeroizing<String>>,
    faults: Vec<String>,
}

/// All that is wrong with the settings.
#[derive(Debug, Default, thiserror::Error)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings are not usable:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

impl Source {
    /// From this process's environment, over the TOML file that `POSTROOM_CONFIG` names.
    #[must_use]
    pub fn from_process() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from_pairs(std::env::vars_os().filter_map(unicode))
    }

    /// From given pairs of name and value, as if they were the environment.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let pairs = pairs.into_iter().filter(|(name, value)| is_ours(name) && !value.is_empty());
        let environment = pairs.map(|(name, value)| (name, Zeroizing::new(value))).collect();
        let mut source = Self { environment, file: BTreeMap::new(), faults: Vec::new() };
        if let Some(path) = source.text("POSTROOM_CONFIG") {
            source.read_toml(&path);
        }
        source
    }

    fn read_toml(&mut self, path: &str) {
        let table = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| error.to_string())
            .and_then(|text| text.parse::<toml::Table>().map_err(|error| error.message().to_owned()));
        match table {
            Err(error) => self.faults.push(format!("POSTROOM_CONFIG: {path} cannot be read: {error}")),
            Ok(table) => {
                for (name, value) in table {
                    let text = match value {
                        toml::Value::String(text) => text,
                        toml::Value::Integer(number) => number.to_string(),
                        toml::Value::Float(number) => number.to_string(),
                        toml::Value::Boolean(flag) => flag.to_string(),
                        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                            self.faults.push(format!(
                                "{path}: {name} must be a text or a number, as it would be in the environment"
                            ));
                            continue;
                        }
                    };
                    self.file.insert(name, Zeroizing::new(text));
                }
            }
        }
    }

    /// A text, if it is set.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.environment.get(name).or_else(|| self.file.get(name)).map(|value| value.as_str())
    }

    /// A secret: the value itself, or the contents of the file that `NAME_FILE` names.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        let file_name = format!("{name}_FILE");
        let fault = match (self.value(name), self.value(&file_name)) {
            (Some(_), Some(_)) => format!("{name} and {file_name} are both set: keep one of them"),
            (Some(value), None) => return Some(value.into()),
            (None, Some(path)) => match fs::read_to_string(path).map(Zeroizing::new) {
                Ok(text) => return Some(text.trim_end_matches(['\r', '\n']).into()),
                Err(error) => format!("{file_name}: {path} cannot be read: {error}"),
            },
            (None, None) => return None,
        };
        self.faults.push(fault);
        None
    }

    /// Whatever its type parses, or the default.
    pub fn parse<T>(&mut self, name: &str, default: T) -> T
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match self.text(name).map(|text| text.trim().parse::<T>()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                self.fault(name, &error.to_string());
                default
            }
        }
    }

    /// A whole number within bounds (both included).
    pub fn number(&mut self, name: &str, default: u32, least: u32, most: u32) -> u32 {
        let value = self.parse(name, default);
        if (least..=most).contains(&value) {
            return value;
        }
        self.fault(name, &format!("{value} is not between {least} and {most}"));
        default
    }

    /// A span of time: `30` (seconds), `250ms`, `15m`, `24h` or `7d`; within bounds (both included).
    pub fn span(&mut self, name: &str, default: Duration, least: Duration, most: Duration) -> Duration {
        let Some(text) = self.text(name) else { return default };
        match parse_span(&text) {
            Some(span) if (least..=most).contains(&span) => span,
            Some(_) => {
                self.fault(name, &format!("{text:?} is not between {least:?} and {most:?}"));
                default
            }
            None => {
                self.fault(name, &format!("{text:?} is no span of time: write 30 (seconds), 250ms, 15m, 24h or 7d"));
                default
            }
        }
    }

    /// A number of bytes: `1000000`, `512MiB`, `2GiB`; within bounds (both included).
    pub fn bytes(&mut self, name: &str, default: u64, least: u64, most: u64) -> u64 {
        let Some(text) = self.text(name) else { return default };
        match parse_bytes(&text) {
            Some(bytes) if (least..=most).contains(&bytes) => return bytes,
            Some(_) => self.fault(name, &format!("{text:?} is not between {least} and {most} bytes")),
            None => self.fault(name, &format!("{text:?} is no number of bytes: write 1000000, 64KiB, 512MiB or 2GiB")),
        }
        default
    }

    /// Notes what is wrong with a setting.
    pub fn fault(&mut self, name: &str, what: &str) {
        self.faults.push(format!("{name}: {what}"));
    }

    /// Nothing if all was well, else all that was not.
    ///
    /// # Errors
    /// If any fault was noted.
    pub fn finish(self) -> Result<(), SettingsError> {
        if self.faults.is_empty() { Ok(()) } else { Err(SettingsError(self.faults)) }
    }
}

/// A whole number of bytes, or a number with `KiB`, `MiB`, `GiB` or `TiB`.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << unit)
}

/// A whole number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`.
fn parse_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3_600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(pairs: &[(&str, &str)]) -> Source {
        Source::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut source = source(&[("POSTROOM_A", "x"), ("POSTROOM_B", "5y"), ("POSTROOM_C_FILE", "/nowhere/at/all")]);
        assert_eq!(source.number("POSTROOM_A", 7, 1, 9), 7);
        source.span("POSTROOM_B", Duration::ZERO, Duration::ZERO, Duration::MAX);
        assert!(source.secret("POSTROOM_C").is_none());
        let text = source.finish().unwrap_err().to_string();
        for name in ["POSTROOM_A", "POSTROOM_B", "POSTROOM_C_FILE"] {
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn spans_have_units() {
        for (text, millis) in
            [("30", 30_000), ("250ms", 250), ("15m", 900_000), ("24h", 86_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "h", "-1", "1.5h", "3 fortnights", "99999999999999999999"] {
            assert_eq!(parse_span(text), None, "{text}");
        }
    }
    #[test]
    fn bytes_have_units_and_bounds() {
        for (text, bytes) in [("1000", 1_000), ("64KiB", 65_536), ("512 MiB", 512 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1GB", "99999999TiB", "99999999999999999999"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
        let mut source = source(&[("POSTROOM_A", "1KiB"), ("POSTROOM_B", "much")]);
        assert_eq!((source.bytes("POSTROOM_A", 9, 0, 1_000), source.bytes("POSTROOM_B", 8, 0, 1_000)), (9, 8));
        let text = source.finish().unwrap_err().to_string();
        assert!(text.contains("between 0 and 1000 bytes") && text.contains("no number of bytes"), "{text}");
    }
}
