//! `postroom explain`: what a reply, a reason or a class means, what Postroom does and what a person should do.
//!
//! Needs no Redis and only the setting that names a file of own rows, and repeats nothing that was typed: a reply may hold an address.

use std::path::PathBuf;

use clap::Args;
use postroom::Reason;
use postroom_shared::replies::markdown::markdown;
use postroom_shared::replies::query::stage;
use postroom_shared::replies::{Class, Query, Row, Table as Replies, VARIABLE};
use postroom_shared::reply::Stage;
use postroom_shared::settings::Source;
use serde_json::json;

use super::Failure;
use super::output::Out;
use super::table::Table;
use super::values::quiet;

const HELP: &str = "\
WHAT is a code with or without its enhanced code, a whole reply as it stands in
a timeline or a log, a reason, a class, or the name of a row. All of them are in
docs/replies.md.

Examples:
  postroom explain 550-5.4.5
  postroom explain 421-4.7.0 --stage rcpt
  postroom explain '452-4.2.2 The recipient is over quota. - gsmtp'
  postroom explain recipient_busy
  postroom explain --own rows.toml 550";

/// What is asked.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Explain {
    /// A code, a reply, a reason, a class or the name of a row
    #[arg(value_name = "WHAT", required_unless_present = "markdown")]
    what: Vec<String>,
    /// Only rows for this stage: connect, greeting, ehlo, auth, mail, rcpt, data, final
    #[arg(long, value_parser = quiet(stage))]
    stage: Option<Stage>,
    /// A TOML file of rows that come before the others [default: POSTROOM_REPLIES_FILE]
    #[arg(long, value_name = "FILE")]
    own: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print docs/replies.md
    #[arg(long, hide = true, conflicts_with_all = ["what", "stage", "json", "own"])]
    markdown: bool,
}

pub(crate) fn run(command: &Explain) -> Result<(), Failure> {
    let table = table(command)?;
    let mut out = Out::new();
    if command.markdown {
        out.line(markdown(&table).trim_end())?;
        return out.flush();
    }
    let query = table.query(&command.what.join(" ")).map_err(Failure::Failed)?;
    let rows = table.answer(&query, command.stage);
    if rows.is_empty() && matches!(query, Query::Reply { .. }) {
        return Err(Failure::failed("no row is for that reply at that stage: leave out --stage or the words"));
    }
    if command.json {
        print_json(&table, &query, &rows, &mut out)?
    } else {
        print(&query, &rows, &mut out)?
    }
    out.flush()
}

fn table(command: &Explain) -> Result<Replies, Failure> {
    // docs/replies.md is what Postroom brings along, whoever makes it.
    let own = if command.markdown { None } else { own_rows(command)? };
    let Some(path) = own else {
        return Replies::builtin().cloned().map_err(|error| Failure::failed(format!("the table of replies: {error}")));
    };
    Replies::with_file(&path).map_err(Failure::failed)
}

fn own_rows(command: &Explain) -> Result<Option<PathBuf>, Failure> {
    if command.own.is_some() {
        return Ok(command.own.clone());
    }
    let mut source = Source::from_process();
    let path = source.text(VARIABLE).map(PathBuf::from);
    source.finish()?;
    Ok(path)
}

fn print_json(table: &Replies, query: &Query, rows: &[&Row], out: &mut Out) -> Result<(), Failure> {
    let (reason, class) = meaning(query);
    let rows = rows.iter().map(|row| {
        let mut fields = serde_json::to_value(row).map_err(|error| Failure::Failed(error.to_string()))?;
        fields["does"] = row.does().into();
        Ok(fields)
    });
    out.json(&json!({
        "version": table.version(),
        "reason": reason.map(|reason| json!({ "word": reason.as_str(), "help": reason.help() })),
        "class": class.map(|class| json!({ "word": class.as_str(), "help": class.help() })),
        "rows": rows.collect::<Result<Vec<_>, Failure>>()?,
    }))
}

fn print(query: &Query, rows: &[&Row], out: &mut Out) -> Result<(), Failure> {
    let (reason, class) = meaning(query);
    if let Some(reason) = reason {
        out.line(format!("The reason {}: {}", reason.as_str(), reason.help()))?;
    }
    if let Some(class) = class {
        out.line(format!("The class {}: Postroom {}.", class.as_str(), class.help()))?;
    }
    if rows.is_empty() {
        return out.line("No reply of Gmail leads to it.");
    }
    for (place, row) in rows.iter().enumerate() {
        if place > 0 || reason.is_some() || class.is_some() {
            out.line("")?;
        }
        print_row(row, out)?;
    }
    Ok(())
}

fn print_row(row: &Row, out: &mut Out) -> Result<(), Failure> {
    let rest = match (row.own, row.fallback) {
        (true, _) => " (a row of your own)",
        (false, true) => " (what no other row knows)",
        (false, false) => "",
    };
    let mut table = Table::plain();
    table.pair("row", format!("{}{rest}", row.name));
    table.pair("reply", row.reply());
    if !row.words().is_empty() {
        table.pair("words", row.words());
    }
    table.pair("stage", row.stages());
    table.pair("class", row.class.as_str());
    table.pair("reason", row.reason.as_str());
    table.pair("means", &row.means);
    table.pair("Postroom", row.does());
    table.pair("to do", &row.advice);
    table.pair("source", &row.source);
    table.print(out, "")
}

fn meaning(query: &Query) -> (Option<Reason>, Option<Class>) {
    match query {
        Query::Meaning(reason, class) => (*reason, *class),
        Query::Reply { .. } | Query::Name(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn explain(arguments: &[&str]) -> Result<(), Failure> {
        let all = ["postroom", "explain"].iter().chain(arguments);
        let Command::Explain(command) = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")).command
        else {
            panic!("another command");
        };
        run(&command)
    }

    fn failed(arguments: &[&str]) -> String {
        match explain(arguments) {
            Err(Failure::Failed(why) | Failure::Misused(why)) => why,
            Err(Failure::Closed | Failure::Told) | Ok(()) => panic!("{arguments:?} did not fail"),
        }
    }

    #[test]
    fn codes_replies_and_words_are_explained() {
        for arguments in [
            &["550-5.4.5"][..],
            &["550 5.4.5"],
            &["550", "5.4.5"],
            &["535", "--json"],
            &["421-4.7.0", "--stage", "rcpt"],
            &["quota"],
            &["expired"],
            &["daily-limit", "--json"],
            &["--markdown"],
        ] {
            assert!(explain(arguments).is_ok(), "{arguments:?}");
        }
    }

    #[test]
    fn what_is_unknown_fails_with_the_nearest_and_is_not_repeated() {
        assert!(failed(&["recipient_bussy"]).contains("recipient_busy"));
        assert!(failed(&["250"]).contains("no refusal"));
        assert!(!failed(&["ann@example.org"]).contains("ann"));
        assert!(failed(&["550", "--own", "/nowhere/rows.toml"]).starts_with("/nowhere/rows.toml cannot be read: "));
    }

    #[test]
    fn a_fault_in_a_file_of_own_rows_names_row_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.toml");
        std::fs::write(&path, "[[row]]\nname = \"mine\"\nclass = \"later\"\n").unwrap();
        let why = failed(&["550", "--own", path.to_str().unwrap()]);
        assert!(why.contains("row mine, class: unknown variant `later`"), "{why}");
    }
}
