//! docs/replies.md, made from the table and the list of reasons: `postroom explain --markdown > docs/replies.md`.

use std::fmt::{self, Write};

use super::Table;
use super::class::Class;
use super::row::Row;
use crate::reason::Reason;

const HEAD: &str = "\
# What Gmail's replies mean

Made from `shared/src/replies/table.toml`; do not edit it here. `postroom explain --markdown` writes this page, and a
test compares the two. `postroom explain 550-5.4.5` (a code, a whole reply, a reason, a class or the name of a row)
says the same in a terminal.
";

const OWN: &str = "\
## Rows of your own

A TOML file with the same fields as `table.toml` (they are explained at its top). Its rows come before those above, so
one of them corrects a row without a new build. A fault names row and field.

```toml
[[row]]
name = \"our-gateway-greylists\"
code = 550
enhanced = \"5.7.1\"
stages = [\"rcpt\"]
words = [\"greylisted\"]
class = \"soon\"
floor = \"5m\"
scope = \"recipient\"
reason = \"server_busy\"
means = \"The recipient's gateway takes mail from strangers at the second try only.\"
do = \"Nothing.\"
source = \"seen: mail 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10\"
example = \"550 5.7.1 Greylisted, come back in five minutes\"
example_stage = \"rcpt\"
```

`postroom explain --own rows.toml 550-5.7.1` checks the file and shows what it changes. The setting
`POSTROOM_REPLIES_FILE` names the file for `postroom-worker`, which checks it at its start, and for `explain`.
";

/// The whole page.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail.
    let _ = write(table, &mut page);
    page
}

fn write(table: &Table, page: &mut String) -> fmt::Result {
    writeln!(page, "{HEAD}\nVersion {}. The first row that fits counts.\n", table.version())?;
    writeln!(page, "## Classes\n\n| class | what Postroom does |\n|---|---|")?;
    for class in Class::ALL {
        writeln!(page, "| {} | {} |", class.as_str(), class.help())?;
    }
    let of_replies = |row: &&Row| !row.fallback;
    writeln!(page, "\n## Replies\n")?;
    rows(table.rows().filter(of_replies), page)?;
    writeln!(page, "\n## What no row above knows\n")?;
    rows(table.rows().filter(|row| row.fallback), page)?;
    writeln!(page, "\n## Reasons\n\nOne list for the timeline, metrics, the API and the command line.\n")?;
    writeln!(page, "| reason | why | rows |\n|---|---|---|")?;
    for reason in Reason::ALL {
        let names: Vec<_> = table.rows().filter(|row| row.has_reason(*reason)).map(|row| row.name.as_str()).collect();
        writeln!(page, "| {} | {} | {} |", reason.as_str(), reason.help(), names.join(", "))?;
    }
    write!(page, "\n{OWN}")
}

fn rows<'t>(rows: impl Iterator<Item = &'t Row>, page: &mut String) -> fmt::Result {
    writeln!(page, "| reply | words | stage | class, reason | what it means | what Postroom does | what to do |")?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    for row in rows {
        let cells = [
            format!("**{}**<br>{}", row.reply(), row.name),
            row.words(),
            row.stages(),
            format!("{}, {}", row.class.as_str(), row.reason.as_str()),
            format!("{} ({})", row.means, row.source),
            row.does(),
            row.advice.clone(),
        ];
        writeln!(page, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))?;
    }
    Ok(())
}
