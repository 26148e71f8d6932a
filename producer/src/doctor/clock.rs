//! Whether this machine's clock agrees with the others'. Pure.

use postroom_shared::clock::Millis;

use super::finding::{Finding, Severity};
use super::ids::Id;

/// An HTTP date has whole seconds, and an answer takes its time.
const FINE: u64 = 5_000;
/// Tokens are used up to about a minute before their end, and signed requests may be about so much off.
const TOLERABLE: u64 = 60_000;

/// This machine's clock beside another's at the same time.
pub(crate) fn judge(id: Id, other: Millis, own: Millis) -> Finding {
    let apart = own.0.abs_diff(other.0);
    let severity = match apart {
        0..FINE => Severity::Ok,
        FINE..TOLERABLE => Severity::Warning,
        _ => Severity::Error,
    };
    let whose = if id == Id::ClockRedis { "Redis" } else { "the token endpoint" };
    if severity == Severity::Ok {
        return Finding::ok(id, format!("this machine and {whose} agree"));
    }
    let direction = if own > other { "ahead of" } else { "behind" };
    let what = format!("this machine's clock is {} s {direction} that of {whose}", apart / 1_000);
    Finding::new(id, severity, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_fine_minutes_are_not() {
        let now = Millis(1_000_000_000);
        for (own, severity, words) in [
            (now.0 + 4_999, Severity::Ok, "agree"),
            (now.0 - 5_000, Severity::Warning, "5 s behind"),
            (now.0 + 59_999, Severity::Warning, "59 s ahead of"),
            (now.0 + 3_600_000, Severity::Error, "3600 s ahead of"),
        ] {
            let finding = judge(Id::ClockServer, now, Millis(own));
            assert_eq!(finding.severity, severity, "{own}");
            assert!(finding.what.contains(words), "{}", finding.what);
        }
    }
}
