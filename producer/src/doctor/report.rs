//! The report: findings in order, for a terminal or as JSON, and the table of all ids for docs/doctor.md.
//!
//! Knows nothing of how anything was found.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::{Finding, Severity, Subject};
use super::ids::Id;

/// All that was found.
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    /// In the order of the subjects, accounts and domains by name.
    pub(crate) fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| finding.id.subject();
            key(a).cmp(&key(b)).then_with(|| match key(a) {
                Subject::Accounts | Subject::Domains => a.about.cmp(&b.about),
                Subject::Redis | Subject::Clock | Subject::Network | Subject::Keys | Subject::All => a.id.cmp(&b.id),
            })
        });
        Self { findings }
    }

    pub(crate) fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "worst": self.worst(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "ok": self.count(Severity::Ok),
            "findings": self.findings,
        })
    }

    /// Line by line for a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for subject in Subject::EACH {
            let findings: Vec<_> = self.findings.iter().filter(|finding| finding.id.subject() == subject).collect();
            if findings.is_empty() {
                continue;
            }
            lines.push(capital(subject.as_str()));
            let mut about = None;
            for finding in findings {
                let is_grouped = matches!(subject, Subject::Accounts | Subject::Domains);
                if is_grouped && finding.about != about {
                    about.clone_from(&finding.about);
                    lines.extend(about.as_ref().map(|name| format!(" {name}")));
                }
                lines.extend(told(finding, !is_grouped));
            }
            lines.push(String::new());
        }
        lines.push(self.summary());
        lines
    }

    fn summary(&self) -> String {
        let some = |count, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        format!(
            "{}, {}, {}; {} in order",
            some(self.count(Severity::Error), "error"),
            some(self.count(Severity::Warning), "warning"),
            some(self.count(Severity::Note), "note"),
            self.count(Severity::Ok),
        )
    }
}

/// One finding; what is in order takes one line.
fn told(finding: &Finding, with_name: bool) -> Vec<String> {
    let about = finding.about.as_ref().filter(|_| with_name).map(|name| format!("{name}: ")).unwrap_or_default();
    let head = format!("  {:<8} {}: {about}{}", finding.severity.as_str(), finding.id.as_str(), finding.what);
    let mut lines = vec![head];
    lines.extend(finding.why().map(|why| format!("           why:  {why}")));
    for cause in &finding.causes {
        lines.push(format!("           {}: {}", cause.likelihood.as_str(), cause.text));
    }
    lines.extend(finding.mend().map(|mend| format!("           mend: {mend}")));
    lines
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Every id, as the tables of docs/doctor.md.
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for subject in Subject::EACH {
        let _ = write!(
            text,
            "### {}\n\n| id | severity | says | why it matters | what mends it |\n",
            capital(subject.as_str())
        );
        text.push_str("|---|---|---|---|---|\n");
        for id in Id::ALL.iter().filter(|id| id.subject() == subject) {
            let cell = |text: &str| text.replace('|', "\\|");
            let [means, why, mend] = [id.means(), id.why(), id.mend()].map(cell);
            let _ = writeln!(text, "| `{}` | {} | {means} | {why} | {mend} |", id.as_str(), id.severities());
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_in_order_and_counts() {
        let report = Report::new(vec![
            Finding::error(Id::SpfMany, "two").about("b.example"),
            Finding::ok(Id::Spf, "fine").about("a.example"),
            Finding::warning(Id::RedisLatency, "slow"),
        ]);
        assert_eq!(report.worst(), Severity::Error);
        let lines = report.lines();
        assert_eq!(lines[..2], ["Redis", "  warning  redis-latency: slow"]);
        assert_eq!(lines.last().unwrap(), "1 error, 1 warning, 0 notes; 1 in order");
        let place = |part: &str| lines.iter().position(|line| line.contains(part)).unwrap();
        assert!(place(" a.example") < place(" b.example"));
        let json = report.json();
        assert_eq!((&json["worst"], &json["errors"], &json["ok"]), (&json!("error"), &json!(1), &json!(1)));
        assert_eq!(json["findings"][2]["about"], "b.example");
    }

    #[test]
    fn the_docs_tell_every_id_as_the_code_does() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
        let docs = std::fs::read_to_string(path).unwrap();
        assert!(docs.contains(&markdown()), "docs/doctor.md: put in what `postroom doctor --markdown` prints");
    }
}
