//! The frame of every page: head, banner, style, and the one function that escapes text.
//! Whatever comes out of a mail passes through [`escape`] before it is put into a page.

/// Text as it may stand in HTML and in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A whole page. `title` is escaped here, `body` is HTML already.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title} · Postroom sandbox</title><style>{STYLE}</style></head><body>\
         <header><a href=\"/\"><strong>Postroom sandbox</strong></a>: \
         <span>a stand-in for Gmail; nothing leaves this machine</span></header>\
         <main>{body}</main></body></html>\n",
        title = escape(title),
    )
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        format!("{bytes} B")
    } else if bytes < 1024 * 1024 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
    }
}

/// Date and time in UTC, to the millisecond.
pub(super) fn time(unix_ms: f64) -> String {
    let date = mail_parser::DateTime::from_timestamp((unix_ms / 1000.0) as i64);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} UTC",
        date.year,
        date.month,
        date.day,
        date.hour,
        date.minute,
        date.second,
        unix_ms as u64 % 1000
    )
}

const STYLE: &str = "
:root { --ink:#1c2024; --soft:#646d76; --line:#dfe3e7; --paper:#fff; --back:#f5f6f8; --accent:#1a5fb4; --banner:#fff4d6; --banner-ink:#5c4300 }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e5e8eb; --soft:#98a2ad; --line:#31373d; --paper:#1d2125; --back:#15181b; --accent:#83b4f5; --banner:#3a2f10; --banner-ink:#f5dc97 }
}
* { box-sizing:border-box }
body { margin:0; font:15px/1.5 system-ui,sans-serif; color:var(--ink); background:var(--back) }
header { background:var(--banner); color:var(--banner-ink); padding:.7rem 1.5rem; border-bottom:1px solid var(--line) }
header a { color:inherit; text-decoration:none }
main { max-width:75rem; margin:1.5rem auto; padding:0 1.5rem }
h1 { font-size:1.35rem; margin:.2rem 0 1rem; overflow-wrap:anywhere }
h2 { font-size:.8rem; letter-spacing:.06em; text-transform:uppercase; color:var(--soft); margin:1.6rem 0 .5rem }
a { color:var(--accent) }
.card { background:var(--paper); border:1px solid var(--line); border-radius:8px; overflow:auto }
.soft { color:var(--soft) }
table { border-collapse:collapse; width:100% }
th,td { text-align:left; padding:.5rem .8rem; border-bottom:1px solid var(--line); vertical-align:top; overflow-wrap:break-word }
.pairs { table-layout:fixed }
.pairs th { width:13rem; overflow:hidden; text-overflow:ellipsis }
tr:last-child > * { border-bottom:0 }
th { font-weight:600; color:var(--soft); font-size:.85rem; white-space:nowrap }
.narrow { white-space:nowrap; font-variant-numeric:tabular-nums }
pre { margin:0; padding:.9rem; white-space:pre-wrap; overflow-wrap:anywhere; font:13px/1.5 ui-monospace,monospace }
iframe { display:block; width:100%; height:32rem; border:0; background:#fff; color-scheme:light }
summary { cursor:pointer; padding:.6rem .9rem }
nav { display:flex; gap:1rem; margin:1rem 0 }
.consent { max-width:34rem; margin:0 auto }
.choices label { display:flex; gap:.7rem; align-items:baseline; padding:.6rem .9rem; border-bottom:1px solid var(--line); cursor:pointer; overflow-wrap:anywhere }
.choices label:last-child { border-bottom:0 }
.choices input[type=email] { flex:1; min-width:0; font:inherit; color:inherit; background:transparent; border:0; border-bottom:1px solid var(--line) }
button { font:inherit; padding:.45rem 1.3rem; border:1px solid var(--line); border-radius:6px; background:var(--paper); color:var(--ink); cursor:pointer }
button.main { background:var(--accent); border-color:var(--accent); color:var(--paper) }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_can_leave_neither_element_nor_attribute() {
        assert_eq!(escape(r#"<a href="x" id='y'>&"#), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;");
    }

    #[test]
    fn sizes_and_times_are_readable() {
        assert_eq!([size(17), size(2048), size(3 << 20)], ["17 B", "2.0 KiB", "3.0 MiB"]);
        assert_eq!(time(1_700_000_000_250.0), "2023-11-14 22:13:20.250 UTC");
    }
}
