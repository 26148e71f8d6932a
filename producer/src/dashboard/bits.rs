//! Small parts of pages: times, spans, numbers, states, accounts. Whatever comes from outside is escaped by the macro.

use std::time::Duration;

use maud::{Markup, html};
use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::queue::MailState;
use postroom_shared::reason::Reason;

use super::visitor::Visitor;

/// A time, as far from now as it is; the exact time when one points at it.
pub(super) fn when(at: Millis, now: Millis) -> Markup {
    let told = if at > now { format!("in {}", span(at.since(now))) } else { format!("{} ago", span(now.since(at))) };
    html! { time datetime=(at) title=(exact(at)) { (told) } }
}

/// `2027-01-31 09:00:00 UTC`
pub(super) fn exact(at: Millis) -> String {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{date} {} UTC", time.trim_end_matches('Z'))
}

/// `120 ms`, `3.4 s`, `12 min`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(span: Duration) -> String {
    let two = |first: u64, one: &str, second: u64, other: &str| match second {
        0 => format!("{first} {one}"),
        second => format!("{first} {one} {second} {other}"),
    };
    match (span.as_millis(), span.as_secs()) {
        (millis @ 0..1_000, _) => format!("{millis} ms"),
        (_, 0..10) => format!("{:.1} s", span.as_secs_f64()),
        (_, seconds @ 10..120) => format!("{seconds} s"),
        (_, seconds @ 120..7_200) => format!("{} min", seconds / 60),
        (_, seconds @ 7_200..172_800) => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        (_, seconds) => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `1,234,567`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// `17 B`, `2.0 KiB`, `3.0 MiB`
pub(super) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point")]
    let of = |unit: u32| bytes as f64 / f64::from(1_u32 << unit);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", of(10)),
        _ => format!("{:.1} MiB", of(20)),
    }
}

/// A mail's state: a word, and a colour that only repeats it.
pub(super) fn state(state: MailState) -> Markup {
    html! { span class={ "state " (state.as_str()) } { (state.as_str()) } }
}

/// A reason's word, with what it means when one points at it.
pub(super) fn reason(reason: Option<Reason>) -> Markup {
    html! { @if let Some(reason) = reason { span.word title=(reason.help()) { (reason.as_str()) } } }
}

/// An account, with the way to its page. The address stands in no link.
pub(super) fn account(account: &AccountId, visitor: &Visitor) -> Markup {
    html! {
        @if account.is_test() {
            span.word title="The built-in account of test mails: nothing of it is sent" { "test mode" }
        } @else {
            a href={ "/dashboard/accounts/" (account.hashed()) } { (visitor.account(account)) }
        }
    }
}

/// How much of something is used: a bar, with its words for those who do not see it.
pub(super) fn bar(used: u64, limit: u64, label: &str) -> Markup {
    let share = if limit == 0 { 0 } else { (used.min(limit) * 100).div_ceil(limit) };
    let level = match share {
        0..75 => "low",
        75..95 => "high",
        _ => "full",
    };
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.rail width="100" height="6" {}
            rect class=(level) width=(share) height="6" {}
        }
    }
}

/// A sentence of ours: it begins with a capital letter, and what stands between backticks is something to type.
pub(super) fn prose(text: &str) -> Markup {
    let first = text.chars().next().map(char::len_utf8).unwrap_or_default();
    let text = format!("{}{}", text[..first].to_uppercase(), &text[first..]);
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// What is shown where there is nothing.
pub(super) fn empty(what: &str) -> Markup {
    html! { p.empty { (what) } }
}

/// The choices of a `<select>`, each with its value and its words.
pub(super) fn options<'a>(choices: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: Option<&str>) -> Markup {
    html! {
        @for (value, words) in choices {
            option value=(value) selected[chosen.unwrap_or_default() == value] { (words) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([bytes(17), bytes(2_048), bytes(3 << 20)], ["17 B", "2.0 KiB", "3.0 MiB"]);
        for (millis, told) in [
            (120, "120 ms"),
            (3_400, "3.4 s"),
            (59_000, "59 s"),
            (720_000, "12 min"),
            (7_500_000, "2 h 5 min"),
            (7_200_000, "2 h"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), told);
        }
        assert_eq!(exact(Millis(1_800_000_000_250)), "2027-01-15 08:00:00.250 UTC");
        let told = when(Millis(1_800_000_000_000), Millis(1_800_000_060_000)).into_string();
        assert!(told.contains(">60 s ago<") && told.contains("datetime=\"2027-01-15T08:00:00.000Z\""), "{told}");
    }

    #[test]
    fn prose_is_escaped_and_marks_what_is_to_be_typed() {
        let told = prose("no <b>: run `a < b`, then `c`").into_string();
        assert_eq!(told, "No &lt;b&gt;: run <code>a &lt; b</code>, then <code>c</code>");
        assert_eq!([prose("").into_string(), prose("ä").into_string()], ["", "Ä"]);
    }

    #[test]
    fn a_bar_is_never_longer_than_its_rail() {
        for (used, limit, width) in [(0, 0, "0"), (1, 1_000, "1"), (50, 100, "50"), (300, 100, "100")] {
            assert!(
                bar(used, limit, "x").into_string().contains(&format!("width=\"{width}\" height=\"6\"></rect></svg>"))
            );
        }
    }
}
