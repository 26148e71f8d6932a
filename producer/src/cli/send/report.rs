//! What `postroom send` says: ids on standard output, troubles on standard error, a bar while it takes long.
//!
//! Mails are handed over even if nobody reads their ids any more.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};
use postroom::{DirectClient, MailId, MailState, Millis, Outlook, Place as Stands, Reason, SendError, Sent, Why};
use serde::Serialize;

use super::Trouble;
use super::delayed::Delayed;
use super::places::{Place, from_to};
use super::wait;
use crate::cli::Failure;
use crate::cli::output::{Out, complain};

/// What was printed and what went wrong so far.
pub(super) struct Report {
    json: bool,
    wait: bool,
    handed: u64,
    refused: u64,
    failed: u64,
    /// The same trouble of mails that stand one after another, told once.
    pending: Option<(Place, Place, String)>,
    last: Option<Place>,
    waiting: Vec<Sent>,
    bar: Option<ProgressBar>,
    size: Option<u64>,
    slices: u64,
    unread: bool,
    /// A person reads standard error.
    person: bool,
    delayed: Delayed,
}

/// A mail as `--json` tells it.
#[derive(Serialize)]
pub(super) struct Told {
    pub(super) id: MailId,
    pub(super) state: MailState,
    pub(super) known: bool,
    /// Nothing is sent: it ends at a stand-in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    /// When it will probably go; null: not before a person acts, or it has ended.
    pub(super) likely_at: Option<Millis>,
    /// Why not now; null: nothing stands in its way, or it has ended.
    pub(super) why: Option<Why>,
}

impl Told {
    /// A mail as it stands just after it was handed over; one that was known may be anywhere.
    pub(super) fn new(sent: Sent, stands: Option<Stands>) -> Self {
        let Sent { id, known, test, send_at } = sent;
        let (state, reason, outlook) = match stands {
            Some(Stands { state, reason, outlook, .. }) => (state, reason, outlook),
            None if send_at.is_some() => (MailState::Scheduled, None, None),
            None => (MailState::Ready, None, None),
        };
        let reason = reason.or(outlook.as_ref().and_then(|outlook| outlook.reason));
        let (likely_at, why) = outlook.map_or((None, None), |Outlook { likely_at, why, .. }| (likely_at, why));
        Self { id, state, known, test, reason, likely_at, why }
    }
}

impl Report {
    pub(super) fn new(json: bool, wait: bool, size: Option<u64>) -> Self {
        Self {
            json,
            wait,
            handed: 0,
            refused: 0,
            failed: 0,
            pending: None,
            last: None,
            waiting: Vec::new(),
            bar: None,
            size,
            slices: 0,
            unread: false,
            person: io::stderr().is_terminal(),
            delayed: Delayed::default(),
        }
    }

    /// Tells the answers of one slice.
    pub(super) async fn slice(
        &mut self,
        answers: Vec<(Place, Result<Sent, Trouble>)>,
        out: &mut Out,
        client: &DirectClient,
    ) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        }
        let mut stands = self.where_they_stand(&answers, client).await.into_iter();
        for (place, answer) in answers {
            self.last = Some(place);
            match answer {
                Ok(sent) => self.handed_over(sent, stands.next().flatten(), out)?,
                Err(trouble) => self.trouble(place, trouble),
            }
        }
        self.tell_pending();
        self.readable(out.flush())
    }

    /// Where the mails that were handed over stand, if that is told; none if Redis does not say: they lie there all the same.
    async fn where_they_stand(
        &self,
        answers: &[(Place, Result<Sent, Trouble>)],
        client: &DirectClient,
    ) -> Vec<Option<Stands>> {
        if self.unread || self.wait || !(self.json || self.person) {
            return Vec::new();
        }
        let ids: Vec<MailId> =
            answers.iter().filter_map(|(_, answer)| answer.as_ref().ok().map(|sent| sent.id)).collect();
        client.outlooks(&ids).await.unwrap_or_default()
    }

    fn handed_over(&mut self, sent: Sent, stands: Option<Stands>, out: &mut Out) -> Result<(), Failure> {
        self.handed += 1;
        if self.person && !self.json {
            self.delayed.add(stands.as_ref());
        }
        if self.wait {
            self.waiting.push(sent);
        }
        if self.unread || (self.wait && self.json) {
            return Ok(());
        }
        let written = if self.json { out.json_line(&Told::new(sent, stands)) } else { out.line(sent.id) };
        self.readable(written)
    }

    /// A closed pipe is no reason to keep the other mails.
    fn readable(&mut self, written: Result<(), Failure>) -> Result<(), Failure> {
        match written {
            Err(Failure::Closed) => {
                self.unread = true;
                Ok(())
            }
            other => other,
        }
    }

    fn trouble(&mut self, place: Place, trouble: Trouble) {
        match trouble {
            Trouble::Unreadable(why) => self.refuse(format!("{place}{why}")),
            Trouble::Send(SendError::Refused(refusal)) => {
                let faults: Vec<String> = refusal.faults().iter().map(|fault| format!("{place}{fault}")).collect();
                self.refuse(faults.join("\n"));
            }
            Trouble::Send(error @ (SendError::Conflict(_) | SendError::KeyUsed | SendError::OthersRefused)) => {
                self.refuse(format!("{place}{error}"))
            }
            Trouble::Send(
                error
                @ (SendError::NotStored(_) | SendError::Full(_) | SendError::Unknown { .. } | SendError::Wrong(_)),
            ) => self.fail(place, error.to_string()),
        }
    }

    fn refuse(&mut self, lines: String) {
        self.tell_pending();
        self.refused += 1;
        complain(lines);
    }

    fn fail(&mut self, place: Place, why: String) {
        self.failed += 1;
        match &mut self.pending {
            Some((_, last, text)) if *text == why => *last = place,
            Some(_) | None => {
                self.tell_pending();
                self.pending = Some((place, place, why));
            }
        }
    }

    fn tell_pending(&mut self) {
        if let Some((first, last, why)) = self.pending.take() {
            complain(format!("{}{why}", from_to(first, last)));
        }
    }

    /// Shows how far it is: only to a person, and only after the first slice of many.
    pub(super) fn progress(&mut self, read: u64) {
        self.slices += 1;
        if self.slices < 2 || !io::stderr().is_terminal() {
            return;
        }
        let size = self.size;
        let bar = self.bar.get_or_insert_with(|| bar(size));
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        bar.set_position(read);
        bar.set_message(format!("{} mails", self.handed));
    }

    /// Whether the queue does not take mails now, so that going on would only add to the list.
    pub(super) fn must_stop(&self) -> bool {
        self.failed > 0
    }

    /// Waits if that was asked for, and sums up.
    pub(super) async fn finish(mut self, out: &mut Out, client: &DirectClient) -> Result<(), Failure> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(words) = self.delayed.words() {
            complain(words);
        }
        let mut result = Ok(());
        if self.wait {
            result = wait::all(&self.waiting, self.json, out, client).await;
        }
        if self.failed > 0 {
            let after = match self.last {
                Some(Place::Line(line)) => format!("; nothing after line {line} was read"),
                Some(Place::Entry(entry)) => format!("; nothing after mail {entry} was handed over"),
                Some(Place::Only) | None => String::new(),
            };
            return Err(Failure::Failed(format!(
                "{} mails were not surely handed over, {} were refused, {} were handed over{after}",
                self.failed, self.refused, self.handed
            )));
        }
        if self.refused > 0 {
            let all = self.refused + self.handed;
            return Err(Failure::Failed(match all {
                1 => "the mail was refused, nothing was handed over".to_owned(),
                _ => format!("{} of {all} mails were refused, {} were handed over", self.refused, self.handed),
            }));
        }
        result
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let form = if size.is_some() { "{bar:40} {percent}% {msg}, {eta} left" } else { "{spinner} {msg}" };
    bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
