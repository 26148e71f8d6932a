//! Parses one command line. Strict where Gmail is: what a client sends wrong should be seen in a test.
//! Decides nothing about whether the command is allowed now.

use super::replies;
use crate::stats::Verb;

/// One command with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo,
    Helo,
    Auth { mechanism: String, initial: Option<String> },
    Mail { from: String, size: Option<u64>, smtputf8: bool },
    Rcpt { to: String },
    Data,
    Bdat { size: u64, last: bool },
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
}

/// A line that is no command: its verb, and the refusal.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) verb: Verb,
    pub(super) reply: &'static str,
}

impl Command {
    pub(super) fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let malformed = |verb, reply| Malformed { verb, reply };
        let line = std::str::from_utf8(line).map_err(|_| malformed(Verb::Other, replies::SYNTAX))?;
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        if is("MAIL") {
            parse_mail(arguments).map_err(|reply| malformed(Verb::Mail, reply))
        } else if is("RCPT") {
            parse_rcpt(arguments).map_err(|reply| malformed(Verb::Rcpt, reply))
        } else if is("BDAT") {
            parse_bdat(arguments).ok_or(malformed(Verb::Bdat, replies::BAD_BDAT))
        } else if is("AUTH") {
            parse_auth(arguments).ok_or(malformed(Verb::Auth, replies::SYNTAX))
        } else if is("EHLO") || is("HELO") {
            let (verb, command) = if is("EHLO") { (Verb::Ehlo, Self::Ehlo) } else { (Verb::Helo, Self::Helo) };
            if arguments.trim().is_empty() { Err(malformed(verb, replies::EMPTY_HELO)) } else { Ok(command) }
        } else if is("NOOP") {
            Ok(Self::Noop)
        } else if is("HELP") {
            Ok(Self::Help)
        } else if is("VRFY") {
            Ok(Self::Vrfy)
        } else if is("STARTTLS") {
            // TLS is there from the start; Gmail does not offer it on this port.
            Err(malformed(Verb::Starttls, replies::UNKNOWN_COMMAND))
        } else {
            parse_bare(verb, arguments)
        }
    }

    pub(super) fn verb(&self) -> Verb {
        match self {
            Self::Ehlo => Verb::Ehlo,
            Self::Helo => Verb::Helo,
            Self::Auth { .. } => Verb::Auth,
            Self::Mail { .. } => Verb::Mail,
            Self::Rcpt { .. } => Verb::Rcpt,
            Self::Data => Verb::Data,
            Self::Bdat { .. } => Verb::Bdat,
            Self::Rset => Verb::Rset,
            Self::Noop => Verb::Noop,
            Self::Quit => Verb::Quit,
            Self::Help => Verb::Help,
            Self::Vrfy => Verb::Vrfy,
        }
    }
}

/// Commands that take no argument.
fn parse_bare(verb: &str, arguments: &str) -> Result<Command, Malformed> {
    let known =
        [("DATA", Command::Data, Verb::Data), ("RSET", Command::Rset, Verb::Rset), ("QUIT", Command::Quit, Verb::Quit)];
    for (name, command, counted) in known {
        if verb.eq_ignore_ascii_case(name) {
            let bare = arguments.trim().is_empty();
            return if bare { Ok(command) } else { Err(Malformed { verb: counted, reply: replies::SYNTAX }) };
        }
    }
    Err(Malformed { verb: Verb::Other, reply: replies::UNKNOWN_COMMAND })
}

fn parse_mail(arguments: &str) -> Result<Command, &'static str> {
    let (from, parameters) = parse_path(arguments, "FROM:").ok_or(replies::SYNTAX)?;
    let (mut size, mut smtputf8) = (None, false);
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.to_ascii_uppercase().as_str() {
            "SIZE" => size = Some(value.parse().map_err(|_| replies::SYNTAX)?),
            "BODY" if ["7BIT", "8BITMIME"].iter().any(|body| value.eq_ignore_ascii_case(body)) => {}
            "SMTPUTF8" if value.is_empty() => smtputf8 = true,
            "AUTH" => {}
            _ => return Err(replies::SYNTAX),
        }
    }
    // The empty path of a bounce is a valid sender.
    if !from.is_empty() && !is_address(from) {
        return Err(replies::BAD_SENDER);
    }
    if !from.is_ascii() && !smtputf8 {
        return Err(replies::NEEDS_SMTPUTF8);
    }
    Ok(Command::Mail { from: from.to_owned(), size, smtputf8 })
}

fn parse_rcpt(arguments: &str) -> Result<Command, &'static str> {
    let (to, parameters) = parse_path(arguments, "TO:").ok_or(replies::SYNTAX)?;
    if !parameters.trim().is_empty() {
        return Err(replies::SYNTAX);
    }
    if !is_address(to) {
        return Err(replies::BAD_RECIPIENT);
    }
    Ok(Command::Rcpt { to: to.to_owned() })
}

/// What stands between the angle brackets after `FROM:` or `TO:`, and what follows them.
fn parse_path<'a>(arguments: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let given = arguments.get(..keyword.len())?;
    if !given.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (address, rest) = arguments[keyword.len()..].strip_prefix('<')?.split_once('>')?;
    (rest.is_empty() || rest.starts_with(' ')).then_some((address, rest))
}

fn is_address(address: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>');
    address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !address.contains(blank)
}

fn parse_bdat(arguments: &str) -> Option<Command> {
    let mut words = arguments.split_ascii_whitespace();
    let size = words.next()?.parse().ok()?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Command::Bdat { size, last })
}

fn parse_auth(arguments: &str) -> Option<Command> {
    let mut words = arguments.split_ascii_whitespace();
    let mechanism = words.next()?.to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    words.next().is_none().then_some(Command::Auth { mechanism, initial })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn refusal(line: &str) -> &'static str {
        Command::parse(line.as_bytes()).unwrap_err().reply
    }

    #[test]
    fn commands_are_read_with_their_arguments() {
        let parse = |line: &str| Command::parse(line.as_bytes()).unwrap();
        let mail = Command::Mail { from: "a@b.example".to_owned(), size: Some(12), smtputf8: true };
        assert_eq!(parse("mail from:<a@b.example> SIZE=12 BODY=8BITMIME SMTPUTF8"), mail);
        assert_eq!(parse("MAIL FROM:<>"), Command::Mail { from: String::new(), size: None, smtputf8: false });
        assert_eq!(parse("RCPT TO:<c@d.example>"), Command::Rcpt { to: "c@d.example".to_owned() });
        assert_eq!(parse("BDAT 5 last"), Command::Bdat { size: 5, last: true });
        assert_eq!(parse("BDAT 0"), Command::Bdat { size: 0, last: false });
        assert_eq!(parse("NOOP whatever"), Command::Noop);
    }

    #[test]
    fn malformed_lines_get_gmails_codes() {
        assert_eq!(refusal("FOO"), replies::UNKNOWN_COMMAND);
        assert_eq!(refusal("MAIL FROM:a@b.example"), replies::SYNTAX);
        assert_eq!(refusal("MAIL FROM: <a@b.example>"), replies::SYNTAX);
        assert_eq!(refusal("MAIL FROM:<a@b.example> NOTIFY=NEVER"), replies::SYNTAX);
        assert_eq!(refusal("MAIL FROM:<ü@b.example>"), replies::NEEDS_SMTPUTF8);
        assert_eq!(refusal("RCPT TO:<nobody>"), replies::BAD_RECIPIENT);
        assert_eq!(refusal("RCPT TO:<a b@c.example>"), replies::BAD_RECIPIENT);
        assert_eq!(refusal("BDAT x LAST"), replies::BAD_BDAT);
        assert_eq!(refusal("DATA now"), replies::SYNTAX);
        assert_eq!(refusal("EHLO"), replies::EMPTY_HELO);
        assert_eq!(refusal("STARTTLS"), replies::UNKNOWN_COMMAND);
    }
}
