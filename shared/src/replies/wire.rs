//! Reads a reply as it stands on the wire, a log or a bounce: `550-5.1.1 No such user`, of one line or more.

use crate::reply::{Enhanced, Reply, Stage};

/// The reply, if the text begins with a code. Lines that repeat code and enhanced code are joined without them.
#[must_use]
pub fn read_reply(stage: Stage, wire: &str) -> Option<Reply> {
    let mut lines = wire.lines().map(str::trim).filter(|line| !line.is_empty());
    let (code, enhanced, first) = read_line(lines.next()?)?;
    let mut text = first.to_owned();
    for line in lines {
        let rest = match read_line(line) {
            Some((again, _, rest)) if again == code => rest,
            Some(_) | None => line,
        };
        text.push(' ');
        text.push_str(rest);
    }
    Some(Reply::new(stage, code, enhanced, text.trim()))
}

/// Code, enhanced code and the rest of one line.
fn read_line(line: &str) -> Option<(u16, Option<Enhanced>, &str)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    let rest = match rest.chars().next() {
        None => rest,
        Some(' ' | '-') => &rest[1..],
        Some(_) => return None,
    };
    let (word, after) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
    Some(match read_enhanced(word) {
        Some(enhanced) => (code, Some(enhanced), after.trim()),
        None => (code, None, rest.trim()),
    })
}

/// `5.4.5`
pub(super) fn read_enhanced(word: &str) -> Option<Enhanced> {
    let mut parts = word.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && ["2", "4", "5"].contains(&class);
    whole.then(|| Some(Enhanced(class.parse().ok()?, subject.parse().ok()?, detail.parse().ok()?)))?
}
