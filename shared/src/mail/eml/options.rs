//! The `X-Postroom-…` headers of a ready message: what the app wants done with it.
//!
//! They are read like the fields of the same names in JSON, and never go out.

use serde_json::Value;

use super::scan::Field;
use crate::clock::Millis;
use crate::mail::fault::{Faults, unknown};
use crate::mail::{Options, check_sender, json, tag, time};

const PREFIX: &str = "X-Postroom-";
const KNOWN: &[&str] = &[
    "x-postroom-priority",
    "x-postroom-account",
    "x-postroom-pool",
    "x-postroom-send-at",
    "x-postroom-ttl",
    "x-postroom-idempotency-key",
    "x-postroom-tag",
];

/// Whether a header of this name is ours, right or misspelt.
pub(super) fn is_option(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// What the option headers among `fields` ask for.
pub(super) fn read(fields: &[Field<'_>], now: Millis, faults: &mut Faults) -> Options {
    let mut options = Options::default();
    let mut seen: Vec<String> = Vec::new();
    for field in fields.iter().filter(|field| is_option(field.name)) {
        let name = field.name.to_ascii_lowercase();
        if seen.contains(&name) {
            faults.add(field.name, "given twice: keep one");
        } else if let Err(message) = set(&mut options, &name, &text(field), now) {
            faults.add(field.name, message);
        } else if name != "x-postroom-tag" {
            seen.push(name);
        }
    }
    check_sender(&options, "X-Postroom-Pool", faults);
    options
}

fn set(options: &mut Options, name: &str, text: &str, now: Millis) -> Result<(), String> {
    match name {
        "x-postroom-priority" => options.priority = text.parse()?,
        "x-postroom-account" => options.account = Some(json::account(text)?),
        "x-postroom-pool" => options.pool = Some(text.parse()?),
        "x-postroom-send-at" => options.send_at = time::send_at(&number_or_text(text), now)?,
        "x-postroom-ttl" => options.ttl = Some(time::ttl(&number_or_text(text))?),
        "x-postroom-idempotency-key" => options.idempotency_key = Some(json::idempotency_key(text)?),
        "x-postroom-tag" if options.tags.len() >= tag::MAX_TAGS => {
            return Err(format!("more than {} tags", tag::MAX_TAGS));
        }
        "x-postroom-tag" => options.tags.push(tag::parse_text(text)?),
        _ => return Err(unknown("option", name, KNOWN)),
    }
    Ok(())
}

/// The value on one line.
fn text(field: &Field<'_>) -> String {
    String::from_utf8_lossy(field.value).replace("\r\n", "").trim().to_owned()
}

fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}
