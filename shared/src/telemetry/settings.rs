//! What is read of OpenTelemetry's own variables. Those that only the exporter needs (endpoints, headers, times) it reads itself,
//! from the environment: these names in a TOML file count for nothing.

use std::str::FromStr;
use std::time::Duration;

use crate::settings::Source;

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// HTTP with protobuf.
    Http,
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "grpc" => Ok(Self::Grpc),
            "http/protobuf" => Ok(Self::Http),
            other => Err(format!("{other:?} is no protocol that Postroom speaks: use grpc or http/protobuf")),
        }
    }
}

/// Which traces are recorded where nothing failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether whoever came before decides, where somebody did: the app at the door, the door for an attempt.
    pub by_parent: bool,
    /// Else this part of them, from 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    /// Whether a trace is recorded; `parent`: whether whoever came before recorded it.
    #[must_use]
    pub fn takes(&self, trace: [u8; 16], parent: Option<bool>) -> bool {
        if let (true, Some(recorded)) = (self.by_parent, parent) {
            return recorded;
        }
        // By the trace's last 8 bytes, as other SDKs do it, so that all decide alike.
        let [.., a, b, c, d, e, f, g, h] = trace;
        let drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.ratio >= 1.0 || (drawn as f64) < self.ratio * (1_u64 << 63) as f64
    }
}

/// How traces are made and where they go.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Whether traces are made: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, `OTEL_SDK_DISABLED`
    /// is not `true` and `OTEL_TRACES_EXPORTER` not `none`.
    pub on: bool,
    /// Whether the endpoint is one of `https`.
    pub tls: bool,
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, else `OTEL_EXPORTER_OTLP_PROTOCOL`: `http/protobuf` (the default) or `grpc`.
    pub protocol: Protocol,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. Default `parentbased_always_on`.
    pub sampler: Sampler,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`: spans that wait for the exporter; beyond it they are dropped. Default 2,048.
    pub most_waiting: usize,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: spans in one request. Default 512.
    pub batch: usize,
    /// `OTEL_BSP_SCHEDULE_DELAY`, in milliseconds: how long spans wait for others. Default 5,000.
    pub delay: Duration,
    /// `OTEL_BSP_EXPORT_TIMEOUT`, in milliseconds: for how long a request may take. Default 30,000.
    pub timeout: Duration,
}

impl TraceSettings {
    /// Reads the group.
    pub fn read(source: &mut Source) -> Self {
        let [of_traces, of_all] =
            ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"].map(|name| source.text(name));
        let endpoint = of_traces.or(of_all);
        let disabled = source.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let on = endpoint.is_some() && !disabled && exports(source);
        let protocol = source.parse("OTEL_EXPORTER_OTLP_PROTOCOL", Protocol::Http);
        let millis = |source: &mut Source, name: &str, default: u32| {
            Duration::from_millis(u64::from(source.number(name, default, 1, 600_000)))
        };
        let most_waiting = source.number("OTEL_BSP_MAX_QUEUE_SIZE", 2_048, 1, 1_000_000);
        Self {
            on,
            tls: endpoint.is_some_and(|endpoint| endpoint.starts_with("https://")),
            protocol: source.parse("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol),
            sampler: sampler(source),
            most_waiting: most_waiting as usize,
            batch: source.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1, 100_000).min(most_waiting) as usize,
            delay: millis(source, "OTEL_BSP_SCHEDULE_DELAY", 5_000),
            timeout: millis(source, "OTEL_BSP_EXPORT_TIMEOUT", 30_000),
        }
    }
}

fn exports(source: &mut Source) -> bool {
    const NAME: &str = "OTEL_TRACES_EXPORTER";
    match source.text(NAME).as_deref() {
        None | Some("otlp") => true,
        Some("none") => false,
        Some(other) => {
            source.fault(NAME, &format!("{other:?} is no exporter that Postroom has: use otlp or none"));
            false
        }
    }
}

fn sampler(source: &mut Source) -> Sampler {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    let always = Sampler { by_parent: true, ratio: 1.0 };
    let ratio: f64 = source.parse("OTEL_TRACES_SAMPLER_ARG", 1.0);
    if !(0.0..=1.0).contains(&ratio) {
        source.fault("OTEL_TRACES_SAMPLER_ARG", "is not between 0 and 1");
    }
    let Some(word) = source.text(NAME) else { return always };
    let (by_parent, root) = word.strip_prefix("parentbased_").map_or((false, word.as_str()), |root| (true, root));
    match root {
        "always_on" => Sampler { by_parent, ratio: 1.0 },
        "always_off" => Sampler { by_parent, ratio: 0.0 },
        "traceidratio" => Sampler { by_parent, ratio },
        _ => {
            source.fault(
                NAME,
                &format!("{word:?} is no sampler: use always_on, always_off or traceidratio, with parentbased_ before it if whoever came before decides"),
            );
            always
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (TraceSettings, String) {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut source = Source::from_pairs(pairs);
        let settings = TraceSettings::read(&mut source);
        (settings, source.finish().map_or_else(|error| error.to_string(), |()| String::new()))
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces() {
        let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (pairs, on) in [
            (vec![], false),
            (vec![at], true),
            (vec![at, ("OTEL_SDK_DISABLED", "TRUE")], false),
            (vec![at, ("OTEL_TRACES_EXPORTER", "none")], false),
            (vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector:4317")], true),
        ] {
            assert_eq!(read(&pairs).0.on, on, "{pairs:?}");
        }
    }

    #[test]
    fn the_traces_own_protocol_wins_and_faults_are_told_together() {
        let both = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")];
        assert_eq!(read(&both).0.protocol, Protocol::Http);
        assert_eq!(read(&both[..1]).0.protocol, Protocol::Grpc);
        let faults = read(&[("OTEL_TRACES_SAMPLER", "some"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).1;
        assert!(faults.contains("OTEL_TRACES_SAMPLER") && faults.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{faults}");
    }

    #[test]
    fn samplers_decide_as_the_specification_says() {
        let sampler =
            |word: &str, arg: &str| read(&[("OTEL_TRACES_SAMPLER", word), ("OTEL_TRACES_SAMPLER_ARG", arg)]).0.sampler;
        let mut low = [0xff; 16];
        low[8..].fill(0x10);
        let high = [0xff; 16];
        for (word, arg, trace, parent, taken) in [
            ("always_on", "0", high, Some(false), true),
            ("always_off", "1", low, Some(true), false),
            ("traceidratio", "0.25", low, None, true),
            ("traceidratio", "0.25", high, Some(true), false),
            ("parentbased_always_on", "0", high, Some(false), false),
            ("parentbased_always_on", "0", high, None, true),
            ("parentbased_always_off", "0", high, Some(true), true),
            ("parentbased_traceidratio", "0", low, None, false),
            ("traceidratio", "1", high, None, true),
        ] {
            assert_eq!(sampler(word, arg).takes(trace, parent), taken, "{word} {arg} {parent:?}");
        }
    }
}
