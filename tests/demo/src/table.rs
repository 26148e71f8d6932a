//! The table at the end: our record beside the server's, and where to look next.

use postroom::Millis;

use crate::check::Findings;
use crate::mails::ACCOUNTS;
use crate::out::say;
use crate::stage::{CAP, Stage};

/// Differences that are told one by one.
const TOLD: usize = 20;

/// Prints it.
pub(crate) fn print(stage: &Stage, findings: &Findings) {
    figures(findings);
    tokens_and_connections(findings);
    times(stage, findings);
    say("");
    if findings.differences.is_empty() {
        say("Our record and the server's agree: every mail once, to every recipient once, byte for byte as frozen.");
    } else {
        say(&format!("Our record and the server's DIFFER, {} times:", findings.differences.len()));
        for difference in findings.differences.iter().take(TOLD) {
            say(&format!("  {difference}"));
        }
        if findings.differences.len() > TOLD {
            say(&format!("  and {} more", findings.differences.len() - TOLD));
        }
    }
    say("");
    say("Where to look next: README.md; `make demo KEEP=1` stays up with a page of all mails the server took,");
    say("and with `postroom mail list`, `postroom mail show ID`, `postroom dead list`, `postroom queue stats` to try.");
}

fn row(what: &str, ours: impl ToString, theirs: impl ToString, note: &str) {
    let line = format!("{what:<24}{:>12}{:>12}   {note}", ours.to_string(), theirs.to_string());
    say(line.trim_end());
}

fn figures(findings: &Findings) {
    let (ours, theirs) = (&findings.ours, &findings.theirs);
    let dead: u64 = ours.dead.values().sum();
    let why: Vec<String> = ours.dead.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    say("");
    row("", "our record", "the server", "");
    row("handed over", findings.handed, "", "");
    row("sent", ours.sent, theirs.mails, "mails; the server's by Message-ID");
    row("  recipients", ours.delivered_recipients, theirs.stats.distinct, "one mail has 20 of them");
    row("  bytes as frozen", "", theirs.equal, "mails, every copy compared");
    let retried = format!("on purpose, in {} mails: 451, 421, 450", ours.retried_mails);
    row("retries", ours.retries, theirs.temporary, &retried);
    row("dead", dead, theirs.permanent, &format!("{}: a mailbox that is gone, 550 5.1.1", why.join(", ")));
    row("doubled", ours.doubled, theirs.stats.doubled, "");
    row("lost", "", theirs.lost, "");
}

fn tokens_and_connections(findings: &Findings) {
    let stats = &findings.theirs.stats;
    let note = format!("one an account, and one more when {} lost its token on the way", ACCOUNTS[0]);
    row("tokens fetched", "", stats.tokens_issued, &note);
    row("logins", "", stats.logins_ok, &format!("and {} refused, for the token that had ended", stats.logins_refused));
    let most: Vec<String> = ACCOUNTS.iter().map(|account| stats.account(account).max_sessions.to_string()).collect();
    row("connections at once", "", most.join(" "), &format!("an account, over both workers; the cap is {CAP}"));
    let shares: Vec<String> = findings.ours.shares.iter().map(u64::to_string).collect();
    row("mails a worker", shares.join(" + "), "", "of five slots each");
}

fn times(stage: &Stage, findings: &Findings) {
    let took = &findings.took;
    let at = |part: f64| took.get(((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1)));
    let shown = |part: f64| at(part).map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
    let note = format!("hand-over to the last byte, of the {} that nothing delayed on purpose", took.len());
    row("time p50", "", shown(0.5), &note);
    row("time p99", "", shown(0.99), "130 of them were handed over at once");
    let whole = Millis::now().since(stage.began);
    row("the whole run", "", format!("{:.1} s", whole.as_secs_f64()), "");
}
