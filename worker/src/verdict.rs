//! What a reply means. One pure function; it decides nothing about what follows.
//!
//! The rules are first match wins. Gmail's whole table of replies will take their place as data.

use std::time::Duration;

use postroom_shared::reason::Reason;
use postroom_shared::reply::{Enhanced, Reply, Said, Silence, Stage};

/// What an attempt came to, for a recipient or for the whole mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server took it.
    Delivered,
    /// Not now; later, but not before the floor.
    Transient {
        /// Why.
        reason: Reason,
        /// The least pause.
        floor: Duration,
    },
    /// The connection was at its end: once more at once on a new one, without counting an attempt.
    Reconnect,
    /// The login was refused.
    AuthRefused,
    /// Never.
    Permanent(Reason),
    /// The server may have taken it: the connection was lost after the final dot.
    Uncertain,
}

/// Gmail's limits last for hours: asking sooner gains nothing (gmail.md, "Limits").
const QUOTA_FLOOR: Duration = Duration::from_secs(3_600);
/// Too many logins are forgiven after 10 to 60 minutes (gmail.md, "Replies").
const LOGIN_FLOOR: Duration = Duration::from_secs(600);
const DAILY_LIMIT: Enhanced = Enhanced(5, 4, 5);

/// What a reply, or a silence, means.
#[must_use]
pub fn verdict(reply: &Reply) -> Verdict {
    match &reply.said {
        Said::Silence { how, .. } => silent(reply.stage, *how),
        Said::Reply { code, enhanced, .. } => said(reply.stage, *code, *enhanced),
    }
}

fn silent(stage: Stage, how: Silence) -> Verdict {
    match (stage, how) {
        (Stage::Final, Silence::Timeout | Silence::Closed | Silence::Unreachable | Silence::Tls | Silence::Garbage) => {
            Verdict::Uncertain
        }
        (Stage::Mail, Silence::Closed) => Verdict::Reconnect,
        (Stage::Token, _) => transient(Reason::TokenUnavailable),
        (
            Stage::Connect | Stage::Greeting | Stage::Ehlo | Stage::Auth | Stage::Mail | Stage::Rcpt | Stage::Data,
            Silence::Timeout | Silence::Closed | Silence::Unreachable | Silence::Tls | Silence::Garbage,
        ) => transient(Reason::Connection),
    }
}

fn said(stage: Stage, code: u16, enhanced: Option<Enhanced>) -> Verdict {
    match (code, stage) {
        (250, Stage::Final) => Verdict::Delivered,
        (454, Stage::Auth) => Verdict::Transient { reason: Reason::ServerBusy, floor: LOGIN_FLOOR },
        (534 | 535, _) => Verdict::AuthRefused,
        (421, Stage::Mail) | (530, _) => Verdict::Reconnect,
        (550, _) if enhanced == Some(DAILY_LIMIT) => {
            Verdict::Transient { reason: Reason::ServerBusy, floor: QUOTA_FLOOR }
        }
        (400..=499, _) => transient(Reason::ServerBusy),
        (500..=504 | 555, _) => Verdict::Permanent(Reason::Config),
        (505..=599, Stage::Rcpt) => Verdict::Permanent(Reason::Recipient),
        (505..=599, _) => Verdict::Permanent(Reason::Message),
        // A code that no rule of SMTP allows at this stage: after the data it may hide a delivery.
        (_, Stage::Final) => Verdict::Uncertain,
        _ => transient(Reason::Connection),
    }
}

fn transient(reason: Reason) -> Verdict {
    Verdict::Transient { reason, floor: Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_mean_what_the_table_says() {
        let table: &[(u16, &str, Stage, Verdict)] = &[
            (250, "2.0.0", Stage::Final, Verdict::Delivered),
            (421, "4.7.0", Stage::Greeting, transient(Reason::ServerBusy)),
            (421, "4.7.0", Stage::Mail, Verdict::Reconnect),
            (450, "4.2.1", Stage::Rcpt, transient(Reason::ServerBusy)),
            (451, "4.3.0", Stage::Final, transient(Reason::ServerBusy)),
            (454, "4.7.0", Stage::Auth, Verdict::Transient { reason: Reason::ServerBusy, floor: LOGIN_FLOOR }),
            (530, "5.5.1", Stage::Mail, Verdict::Reconnect),
            (534, "5.7.9", Stage::Auth, Verdict::AuthRefused),
            (535, "5.7.8", Stage::Auth, Verdict::AuthRefused),
            (503, "5.5.1", Stage::Data, Verdict::Permanent(Reason::Config)),
            (550, "5.1.1", Stage::Rcpt, Verdict::Permanent(Reason::Recipient)),
            (550, "5.4.5", Stage::Final, Verdict::Transient { reason: Reason::ServerBusy, floor: QUOTA_FLOOR }),
            (550, "5.4.5", Stage::Rcpt, Verdict::Transient { reason: Reason::ServerBusy, floor: QUOTA_FLOOR }),
            (552, "5.7.0", Stage::Final, Verdict::Permanent(Reason::Message)),
            (599, "5.9.9", Stage::Final, Verdict::Permanent(Reason::Message)),
            (251, "2.0.0", Stage::Final, Verdict::Uncertain),
        ];
        for (code, enhanced, stage, expected) in table {
            let parts: Vec<u16> = enhanced.split('.').map(|part| part.parse().unwrap()).collect();
            let enhanced = Enhanced(u8::try_from(parts[0]).unwrap(), parts[1], parts[2]);
            let reply = Reply::new(*stage, *code, Some(enhanced), "words - gsmtp");
            assert_eq!(verdict(&reply), *expected, "{code} {enhanced} at {stage:?}");
        }
    }

    #[test]
    fn only_a_loss_after_the_final_dot_is_uncertain() {
        for (stage, expected) in [
            (Stage::Token, transient(Reason::TokenUnavailable)),
            (Stage::Connect, transient(Reason::Connection)),
            (Stage::Mail, Verdict::Reconnect),
            (Stage::Data, transient(Reason::Connection)),
            (Stage::Final, Verdict::Uncertain),
        ] {
            assert_eq!(verdict(&Reply::silence(stage, Silence::Closed, "cut")), expected, "{stage:?}");
        }
    }
}
