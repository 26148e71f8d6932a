//! The flags of the program and what they mean for the sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use postroom_sandbox::{Config, Keep};

const EXAMPLES: &str = "\
Examples:
  postroom-sandbox                                  SMTP on 4465, IMAP on 4493, tokens and page on 4480
  postroom-sandbox --smtp 127.0.0.1:0 --http 127.0.0.1:0 --dir /tmp/sandbox
                                                    free ports; read them from /tmp/sandbox/env
  postroom-sandbox --token-life 5s --latency 250ms  short tokens, slow replies
  postroom-sandbox --mails-per-connection 50 --connections-per-account 3

Then, in another terminal:
  . .sandbox/env
  curl -d grant_type=refresh_token -d refresh_token=sandbox-refresh:me@example.com \\
       -d client_id=sandbox-client -d client_secret=sandbox-secret \"$POSTROOM_TOKEN_URL\"
  curl -H 'content-type: application/json' http://127.0.0.1:4480/api/faults \\
       -d '{\"stage\":\"rcpt\",\"recipient\":\"nobody@\",\"action\":{\"reply\":\"550 5.1.1 No such user\"}}'
  curl http://127.0.0.1:4480/api/stats";

/// A stand-in for Gmail: SMTP and IMAP with XOAUTH2, a token endpoint, and a page with the mail it caught.
///
/// Everything is simulated and kept in memory; nothing leaves this machine.
#[derive(Debug, Parser)]
#[command(name = "postroom-sandbox", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Where the simulated SMTP server listens (TLS from the start); port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4465")]
    smtp: SocketAddr,
    /// Where token endpoint, JSON API and page listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4480")]
    http: SocketAddr,
    /// Where the simulated IMAP server listens (TLS from the start); port 0 takes a free one.
    /// Default 127.0.0.1:4493, or a free port if --smtp takes one
    #[arg(long, value_name = "ADDRESS")]
    imap: Option<SocketAddr>,
    /// Folder for ca.pem and env, written once the sandbox listens
    #[arg(long, value_name = "DIR", default_value = ".sandbox")]
    pub(crate) dir: PathBuf,
    /// How long an access token lives: 500ms, 5s, 10m, 1h
    #[arg(long, value_name = "TIME", default_value = "3599s", value_parser = parse_duration)]
    token_life: Duration,
    /// Wait before each flight of SMTP replies
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    latency: Duration,
    /// Mails on one connection before it is closed with 421; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    mails_per_connection: u64,
    /// Simultaneous logged-in connections of one account; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    connections_per_account: u64,
    /// Do not offer CHUNKING (BDAT)
    #[arg(long)]
    no_chunking: bool,
    /// Do not offer PIPELINING, and refuse commands that are sent ahead
    #[arg(long)]
    no_pipelining: bool,
    /// End a session with 421 once its access token has expired
    #[arg(long)]
    close_sessions_at_expiry: bool,
    /// How long after its acceptance a mail is found in Sent over IMAP
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    index_delay: Duration,
    /// Do not offer Gmail's own search over IMAP (X-GM-EXT-1)
    #[arg(long)]
    no_gmail_search: bool,
    /// What to keep of each mail: all bytes, or only its size and hash
    #[arg(long, value_enum, default_value_t = KeepFlag::All)]
    keep: KeepFlag,
    /// Seed of the faults that fire by probability
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeepFlag {
    /// All bytes
    All,
    /// Size and hash only
    None,
}

impl Cli {
    pub(crate) fn config(&self) -> Config {
        Config {
            smtp: self.smtp,
            http: self.http,
            imap: self.imap.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, imap_port(self.smtp.port())))),
            token_life: self.token_life,
            latency: self.latency,
            mails_per_connection: self.mails_per_connection,
            connections_per_account: self.connections_per_account,
            keep: match self.keep {
                KeepFlag::All => Keep::All,
                KeepFlag::None => Keep::None,
            },
            chunking: !self.no_chunking,
            pipelining: !self.no_pipelining,
            close_sessions_at_expiry: self.close_sessions_at_expiry,
            index_delay: self.index_delay,
            gmail_search: !self.no_gmail_search,
            xoauth2: true,
            seed: self.seed,
        }
    }
}

/// Who takes a free port for SMTP may run beside another sandbox.
fn imap_port(smtp: u16) -> u16 {
    if smtp == 0 { 0 } else { 4493 }
}

/// Reads `250ms`, `5s`, `0.5s`, `10m`, `1h`; a bare number is refused, for its unit would be a guess.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a number and a unit: 250ms, 5s, 10m, 1h".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("0.5s").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1h").unwrap(), Duration::from_secs(3600));
        for wrong in ["", "5", "s", "-1s", "5 s", "5d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
