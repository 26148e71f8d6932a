//! `postroom send`: reads mails, hands them over in slices, prints their ids, and may wait until they went.
//!
//! A bad mail does not keep the others; a queue that does not answer ends the reading.

mod delayed;
mod input;
mod places;
mod report;
mod wait;

use std::path::PathBuf;

use clap::Args;
use postroom::{AccountId, Draft, PoolName, SendError, Sent};

use self::input::{Input, Item};
use self::places::Place;
use self::report::Report;
use super::values::{account_id, pool_name, quiet};
use super::{Context, Failure};

const HELP: &str = "\
Forms, by the file's name, else by how it begins:
  .eml, --eml      a ready message; its recipients are those in To, Cc and Bcc,
                   its options X-Postroom-… headers
  .jsonl, .ndjson  JSON Lines: one mail a line, read in slices, for millions
  [                a JSON array of mails, read whole
  {                one mail; JSON Lines if the first line is a whole object

Fields of a mail: from, to, cc, bcc, reply_to, subject, text, html, headers,
attachments, tags, account or pool, priority, send_at, ttl, idempotency_key.
With an idempotency key, sending a file again hands no mail over twice.

A terminal is told on standard error when mails will not go now, and why.

Bad mails are told on standard error, all of them; the good ones are handed
over all the same (exit code 1).

Examples:
  echo '{\"from\": \"shop@example.com\", \"to\": \"ann@example.org\",
         \"subject\": \"Hi\", \"text\": \"Hello\"}' | postroom send -
  postroom send newsletter.jsonl > ids.txt
  postroom send newsletter.jsonl --test --wait
  postroom send invoice.eml --account shop@example.com --wait";

/// Hand mails over.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Send {
    /// A file, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// It is a ready message (RFC 5322), whatever its name
    #[arg(long)]
    eml: bool,
    /// The account that sends them, whatever the mails say
    #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
    account: Option<AccountId>,
    /// The pool of which one account sends each, whatever the mails say
    #[arg(long, value_name = "NAME", value_parser = quiet(pool_name), conflicts_with = "account")]
    pool: Option<PoolName>,
    /// In test mode: they go the whole way, but end at a stand-in in the worker; nothing is sent
    #[arg(long)]
    test: bool,
    /// Wait until each is sent or dead; exit code 1 if one is not sent
    #[arg(long)]
    wait: bool,
    /// Print one JSON object a mail: id, state, known, likely_at, why (and reason)
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(send: &Send, context: &mut Context) -> Result<(), Failure> {
    let mut input = Input::open(&send.file, send.eml)?;
    let mut report = Report::new(send.json, send.wait, input.size());
    loop {
        let slice = input.next_slice()?;
        if slice.is_empty() {
            break;
        }
        let answers = hand_over(slice, send, context).await;
        report.slice(answers, &mut context.out, &context.client).await?;
        report.progress(input.read());
        if report.must_stop() {
            break;
        }
    }
    report.finish(&mut context.out, &context.client).await
}

/// One answer for each mail of a slice, in their order.
async fn hand_over(slice: Vec<Item>, send: &Send, context: &Context) -> Vec<(Place, Result<Sent, Trouble>)> {
    let mut places = Vec::with_capacity(slice.len());
    let mut drafts: Vec<Draft> = Vec::with_capacity(slice.len());
    for Item { place, draft } in slice {
        match draft {
            Ok(draft) => {
                let draft = match (&send.account, &send.pool) {
                    (Some(account), _) => draft.with_account(account.clone()),
                    (None, Some(pool)) => draft.with_pool(pool.clone()),
                    (None, None) => draft,
                };
                drafts.push(if send.test { draft.as_test() } else { draft });
                places.push((place, None));
            }
            Err(why) => places.push((place, Some(why))),
        }
    }
    let mut answers = context.client.send_many(drafts).await.into_iter();
    let silent = || Err(SendError::Wrong("no answer".to_owned()));
    let with_answer = |(place, unreadable): (Place, Option<String>)| match unreadable {
        Some(why) => (place, Err(Trouble::Unreadable(why))),
        None => (place, answers.next().unwrap_or_else(silent).map_err(Trouble::Send)),
    };
    places.into_iter().map(with_answer).collect()
}

/// Why a mail was not handed over.
enum Trouble {
    /// It could not even be read.
    Unreadable(String),
    /// Postroom did not take it.
    Send(SendError),
}
