//! Refuses rules that could never do what they say, so that a test with a wrong rule fails where it is made.

use super::{Action, Fault, Reply, Stage};

impl Fault {
    /// What is wrong with the rule, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let in_imap = matches!(self.stage, Stage::ImapConnect | Stage::ImapLogin | Stage::ImapSearch);
        let fits = match &self.action {
            Action::Reply(_) => !in_imap && !matches!(self.stage, Stage::Connect | Stage::Token),
            Action::DelayMs(_) | Action::Silence => true,
            Action::Cut => self.stage != Stage::Token,
            Action::AcceptThenCut | Action::StoreAndDelayMs(_) => self.stage == Stage::Final,
            Action::No(text) => {
                let has_form = !text.is_empty() && !text.contains(['\r', '\n']);
                has_form && matches!(self.stage, Stage::ImapLogin | Stage::ImapSearch)
            }
            Action::Http(_) => self.stage == Stage::Token,
            Action::Garbage(_) => !in_imap && !matches!(self.stage, Stage::Connect | Stage::Token),
        };
        if !fits {
            return Err(format!("the action {:?} is not possible at stage {:?}", self.action, self.stage));
        }
        if let Action::Reply(reply) = &self.action {
            reply.check()?;
        }
        if let Action::Http(answer) = &self.action
            && !(200..=599).contains(&answer.status)
        {
            return Err(format!("{} is not an HTTP status from 200 to 599", answer.status));
        }
        self.check_conditions()
    }

    fn check_conditions(&self) -> Result<(), String> {
        let known = |condition: bool, name: &str, stages: &[Stage]| {
            if condition && !stages.contains(&self.stage) {
                return Err(format!("{name} is not known at stage {:?}", self.stage));
            }
            Ok(())
        };
        let in_mail = [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Final];
        let in_session = [Stage::Auth, Stage::Token, Stage::ImapLogin, Stage::ImapSearch];
        let with_account = [&in_session[..], &in_mail].concat();
        known(self.account.is_some(), "account", &with_account)?;
        known(self.from.is_some(), "from", &in_mail)?;
        known(self.recipient.is_some(), "recipient", &in_mail[1..])?;
        known(self.header.is_some(), "header", &[Stage::Final])?;
        known(self.subject.is_some(), "subject", &[Stage::Final])?;
        known(self.per_mail_times.is_some(), "per_mail_times", &with_account)?;
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("probability lies between 0 and 1".to_owned());
        }
        if self.every == Some(0) {
            return Err("every counts from 1".to_owned());
        }
        Ok(())
    }
}

impl Reply {
    /// Lines are of one code, 4xx or 5xx: a scripted reply is always a refusal.
    fn check(&self) -> Result<(), String> {
        let code = |line: &String| line.get(..3).and_then(|digits| digits.parse::<u16>().ok());
        let first = self.0.first().and_then(code);
        let Some(400..=599) = first else {
            return Err(format!("a scripted reply begins with a code from 400 to 599: {:?}", self.0));
        };
        let well_formed = |line: &String| {
            code(line) == first
                && matches!(line.as_bytes().get(3), None | Some(b' ' | b'-'))
                && !line.contains(['\r', '\n'])
        };
        if !self.0.iter().all(well_formed) {
            return Err(format!("every line of a reply begins with the same code: {:?}", self.0));
        }
        Ok(())
    }

    /// The reply as it goes over the wire, without the last line's end.
    pub(crate) fn wire_text(&self) -> String {
        let last = self.0.len().saturating_sub(1);
        let lines: Vec<String> = self
            .0
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let separator = if i == last { ' ' } else { '-' };
                format!("{}{separator}{}", line.get(..3).unwrap_or_default(), line.get(4..).unwrap_or_default())
            })
            .collect();
        lines.join("\r\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn impossible_rules_are_refused() {
        let impossible = [
            Fault::new(Stage::Connect, Action::reply("421 4.7.0 no")),
            Fault::new(Stage::Rcpt, Action::AcceptThenCut),
            Fault::new(Stage::Token, Action::Cut),
            Fault::new(Stage::ImapSearch, Action::reply("451 4.3.0 later")),
            Fault::new(Stage::ImapConnect, Action::No("later".to_owned())),
            Fault::new(Stage::ImapLogin, Action::No("a\r\nb".to_owned())),
            Fault::new(Stage::Final, Action::No("later".to_owned())),
            Fault::new(Stage::ImapConnect, Action::Cut).account("a@b"),
            Fault::new(Stage::Mail, Action::http(500, "")),
            Fault::new(Stage::Connect, Action::Garbage("?".to_owned())),
            Fault::new(Stage::Final, Action::reply("250 2.0.0 OK")),
            Fault::new(Stage::Final, Action::reply("no code")),
            Fault::new(Stage::Final, Action::reply("451 a\n452 b")),
            Fault::new(Stage::Mail, Action::Cut).subject("x"),
            Fault::new(Stage::Mail, Action::Cut).recipient("x"),
            Fault::new(Stage::Connect, Action::Cut).account("a@b"),
            Fault::new(Stage::Mail, Action::Cut).every(0),
            Fault::new(Stage::Mail, Action::Cut).probability(1.5),
        ];
        for fault in impossible {
            assert!(fault.check().is_err(), "{fault:?}");
        }
    }

    #[test]
    fn lines_of_a_reply_get_their_separators() {
        let Action::Reply(reply) = Action::reply("550 5.4.5 Daily user sending limit exceeded.\n550 5.4.5 gsmtp")
        else {
            panic!("a reply")
        };
        reply.check().unwrap();
        assert_eq!(reply.wire_text(), "550-5.4.5 Daily user sending limit exceeded.\r\n550 5.4.5 gsmtp");
    }
}
