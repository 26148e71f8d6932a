//! `postroom doctor`: what was found, on standard output; the exit code says whether anything is wrong.
//!
//! Needs no connection to Redis to begin with: that there is none is a finding.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use postroom::AccountId;
use postroom_shared::telemetry::start_logging;

use super::output::Out;
use super::values::{account_id, quiet};
use super::{Failure, table};
use crate::doctor::{DoctorSettings, Options, Severity, examine, markdown};

const HELP: &str = "\
Looks at Redis, the clocks, the SMTP, IMAP and token servers, the keys that seal
credentials, each account (credentials, consent, scope, token, login, budget,
hold) and the records of the sending domains. Each finding says what, why it
matters and what mends it; docs/doctor.md tells all of them.

It changes nothing, but for two things: where no access token lives it fetches
one, and it logs each account in once, which counts like any other login. A held
account is not asked for what it is held for, unless you say --try.

Run it with the worker's settings: POSTROOM_REDIS_URL, POSTROOM_SECRET_KEY,
POSTROOM_SMTP_URL, POSTROOM_IMAP_URL, POSTROOM_TOKEN_URL, POSTROOM_TLS_CA_FILE.

Exit codes: 0 no errors (there may be warnings); 1 errors, or with --strict also
warnings; 2 wrong use.

Examples:
  postroom doctor
  postroom doctor shop@example.com --try
  postroom doctor --json --strict
  postroom doctor --dkim-selector mail2026";

/// `postroom doctor`
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Doctor {
    /// Only this account, and what it needs; by default all accounts
    #[arg(value_name = "ACCOUNT", value_parser = quiet(account_id))]
    account: Option<AccountId>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Exit with 1 for warnings, too
    #[arg(long)]
    strict: bool,
    /// Ask for a token and log in although the account is held or the token lives
    #[arg(long = "try")]
    insist: bool,
    /// The selector of the domains' DKIM keys
    #[arg(long, value_name = "NAME", default_value = "google", value_parser = quiet(selector))]
    dkim_selector: String,
    /// The DNS server to ask, instead of the system's, such as 192.0.2.53 or 127.0.0.1:5353
    #[arg(long, value_name = "ADDRESS", value_parser = quiet(resolver), overrides_with = "resolver")]
    resolver: Option<SocketAddr>,
    /// Print the tables of docs/doctor.md
    #[arg(long, hide = true)]
    markdown: bool,
}

pub(crate) async fn run(command: &Doctor) -> Result<(), Failure> {
    let mut out = Out::new();
    if command.markdown {
        out.line(markdown())?;
        return out.flush();
    }
    let settings = DoctorSettings::from_process()?;
    start_logging(&settings.base.log).map_err(Failure::Failed)?;
    let options = Options {
        account: command.account.clone(),
        insist: command.insist,
        resolver: command.resolver,
        selector: command.dkim_selector.clone(),
    };
    let report = examine(&settings, &options).await;
    if command.json {
        out.json(&report.json())?;
    } else {
        report.lines().iter().try_for_each(|line| out.line(table::clean(line)))?;
    }
    out.flush()?;
    let limit = if command.strict { Severity::Warning } else { Severity::Error };
    if report.worst() >= limit { Err(Failure::Told) } else { Ok(()) }
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
    with_port.map_err(|_| "not an address: write 192.0.2.53, 127.0.0.1:5353 or [::1]:53".to_owned())
}

/// One or more labels of a domain's name.
fn selector(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    if text.len() <= 190 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("not a selector: it is the word before ._domainkey in the record's name".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_resolvers_and_selectors() {
        for (text, expected) in
            [("192.0.2.53", "192.0.2.53:53"), ("127.0.0.1:5353", "127.0.0.1:5353"), ("::1", "[::1]:53")]
        {
            assert_eq!(resolver(text), Ok(expected.parse().unwrap()), "{text}");
        }
        assert!(resolver("dns.example").is_err());
        assert!(selector("mail_2026.eu").is_ok());
        for wrong in ["", "a..b", "a b", "a/b"] {
            assert!(selector(wrong).is_err(), "{wrong}");
        }
    }
}
