//! Tests of times in words: a table, and that nothing panics.

use proptest::prelude::*;

use super::*;

/// A Friday.
const NOW: &str = "2027-01-15T08:00:00Z";

fn meant(text: &str) -> Result<String, WordsError> {
    read(text, NOW.parse().unwrap()).map(|time| time.to_string())
}

#[test]
fn words_and_what_they_mean() {
    let table = [
        ("now", "2027-01-15T08:00:00Z"),
        ("in 1 min", "2027-01-15T08:01:00Z"),
        ("in an hour", "2027-01-15T09:00:00Z"),
        ("in 2 hours", "2027-01-15T10:00:00Z"),
        ("In 1 Hour and 30 Minutes", "2027-01-15T09:30:00Z"),
        ("in 1h 30m", "2027-01-15T09:30:00Z"),
        ("in 90s", "2027-01-15T08:01:30Z"),
        ("in 3 days", "2027-01-18T08:00:00Z"),
        ("in a week", "2027-01-22T08:00:00Z"),
        ("tomorrow at 9am", "2027-01-16T09:00:00Z"),
        ("tomorrow 9 am", "2027-01-16T09:00:00Z"),
        ("tomorrow, at 9:05 PM", "2027-01-16T21:05:00Z"),
        ("9am tomorrow", "2027-01-16T09:00:00Z"),
        ("at 9am ET tomorrow", "2027-01-16T14:00:00Z"),
        ("tomorrow at noon", "2027-01-16T12:00:00Z"),
        ("tomorrow at midnight", "2027-01-16T00:00:00Z"),
        ("tomorrow at 12am", "2027-01-16T00:00:00Z"),
        ("tomorrow at 12pm", "2027-01-16T12:00:00Z"),
        ("today at 15:00", "2027-01-15T15:00:00Z"),
        ("today at 7am", "2027-01-15T07:00:00Z"),
        ("15:00:30", "2027-01-15T15:00:30Z"),
        ("at 7am", "2027-01-16T07:00:00Z"),
        ("at 8:00", "2027-01-16T08:00:00Z"),
        ("Friday at 3pm ET", "2027-01-15T20:00:00Z"),
        ("friday at 7am", "2027-01-22T07:00:00Z"),
        ("next friday at 3pm", "2027-01-22T15:00:00Z"),
        ("on Monday at 9am Europe/Berlin", "2027-01-18T08:00:00Z"),
        ("mon 9:00 +05:30", "2027-01-18T03:30:00Z"),
        ("thu at 9am PST", "2027-01-21T17:00:00Z"),
        ("January 31 at 9am", "2027-01-31T09:00:00Z"),
        ("jan 31st, 2027 at 9am utc", "2027-01-31T09:00:00Z"),
        ("on 31 January at 09:00 CT", "2027-01-31T15:00:00Z"),
        ("9am 31 jan", "2027-01-31T09:00:00Z"),
        ("jan 3 at 9am", "2028-01-03T09:00:00Z"),
        ("2027-01-31 at 9am", "2027-01-31T09:00:00Z"),
        ("2027-01-31 15:00 America/New_York", "2027-01-31T20:00:00Z"),
        // It is the sixteenth already in Auckland.
        ("tomorrow at 9am Pacific/Auckland", "2027-01-15T20:00:00Z"),
        ("today at 10am Pacific/Auckland", "2027-01-14T21:00:00Z"),
    ];
    for (text, expected) in table {
        assert_eq!(meant(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn summer_time_is_the_zones_own() {
    let meant = |text: &str| read(text, "2027-03-27T12:00:00Z".parse().unwrap()).unwrap().to_string();
    assert_eq!(meant("today at 15:00 Europe/Berlin"), "2027-03-27T14:00:00Z");
    assert_eq!(meant("tomorrow at 15:00 Europe/Berlin"), "2027-03-28T13:00:00Z");
    // There is no such time that night.
    assert_eq!(meant("tomorrow at 2:30 Europe/Berlin"), "2027-03-28T01:30:00Z");
    assert_eq!(meant("tomorrow at 9am ET"), "2027-03-28T13:00:00Z");
    assert_eq!(meant("tomorrow at 9am EST"), "2027-03-28T14:00:00Z");
}

#[test]
fn what_is_not_understood_is_a_fault_with_examples() {
    use WordsError::{NoClock, NoSuchTime, NoZone, Unknown};
    let table = [
        ("", Unknown),
        ("soon", Unknown),
        ("in", Unknown),
        ("in 5", Unknown),
        ("in minutes", Unknown),
        ("in 0 minutes", Unknown),
        ("in -5 minutes", Unknown),
        ("in 1.5 hours", Unknown),
        ("in 2 months", Unknown),
        ("in 99999999999 seconds", Unknown),
        ("tomorrow", NoClock),
        ("next friday", NoClock),
        ("january 31", NoClock),
        ("2027-01-31", NoClock),
        ("tomorrow at", NoClock),
        ("tomorrow at 9", Unknown),
        ("9", Unknown),
        ("tomorrow at 9am at 10am", NoZone),
        ("tomorrow at 9am ET please", Unknown),
        ("next tomorrow at 9am", Unknown),
        ("yesterday at 9am", Unknown),
        ("tomorrow at 9am Mars/Olympus", NoZone),
        ("tomorrow at 9am +25:00", NoZone),
        ("tomorrow at 9am +1\u{e4}", NoZone),
        ("tomorrow at 13pm", NoSuchTime),
        ("tomorrow at 0am", NoSuchTime),
        ("tomorrow at 25:00", NoSuchTime),
        ("tomorrow at 9:60", NoSuchTime),
        ("february 30 at 9am", NoSuchTime),
        ("tomorrow at 9:00:00:00", Unknown),
        ("tomorrow\nat 9am", Unknown),
    ];
    for (text, expected) in table {
        assert_eq!(meant(text), Err(expected), "{text}");
        assert!(expected.told().contains("write") && expected.told().contains("UTC"), "{text}");
    }
    assert_eq!(meant(&"in 1 min ".repeat(50)), Err(Unknown));
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,40}") {
        let _ = meant(&text);
    }

    #[test]
    fn nothing_of_known_words_panics(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "in", "on", "next", "at", "and", "a", "1", "31", "2027", "friday", "jan", "tomorrow", "today", "9am", "12:30", "pm",
            "ET", "+01:00", "-", "+", "Europe/Berlin", "hours", "31st", "noon", "2027-02-28", ":", "::", "-1",
        ]), 0..6,
    )) {
        let _ = meant(&words.join(" "));
    }
}
