//! Charts: SVG in the page, without a script. Every bar has its words.

use maud::{Markup, html};
use postroom_shared::clock::Millis;

use super::bits::{count, exact};

const DAY: u64 = 86_400_000;
/// Bars of a day, half an hour each.
const BARS: usize = 48;
const HIGH: u64 = 72;

/// How many mails went in each half hour of the last day. `sent`: how many, and about when.
pub(super) fn day(sent: impl Iterator<Item = (Millis, u64)>, now: Millis) -> Markup {
    let step = DAY / BARS as u64;
    let begin = now.0.saturating_sub(DAY);
    let mut bars = [0_u64; BARS];
    for (at, number) in sent {
        // The last step of a ledger ends in the future.
        let place = at.0.saturating_sub(begin) / step;
        let place = usize::try_from(place).unwrap_or(BARS).min(BARS - 1);
        bars[place] += number;
    }
    let (total, most) = (bars.iter().sum::<u64>(), bars.iter().copied().max().unwrap_or(0));
    let label = format!("{} mails sent in the last 24 hours, at most {} in half an hour", count(total), count(most));
    html! {
        figure.chart {
            svg viewBox={ "0 0 480 " (HIGH + 2) } preserveAspectRatio="none" role="img" aria-label=(label) {
                rect.base y=(HIGH) width="480" height="1" {}
                @for (place, number) in bars.iter().enumerate() {
                    @let height = if most == 0 { 0 } else { (number * HIGH).div_ceil(most) };
                    rect x=(place * 10 + 1) y=(HIGH - height) width="8" height=(height) {
                        title { (count(*number)) " until " (exact(Millis(begin + (place as u64 + 1) * step))) }
                    }
                }
            }
            figcaption { (label) "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_of_the_day_stands_in_a_bar() {
        let now = Millis(1_800_000_000_000);
        let sent = [
            (Millis(now.0 - DAY), 1),
            (Millis(now.0 - 1), 3),
            (Millis(now.0 + 200_000), 4),
            (Millis(now.0 - DAY / 2), 7),
        ];
        let chart = day(sent.into_iter(), now).into_string();
        assert!(chart.contains("15 mails sent in the last 24 hours, at most 7 in half an hour"), "{chart}");
        assert_eq!(chart.matches("height=\"72\"").count(), 2, "{chart}");
        assert!(day(std::iter::empty(), now).into_string().contains("0 mails sent"));
    }
}
