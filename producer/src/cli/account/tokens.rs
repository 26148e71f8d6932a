//! The rows of `postroom account show` about an account's access tokens (docs/tokens.md).

use postroom_shared::tokens::FleetFigures;

use crate::cli::table::Table;

pub(super) fn print(tokens: &FleetFigures, table: &mut Table) {
    table.pair("Token", tokens.token_ends.map_or_else(|| "none now".to_owned(), |ends| format!("lives until {ends}")));
    if tokens.rests_s > 0 {
        table.pair("", format!("the token endpoint failed lately: it is not asked for {} s", tokens.rests_s));
    }
    let Some(since) = tokens.since else {
        table.pair("Refreshes", "none yet");
        return;
    };
    let figures = &tokens.figures;
    let by_reason = words(figures.refreshes.iter().map(|(reason, count)| (reason.as_str(), *count)));
    table.pair("Refreshes", format!("{}{by_reason} since {since}", figures.all_refreshes()));
    table.pair("", format!("waited for another's {} times, locks lost {}", figures.waits, figures.lock_losses));
    if figures.all_failures() > 0 {
        let by_reason = words(figures.failures.iter().map(|(failure, count)| (failure.as_str(), *count)));
        let in_a_row = tokens.failed_in_a_row;
        table.pair(
            "",
            format!("{} failed{by_reason}, {in_a_row} of them since the last that did not", figures.all_failures()),
        );
    }
    if let (Some(at), Some(with)) = (tokens.failed, &tokens.failed_with) {
        table.pair("", format!("the last at {at}: {with}"));
    }
}

/// ` (2 none, 1 forced)`; nothing if all are at 0.
fn words<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let words: Vec<_> = counts.filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}")).collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}
