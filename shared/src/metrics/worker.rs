//! What a worker counts. Everything here is counted where it happens; gauges are read when somebody asks.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Counters, Exemplar, Histograms, Level, TIMES, WAITS, build_info, counter, histogram, names, shown};
use crate::reason::Reason;
use crate::reply::{Reply, Stage};

const OUTCOMES: [&str; 5] = ["sent", "retry", "dead", "back", "check"];
/// The codes of RFC 5321, RFC 4954, RFC 3463's companions and Gmail's own; any other is told by its first digit.
const CODES: [(u16, &str); 31] = [
    (220, "220"),
    (235, "235"),
    (250, "250"),
    (334, "334"),
    (354, "354"),
    (421, "421"),
    (432, "432"),
    (450, "450"),
    (451, "451"),
    (452, "452"),
    (454, "454"),
    (455, "455"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (521, "521"),
    (523, "523"),
    (530, "530"),
    (534, "534"),
    (535, "535"),
    (538, "538"),
    (541, "541"),
    (550, "550"),
    (551, "551"),
    (552, "552"),
    (553, "553"),
    (554, "554"),
    (555, "555"),
    (556, "556"),
];
const STAGES: [Stage; 9] = [
    Stage::Token,
    Stage::Connect,
    Stage::Greeting,
    Stage::Ehlo,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Final,
];

fn code_word(code: Option<u16>) -> &'static str {
    let Some(code) = code else { return "none" };
    let known = CODES.iter().find(|(known, _)| *known == code).map(|(_, word)| *word);
    known.unwrap_or(match code {
        400..500 => "4xx",
        500.. => "5xx",
        _ => "other",
    })
}

/// Replies that can end an attempt: refusals and silences at any stage of the dialogue, and the 250 after the last byte.
fn born_replies() -> impl Iterator<Item = [&'static str; 2]> {
    let refusals = CODES.iter().filter(|(code, _)| *code >= 400).map(|(_, word)| *word).chain(["4xx", "5xx", "none"]);
    let words: Vec<&'static str> = refusals.collect();
    let of_stage = move |stage: Stage| {
        let silent = stage <= Stage::Connect;
        let said = words.clone().into_iter().filter(move |word| !silent || *word == "none");
        said.map(move |word| [stage.as_str(), word])
    };
    STAGES.into_iter().flat_map(of_stage).chain([[Stage::Final.as_str(), "250"]])
}

/// What a worker reads when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauged {
    /// Mails it may have in hand.
    pub slots: usize,
    /// Mails it has in hand.
    pub busy: usize,
    /// Token refreshes that gave a token.
    pub refreshed: u64,
    /// Those that were refused for good.
    pub refused: u64,
    /// Those that had no answer of use.
    pub unavailable: u64,
}

/// A worker's metrics. Cheap where a mail goes by: a lock that nobody else holds, and a look into a map.
#[derive(Debug)]
pub struct WorkerMetrics {
    registry: Registry,
    attempts: Counters<2>,
    finished: Counters<1>,
    replies: Counters<2>,
    queue_wait: HistogramWithExemplars<Exemplar>,
    token: Histograms<1>,
    connect: Histograms<1>,
    send: Histograms<1>,
    connections: Gauge,
    logins: Counters<1>,
    refreshes: Counters<1>,
    leases_lost: Counter,
    uncertain: Counter,
    reconciled: Counters<1>,
    slots: Level,
    busy: Level,
    turns: Counters<1>,
    /// Spans that were given up.
    pub spans_dropped: Counter,
}

impl WorkerMetrics {
    /// All of them, at zero.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::default();
        let all = &mut registry;
        build_info(all, "postroom-worker", version);
        let reasons = || Reason::ALL.iter().map(|reason| reason.as_str());
        let outcomes = OUTCOMES.into_iter().flat_map(|outcome| reasons().map(move |reason| [outcome, reason]));
        let connections = Gauge::default();
        all.register(names::CONNECTIONS.name, names::CONNECTIONS.help(), Gauge::clone(&connections));
        Self {
            attempts: Counters::new(all, &names::ATTEMPTS, ["outcome", "reason"], outcomes),
            finished: Counters::new(
                all,
                &names::MAILS_FINISHED,
                ["timeliness"],
                ["on_time", "late", "failed"].map(|word| [word]),
            ),
            replies: Counters::new(all, &names::REPLIES, ["stage", "code"], born_replies()),
            queue_wait: histogram(all, &names::QUEUE_WAIT, WAITS),
            token: Histograms::new(
                all,
                &names::TOKEN,
                ["source"],
                TIMES,
                ["cache", "redis", "refresh"].map(|word| [word]),
            ),
            connect: Histograms::new(all, &names::CONNECT, ["result"], TIMES, LOGINS),
            send: Histograms::new(all, &names::SEND, ["outcome"], TIMES, OUTCOMES.map(|word| [word])),
            connections,
            logins: Counters::new(all, &names::LOGINS, ["result"], LOGINS),
            refreshes: Counters::new(
                all,
                &names::TOKEN_REFRESHES,
                ["result"],
                ["ok", "refused", "unavailable"].map(|word| [word]),
            ),
            leases_lost: counter(all, &names::LEASES_LOST),
            uncertain: counter(all, &names::UNCERTAIN),
            reconciled: Counters::new(
                all,
                &names::RECONCILED,
                ["result"],
                ["found", "not_found", "unreachable"].map(|word| [word]),
            ),
            slots: Level::new(all, &names::SLOTS),
            busy: Level::new(all, &names::SLOTS_BUSY),
            turns: Counters::new(all, &names::TURNS, ["result"], ["ok", "failed"].map(|word| [word])),
            spans_dropped: counter(all, &names::SPANS_DROPPED),
            registry,
        }
    }

    /// An attempt ended; `trace` is the one that shows it, if one was recorded.
    pub fn attempt(&self, outcome: &'static str, reason: Reason, took: Duration, trace: Option<String>) {
        self.attempts.inc([outcome, reason.as_str()]);
        self.send.observe([outcome], took.as_secs_f64(), trace);
    }

    /// A mail was sent, so long after its time came.
    pub fn sent(&self, after: Duration, on_time: Duration) {
        self.finished.inc([if after <= on_time { "on_time" } else { "late" }]);
    }

    /// So many mails died.
    pub fn died(&self, mails: u64) {
        self.finished.add(["failed"], mails);
    }

    /// The server answered, or fell silent.
    pub fn reply(&self, reply: &Reply) {
        self.replies.inc([reply.stage.as_str(), code_word(reply.code())]);
    }

    /// A mail waited so long for this worker.
    pub fn queue_wait(&self, waited: Duration) {
        self.queue_wait.observe(waited.as_secs_f64(), None, None);
    }

    /// A token was had, from `cache`, `redis` or a `refresh`.
    pub fn token(&self, source: &'static str, took: Duration) {
        self.token.observe([source], took.as_secs_f64(), None);
    }

    /// A connection was opened (`ok`), its login was `refused`, or it `failed` before.
    pub fn connect(&self, result: &'static str, took: Duration) {
        self.connect.observe([result], took.as_secs_f64(), None);
        self.logins.inc([result]);
    }

    /// A connection stands: it counts until what this answers is dropped.
    #[must_use]
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Leases of other workers were found lost.
    pub fn leases_lost(&self, leases: u64) {
        self.leases_lost.inc_by(leases);
    }

    /// It is not known whether the server has a mail.
    pub fn uncertain(&self) {
        self.uncertain.inc();
    }

    /// Sent was asked: `found`, `not_found` or `unreachable`.
    pub fn reconciled(&self, result: &'static str) {
        self.reconciled.inc([result]);
    }

    /// Redis was asked: `ok` or `failed`.
    pub fn turn(&self, result: &'static str) {
        self.turns.inc([result]);
    }

    /// All of them as OpenMetrics text.
    #[must_use]
    pub fn show(&self, now: Gauged) -> String {
        self.slots.set(now.slots as f64);
        self.busy.set(now.busy as f64);
        let refreshes = [("ok", now.refreshed), ("refused", now.refused), ("unavailable", now.unavailable)];
        for (word, sum) in refreshes {
            self.refreshes.raise_to([word], sum);
        }
        shown(&self.registry)
    }
}

const LOGINS: [[&str; 1]; 3] = [["ok"], ["refused"], ["failed"]];

/// A connection that stands.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_labels_is_there_from_the_beginning_and_a_strange_code_makes_no_other() {
        let metrics = WorkerMetrics::new("1.2.3");
        let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        let before = metrics.show(Gauged::default());
        for code in [450, 499, 550, 599] {
            metrics.reply(&Reply::new(Stage::Rcpt, code, None, "<bob@example.org> no"));
        }
        metrics.attempt("retry", Reason::ServerBusy, Duration::from_millis(20), Some("ab".repeat(16)));
        metrics.sent(Duration::from_secs(301), Duration::from_secs(300));
        metrics.died(2);
        let open = metrics.connection();
        let after = metrics.show(Gauged { slots: 64, busy: 3, refreshed: 2, ..Gauged::default() });
        drop(open);
        assert_eq!(series(&before), series(&after));
        assert!(before.lines().filter(|line| line.contains("_total{")).all(|line| line.ends_with(" 0")), "{before}");
        for expected in [
            "postroom_replies_total{stage=\"rcpt\",code=\"4xx\"} 1",
            "postroom_replies_total{stage=\"rcpt\",code=\"550\"} 1",
            "postroom_attempts_total{outcome=\"retry\",reason=\"server_busy\"} 1",
            "postroom_mails_finished_total{timeliness=\"late\"} 1",
            "postroom_mails_finished_total{timeliness=\"failed\"} 2",
            "postroom_connections 1",
            "postroom_token_refreshes_total{result=\"ok\"} 2",
            "postroom_build_info{program=\"postroom-worker\",version=\"1.2.3\"} 1",
        ] {
            assert!(after.contains(expected), "{expected}\n{after}");
        }
        assert!(after.contains(&format!("# {{trace_id=\"{}\"}}", "ab".repeat(16))), "{after}");
        assert!(!after.contains('@') && after.ends_with("# EOF\n"));
        for metric in names::WORKER.iter().chain(names::BOTH) {
            assert!(after.contains(&format!("# HELP {} {}", metric.name, metric.what)), "{}", metric.name);
        }
    }
}
