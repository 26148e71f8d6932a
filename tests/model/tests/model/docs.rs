//! That the traces in docs/protocol.md are those that the checker finds.

use postroom_model::{AtDeadline, Config, Imap, names, shortest};

use super::{REPLY, STALL, docs};

/// A shortest trace, a step a line, as it stands in the docs.
fn told(config: &Config, name: &'static str) {
    let steps = shortest(config, name, 30).unwrap();
    let lines: Vec<_> = (1..).zip(steps).map(|(number, step)| format!("{number:2}. {step}")).collect();
    let trace = format!("```text\n{}\n```", lines.join("\n"));
    assert!(docs().contains(&trace), "docs/protocol.md does not show {name}:\n{trace}");
}

#[test]
fn a_stalled_worker_that_sends_too_late() {
    told(&Config { late: 2, ..Config::small().with(STALL) }, names::NOT_DOUBLED);
}

#[test]
fn a_copy_that_takes_too_long_to_be_found() {
    told(&Config { indexing: 3, ..Config::small().with(REPLY) }, names::NOT_DOUBLED);
}

#[test]
fn sent_out_of_reach_until_the_deadline() {
    let config = Config { imap: Imap::Away, at_deadline: AtDeadline::Resend, ttl: 1, ..Config::small().with(REPLY) };
    told(&config, names::NOT_DOUBLED);
}

#[test]
fn a_delivery_that_is_counted_as_doubled_and_is_not() {
    told(&Config::small().with(STALL), names::DOUBLES_COUNTED);
}
