//! Times in words: `in 2 hours`, `tomorrow at 9am`, `Friday at 3pm ET`. A closed grammar, for a time that is guessed wrong is a
//! mail that goes at the wrong time.
//!
//! ```text
//! words  = "now" | "in" amount unit { ["and"] amount unit }
//!        | [day] ["at"] clock [zone] | ["at"] clock [zone] day
//! amount = number | "a" | "an"
//! unit   = seconds | minutes | hours | days | weeks      also one of them, and sec, min, hr, s, m, h, d, w
//! day    = today | tomorrow | ["on"] ["next"] weekday | ["on"] month number [year] | ["on"] number month [year] | 2027-01-31
//! clock  = 9am | 9:30 pm | 15:00 | 15:00:30 | noon | midnight
//! zone   = UTC | +01:00 | ET, CT, MT, PT and their winter and summer forms | a name such as Europe/Berlin
//! ```
//!
//! Case does not count, nor do commas. Without a zone it is UTC. Without a day, a clock means the next such time. A weekday is
//! the first one at which that time is still to come, with `next` never today. A date without a year is the next such date.

use std::iter::Peekable;
use std::time::Duration;
use std::vec::IntoIter;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

const LONGEST: usize = 100;
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// What people in America write for their zones; a winter or summer form means just that.
const ZONES: [(&str, &str); 12] = [
    ("et", "America/New_York"),
    ("ct", "America/Chicago"),
    ("mt", "America/Denver"),
    ("pt", "America/Los_Angeles"),
    ("est", "-05"),
    ("edt", "-04"),
    ("cst", "-06"),
    ("cdt", "-05"),
    ("mst", "-07"),
    ("mdt", "-06"),
    ("pst", "-08"),
    ("pdt", "-07"),
];

/// What is wrong with a time in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WordsError {
    /// It is not of the grammar.
    Unknown,
    /// A day stands alone.
    NoClock,
    /// What stands at the zone's place is none.
    NoZone,
    /// There is no such date or time.
    NoSuchTime,
}

impl WordsError {
    /// A sentence that says what to write.
    pub(super) fn told(self) -> String {
        let what = match self {
            Self::Unknown => {
                "not a time: write RFC 3339 such as 2027-01-31T09:00:00+01:00, or words such as \"in 2 hours\", \"tomorrow at \
                 9am\", \"friday at 15:00 Europe/Berlin\""
            }
            Self::NoClock => "a day without a time: write \"tomorrow at 9am\"",
            Self::NoZone => {
                "not a time zone: write UTC, an offset such as +01:00, or a name such as Europe/Berlin; one of ET, CT, MT, PT"
            }
            Self::NoSuchTime => "there is no such date or time: write \"january 31 at 9am\" or \"31 january at 15:00\"",
        };
        format!("{what} (UTC if no zone is named)")
    }
}

type Words = Peekable<IntoIter<String>>;

/// The day that was named, not yet counted from a today.
enum Day {
    After(i64),
    Weekday { weekday: Weekday, never_today: bool },
    Date { month: i8, day: i8, year: Option<i16> },
}

/// The time that the words mean at `now`.
pub(super) fn read(text: &str, now: Timestamp) -> Result<Timestamp, WordsError> {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(WordsError::Unknown);
    }
    let words: Vec<String> = text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    match words.split_first() {
        Some((word, [])) if word == "now" => Ok(now),
        Some((word, rest)) if word == "in" => after(rest, now),
        Some(_) => on_a_day(words, now),
        None => Err(WordsError::Unknown),
    }
}

/// `2 hours and 30 minutes`.
fn after(words: &[String], now: Timestamp) -> Result<Timestamp, WordsError> {
    let mut words: Words = words
        .iter()
        .flat_map(|word| parted(word))
        .filter(|word| word != "and")
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    let mut span = Duration::ZERO;
    while let Some(word) = words.next() {
        let amount = match word.as_str() {
            "a" | "an" => 1,
            number => number.parse::<u32>().map_err(|_| WordsError::Unknown)?,
        };
        let unit = words.next().and_then(|unit| seconds(&unit)).ok_or(WordsError::Unknown)?;
        span = span.checked_add(unit.saturating_mul(amount)).ok_or(WordsError::Unknown)?;
    }
    if span.is_zero() { Err(WordsError::Unknown) } else { now.checked_add(span).map_err(|_| WordsError::NoSuchTime) }
}

/// `90s` as `90`, `s`.
fn parted(word: &str) -> Vec<String> {
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, rest) = word.split_at(end);
    [number, rest].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn seconds(unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// `tomorrow at 9am ET`, `9am ET tomorrow`, `15:00`.
fn on_a_day(words: Vec<String>, now: Timestamp) -> Result<Timestamp, WordsError> {
    let mut words = words.into_iter().peekable();
    let mut named = day(&mut words)?;
    words.next_if(|word| word == "at");
    if named.is_some() && words.peek().is_none() {
        return Err(WordsError::NoClock);
    }
    let clock = clock(&mut words)?;
    let mut zone = TimeZone::UTC;
    if named.is_none() {
        named = day(&mut words)?;
    }
    if words.peek().is_some() {
        zone = read_zone(&words.next().unwrap_or_default())?;
    }
    if named.is_none() {
        named = day(&mut words)?;
    }
    if words.next().is_some() {
        return Err(WordsError::Unknown);
    }
    let at = |date: Date| date.to_datetime(clock).to_zoned(zone.clone()).map(|time| time.timestamp());
    let today = now.to_zoned(zone.clone()).date();
    counted(named.as_ref(), today, |date| at(date).is_ok_and(|time| time > now))
        .and_then(|date| at(date).ok())
        .ok_or(WordsError::NoSuchTime)
}

/// The date of a day, counted from `today`; without one, the next at which the time is still to come.
fn counted(day: Option<&Day>, today: Date, is_ahead: impl Fn(Date) -> bool) -> Option<Date> {
    let Some(day) = day else { return if is_ahead(today) { Some(today) } else { today.tomorrow().ok() } };
    match *day {
        Day::After(days) => today.checked_add(days.days()).ok(),
        Day::Weekday { weekday, never_today } => {
            let is_today = today.weekday() == weekday && !never_today && is_ahead(today);
            if is_today { Some(today) } else { today.nth_weekday(1, weekday).ok() }
        }
        Day::Date { month, day, year: Some(year) } => Date::new(year, month, day).ok(),
        Day::Date { month, day, year: None } => {
            let this = Date::new(today.year(), month, day).ok();
            let next = || Date::new(today.year() + 1, month, day).ok();
            this.filter(|date| *date >= today).or_else(next)
        }
    }
}

fn day(words: &mut Words) -> Result<Option<Day>, WordsError> {
    let is_said = words.next_if(|word| word == "on").is_some();
    let never_today = words.next_if(|word| word == "next").is_some();
    let Some(word) = words.peek().cloned() else {
        return if is_said || never_today { Err(WordsError::Unknown) } else { Ok(None) };
    };
    let found = match word.as_str() {
        "today" => Some(Day::After(0)),
        "tomorrow" => Some(Day::After(1)),
        word => of_calendar(word).or_else(|| {
            let weekday = abbreviated(word, WEEKDAYS.iter().map(|(name, _)| *name))?;
            Some(Day::Weekday { weekday: WEEKDAYS[weekday].1, never_today })
        }),
    };
    if let Some(found) = found {
        words.next();
        let is_weekday = matches!(found, Day::Weekday { .. });
        return if never_today && !is_weekday { Err(WordsError::Unknown) } else { Ok(Some(found)) };
    }
    match in_a_month(words)? {
        None if is_said => Err(WordsError::Unknown),
        _ if never_today => Err(WordsError::Unknown),
        found => Ok(found),
    }
}

/// `2027-01-31`.
fn of_calendar(word: &str) -> Option<Day> {
    let date = word.parse::<Date>().ok().filter(|_| word.len() == "2027-01-31".len())?;
    Some(Day::Date { month: date.month(), day: date.day(), year: Some(date.year()) })
}

/// `january 31`, `31st january 2027`.
fn in_a_month(words: &mut Words) -> Result<Option<Day>, WordsError> {
    let month_of = |word: &String| {
        let place = abbreviated(word, MONTHS.into_iter())?;
        i8::try_from(place + 1).ok()
    };
    let Some(first) = words.peek().cloned() else { return Ok(None) };
    let (month, day) = if let Some(month) = month_of(&first) {
        words.next();
        let day = words.next().and_then(|word| ordinal(&word)).ok_or(WordsError::Unknown)?;
        (month, day)
    } else if let Some(day) = ordinal(&first) {
        // It may be a clock: `9 am`.
        let mut ahead = words.clone();
        ahead.next();
        let Some(month) = ahead.peek().and_then(month_of) else { return Ok(None) };
        words.next();
        words.next();
        (month, day)
    } else {
        return Ok(None);
    };
    let year = words.next_if(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()));
    Ok(Some(Day::Date { month, day, year: year.and_then(|year| year.parse().ok()) }))
}

/// `3`, `3rd`.
fn ordinal(word: &str) -> Option<i8> {
    let number = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
    number.parse().ok().filter(|_| number.len() <= 2)
}

/// The place of the name that a word is, or of which it is the first three letters.
fn abbreviated<'n>(word: &str, mut names: impl Iterator<Item = &'n str>) -> Option<usize> {
    let word = word.strip_suffix('.').unwrap_or(word);
    names.position(|name| name == word || (word.len() == 3 && name.starts_with(word)))
}

/// `9am`, `9:30 pm`, `15:00`, `noon`.
fn clock(words: &mut Words) -> Result<Time, WordsError> {
    let word = words.next().ok_or(WordsError::Unknown)?;
    match word.as_str() {
        "noon" => return Ok(Time::constant(12, 0, 0, 0)),
        "midnight" => return Ok(Time::midnight()),
        _ => {}
    }
    let end = word.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(word.len());
    let (digits, half) = word.split_at(end);
    let half = match half {
        "" => words.next_if(|word| word == "am" || word == "pm"),
        half => Some(half.to_owned()),
    };
    let mut parts = digits.split(':').map(|part| part.parse::<i8>().ok().filter(|_| part.len() <= 2));
    let mut part = || parts.next().map(|part| part.ok_or(WordsError::Unknown)).transpose();
    let (hour, minute, second) = (part()?.ok_or(WordsError::Unknown)?, part()?, part()?);
    if parts.next().is_some() {
        return Err(WordsError::Unknown);
    }
    let hour = match half.as_deref() {
        Some("am" | "pm") if !(1..=12).contains(&hour) => return Err(WordsError::NoSuchTime),
        Some("am") => hour % 12,
        Some("pm") => hour % 12 + 12,
        None if minute.is_some() => hour,
        Some(_) | None => return Err(WordsError::Unknown),
    };
    Time::new(hour, minute.unwrap_or(0), second.unwrap_or(0), 0).map_err(|_| WordsError::NoSuchTime)
}

fn read_zone(word: &str) -> Result<TimeZone, WordsError> {
    let name = ZONES.iter().find(|(short, _)| *short == word).map_or(word, |(_, name)| *name);
    match name {
        "utc" | "gmt" | "z" => Ok(TimeZone::UTC),
        name if name.starts_with(['+', '-']) => read_offset(name).map(TimeZone::fixed),
        name => TimeZone::get(name).map_err(|_| WordsError::NoZone),
    }
}

/// `+01:00`, `-0530`, `+01`.
fn read_offset(text: &str) -> Result<Offset, WordsError> {
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let is_sound = matches!(digits.len(), 2 | 4) && digits.bytes().all(|b| b.is_ascii_digit());
    let part = |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<i32>().ok()).unwrap_or(0);
    let (hours, minutes) = (part(0..2), part(2..4));
    if !is_sound || hours > 14 || minutes > 59 {
        return Err(WordsError::NoZone);
    }
    let seconds = hours * 3_600 + minutes * 60;
    let signed = if text.starts_with('-') { -seconds } else { seconds };
    Offset::from_seconds(signed).map_err(|_| WordsError::NoZone)
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
