//! What a sending domain's records mean: SPF, DKIM, DMARC, and Google's rules for bulk senders. Pure.

use super::finding::{Finding, Severity};
use super::ids::Id;

/// The TXT records of a name, none if it has none; or why DNS gave no answer.
pub(crate) type Answer = Result<Vec<String>, String>;

/// Google's own domains: their records are Google's business.
pub(crate) const OWN: [&str; 2] = ["gmail.com", "googlemail.com"];
/// What includes Google's senders.
pub(crate) const GOOGLE: &str = "_spf.google.com";
/// Look-ups that a receiver makes for SPF at most (RFC 7208, 4.6.4).
pub(crate) const MOST_LOOKUPS: usize = 10;
/// Google's rules are for about 5,000 a day.
const NEAR_BULK: u64 = 4_000;

/// What was found in DNS for a domain.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) spf: Spf,
    pub(crate) selector: String,
    pub(crate) dkim: Answer,
    /// Of the domain, or of the nearest domain above it that has any.
    pub(crate) dmarc: Answer,
}

/// A domain's SPF record, followed through its includes.
#[derive(Debug, Clone)]
pub(crate) struct Spf {
    /// The domain's own SPF records.
    pub(crate) records: Answer,
    /// Look-ups that it needs, as far as they were followed: at most one more than allowed.
    pub(crate) lookups: usize,
    /// Whether Google's senders are included.
    pub(crate) google: bool,
}

/// What the accounts of a domain send.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Messages in the last 24 hours.
    pub(crate) used: u64,
    /// Whether mail of the priority bulk waits.
    pub(crate) bulk_waits: bool,
}

/// All that is to be said of a domain.
pub(crate) fn judge(records: &Records, traffic: Traffic) -> Vec<Finding> {
    let spf = judge_spf(&records.spf);
    let dkim = judge_dkim(&records.selector, &records.dkim);
    let dmarc = judge_dmarc(&records.dmarc);
    let has = |findings: &[Finding], id: Id| findings.iter().any(|finding| finding.id == id);
    let mut findings: Vec<Finding> = spf.into_iter().chain([dkim, dmarc]).collect();
    if has(&findings, Id::SpfMissing) && has(&findings, Id::DkimMissing) {
        findings.push(Finding::error(Id::SenderUnproven, "there is neither an SPF record nor a DKIM key"));
    }
    findings.extend(bulk(&findings, traffic));
    findings
}

fn unanswered(what: &str, error: &str) -> Finding {
    Finding::warning(Id::DnsUnanswered, format!("{what}: {error}"))
}

fn judge_spf(spf: &Spf) -> Vec<Finding> {
    let record = match &spf.records {
        Err(error) => return vec![unanswered("SPF", error)],
        Ok(records) => match records.as_slice() {
            [] => return vec![Finding::warning(Id::SpfMissing, "no TXT record begins with v=spf1")],
            [record] => record,
            more => return vec![Finding::error(Id::SpfMany, format!("{} SPF records", more.len()))],
        },
    };
    let mut findings = Vec::new();
    if terms(record).any(|term| term == "+all" || term == "all") {
        findings.push(Finding::error(Id::SpfOpen, record.clone()));
    }
    if spf.lookups > MOST_LOOKUPS {
        let what = format!("it needs more than {MOST_LOOKUPS} look-ups, as far as they were followed");
        findings.push(Finding::error(Id::SpfLookups, what));
    } else if !spf.google {
        findings.push(Finding::warning(Id::SpfGoogle, format!("{GOOGLE} is not included: {record}")));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Id::Spf, format!("{record} ({} look-ups)", spf.lookups)));
    }
    findings
}

/// The SPF records among a name's TXT records.
pub(crate) fn spf_records(records: &[String]) -> Vec<String> {
    let is_spf = |record: &&String| {
        let version = record.split(' ').next().unwrap_or_default();
        version.eq_ignore_ascii_case("v=spf1")
    };
    records.iter().filter(is_spf).cloned().collect()
}

/// The terms of an SPF record in small letters, the version left out.
pub(crate) fn terms(record: &str) -> impl Iterator<Item = String> {
    record.split_ascii_whitespace().skip(1).map(str::to_ascii_lowercase)
}

/// Whether a term costs a look-up, and the domain whose SPF record it leads to, if it leads to one.
pub(crate) fn lookup_of(term: &str) -> (bool, Option<&str>) {
    let bare = term.trim_start_matches(['+', '-', '~', '?']);
    let is = |name: &str| bare == name || [':', '/'].iter().any(|mark| bare.starts_with(&format!("{name}{mark}")));
    // A macro depends on the mail: it counts, but nobody can follow it.
    let follow = |target: Option<&'_ str>| target.is_some_and(|target| !target.contains('%') && !target.is_empty());
    for prefix in ["include:", "redirect="] {
        let target = bare.strip_prefix(prefix);
        if target.is_some() {
            return (true, if follow(target) { bare.get(prefix.len()..) } else { None });
        }
    }
    (is("a") || is("mx") || is("ptr") || is("exists"), None)
}

fn judge_dkim(selector: &str, dkim: &Answer) -> Finding {
    let records = match dkim {
        Err(error) => return unanswered("DKIM", error),
        Ok(records) => records,
    };
    let key = |record: &String| tag(record, "p").map(str::to_owned);
    let Some(key) = records.iter().find_map(key) else {
        let what = format!("no key at {selector}._domainkey; another selector is possible");
        return Finding::warning(Id::DkimMissing, what);
    };
    if key.is_empty() {
        return Finding::warning(Id::DkimRevoked, format!("the key at {selector}._domainkey is empty"));
    }
    Finding::ok(Id::Dkim, format!("a key at {selector}._domainkey"))
}

fn judge_dmarc(dmarc: &Answer) -> Finding {
    let records: Vec<&String> = match dmarc {
        Err(error) => return unanswered("DMARC", error),
        Ok(records) => records.iter().filter(|record| is_dmarc(record)).collect(),
    };
    let record = match records.as_slice() {
        [] => return Finding::warning(Id::DmarcMissing, "no record at _dmarc begins with v=DMARC1"),
        [record] => record,
        more => return Finding::warning(Id::DmarcWrong, format!("{} DMARC records", more.len())),
    };
    match tag(record, "p").map(str::to_ascii_lowercase).as_deref() {
        Some(policy @ ("quarantine" | "reject")) => Finding::ok(Id::Dmarc, format!("p={policy}")),
        Some("none") => Finding::note(Id::Dmarc, "p=none"),
        Some(other) => Finding::warning(Id::DmarcWrong, format!("p={other} is no policy")),
        None => Finding::warning(Id::DmarcWrong, "it has no p"),
    }
}

pub(crate) fn is_dmarc(record: &str) -> bool {
    record.split(';').next().is_some_and(|version| version.replace(' ', "") == "v=DMARC1")
}

/// A tag of a `name=value; …` record.
fn tag<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let mut tags = record.split(';').filter_map(|part| part.split_once('='));
    tags.find(|(tag, _)| tag.trim() == name).map(|(_, value)| value.trim())
}

fn bulk(findings: &[Finding], traffic: Traffic) -> Option<Finding> {
    if traffic.used < NEAR_BULK && !traffic.bulk_waits {
        return None;
    }
    let lacks = |id: Id| findings.iter().any(|finding| finding.id == id);
    let lacking: Vec<&str> = [
        ("SPF", lacks(Id::SpfMissing) || lacks(Id::SpfMany) || lacks(Id::SpfGoogle) || lacks(Id::SpfLookups)),
        ("DKIM", lacks(Id::DkimMissing) || lacks(Id::DkimRevoked)),
        ("DMARC", lacks(Id::DmarcMissing) || lacks(Id::DmarcWrong)),
    ]
    .into_iter()
    .filter_map(|(name, is_lacking)| is_lacking.then_some(name))
    .collect();
    let sent = if traffic.used >= NEAR_BULK {
        format!("{} messages in 24 hours", traffic.used)
    } else {
        "mail of the priority bulk waits".to_owned()
    };
    let lacking = if lacking.is_empty() { String::new() } else { format!("; what is lacking: {}", lacking.join(", ")) };
    let severity = if traffic.used >= NEAR_BULK && !lacking.is_empty() { Severity::Warning } else { Severity::Note };
    let what = format!("{sent}{lacking}. Whether mails carry List-Unsubscribe, and the spam rate, doctor cannot see");
    Some(Finding::new(Id::BulkSender, severity, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(records: &[&str]) -> Answer {
        Ok(records.iter().map(|record| (*record).to_owned()).collect())
    }

    fn good() -> Records {
        Records {
            spf: Spf { records: answer(&["v=spf1 include:_spf.google.com ~all"]), lookups: 4, google: true },
            selector: "google".to_owned(),
            dkim: answer(&["v=DKIM1; k=rsa; p=MIGf"]),
            dmarc: answer(&["v=DMARC1; p=reject"]),
        }
    }

    fn found(records: &Records, traffic: Traffic) -> Vec<(Id, Severity)> {
        judge(records, traffic).into_iter().map(|finding| (finding.id, finding.severity)).collect()
    }

    fn is_found(records: &Records, id: Id, severity: Severity) {
        let found = found(records, Traffic::default());
        assert!(found.contains(&(id, severity)), "{found:?}");
    }

    #[test]
    fn a_good_domain_is_in_order() {
        let all = [(Id::Spf, Severity::Ok), (Id::Dkim, Severity::Ok), (Id::Dmarc, Severity::Ok)];
        assert_eq!(found(&good(), Traffic::default()), all);
    }

    #[test]
    fn spf() {
        use Severity::{Error, Warning};
        let of = |records: Answer, lookups, google| Records { spf: Spf { records, lookups, google }, ..good() };
        is_found(&of(answer(&[]), 0, false), Id::SpfMissing, Warning);
        is_found(&of(answer(&["v=spf1 -all", "v=spf1 ~all"]), 0, false), Id::SpfMany, Error);
        is_found(&of(answer(&["v=spf1 ip4:192.0.2.1 -all"]), 0, false), Id::SpfGoogle, Warning);
        for open in ["v=spf1 include:_spf.google.com +all", "v=spf1 include:_spf.google.com all"] {
            is_found(&of(answer(&[open]), 1, true), Id::SpfOpen, Error);
        }
        is_found(&of(answer(&["v=spf1 mx -all"]), 11, true), Id::SpfLookups, Error);
        is_found(&of(Err("timed out".to_owned()), 0, false), Id::DnsUnanswered, Warning);
        let text = |record: &str| spf_records(&[record.to_owned()]).len();
        assert_eq!((text("v=spf1"), text("V=SPF1 -all"), text("v=spf10 -all"), text("v=DMARC1")), (1, 1, 0, 0));
    }

    #[test]
    fn terms_that_cost_a_lookup() {
        for (term, expected) in [
            ("include:_spf.google.com", (true, Some("_spf.google.com"))),
            ("?include:a.example", (true, Some("a.example"))),
            ("redirect=b.example", (true, Some("b.example"))),
            ("include:%{i}.example", (true, None)),
            ("a", (true, None)),
            ("-mx:c.example/24", (true, None)),
            ("a/24", (true, None)),
            ("exists:%{i}.example", (true, None)),
            ("ptr", (true, None)),
            ("all", (false, None)),
            ("ip4:192.0.2.1", (false, None)),
            ("exp=why.example", (false, None)),
        ] {
            assert_eq!(lookup_of(term), expected, "{term}");
        }
    }

    #[test]
    fn dkim_and_dmarc() {
        use Severity::{Note, Warning};
        is_found(&Records { dkim: answer(&[]), ..good() }, Id::DkimMissing, Warning);
        is_found(&Records { dkim: answer(&["v=DKIM1; p="]), ..good() }, Id::DkimRevoked, Warning);
        is_found(&Records { dmarc: answer(&[]), ..good() }, Id::DmarcMissing, Warning);
        is_found(&Records { dmarc: answer(&["v=DMARC1; p=none"]), ..good() }, Id::Dmarc, Note);
        for wrong in [&["v=DMARC1"][..], &["v=DMARC1; p=maybe"], &["v=DMARC1; p=none", "v=DMARC1; p=none"]] {
            is_found(&Records { dmarc: answer(wrong), ..good() }, Id::DmarcWrong, Warning);
        }
    }

    #[test]
    fn neither_spf_nor_dkim_is_an_error() {
        let none = Spf { records: answer(&[]), lookups: 0, google: false };
        is_found(&Records { spf: none, dkim: answer(&[]), ..good() }, Id::SenderUnproven, Severity::Error);
    }

    #[test]
    fn bulk_senders_hear_of_the_rules() {
        let sends = |used, bulk_waits| Traffic { used, bulk_waits };
        let of = |records: &Records, traffic| found(records, traffic).into_iter().find(|(id, _)| *id == Id::BulkSender);
        assert_eq!(of(&good(), sends(3_999, false)), None);
        assert_eq!(of(&good(), sends(4_000, false)), Some((Id::BulkSender, Severity::Note)));
        let no_dmarc = Records { dmarc: answer(&[]), ..good() };
        assert_eq!(of(&no_dmarc, sends(4_000, false)), Some((Id::BulkSender, Severity::Warning)));
        assert_eq!(of(&no_dmarc, sends(0, true)), Some((Id::BulkSender, Severity::Note)));
    }
}
