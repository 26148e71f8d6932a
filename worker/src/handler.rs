//! One mail's way through this worker: a seat, a token, a connection, the dialogue. It finds out; it decides nothing.
//!
//! Whatever happens comes back as an [`Attempted`]; nothing in here settles a mail or sleeps.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use postroom_shared::account::AccountId;
use postroom_shared::address::Address;
use postroom_shared::metrics::WorkerMetrics;
use postroom_shared::queue::{Claimed, Doubt, Job, Queue, Recipients};
use postroom_shared::reason::Reason;
use postroom_shared::replies::Table;
use postroom_shared::reply::Reply;
use postroom_shared::telemetry::names;
use postroom_shared::tokens::Tokens;
use tracing::warn;

use crate::attempted::{Attempted, Tried, all, note};
use crate::begins::Begins;
use crate::doubt::{Cleared, Doubts};
use crate::keeper::Sessions;
use crate::lanes::{Lanes, Seat};
use crate::login::{NoConnection, login_refused, no_token};
use crate::next_step::holds;
use crate::pace::Pace;
use crate::split::{self, Piece};
use crate::verdict::{self, Meaning, Nth, Verdict, counts_in_fleet, verdicts};
use postroom_shared::smtp::{Connection, Dialer, End, Outcome, Outgoing};

/// How often one attempt begins anew at most because a connection was at its end, whatever the table says.
const RECONNECTS: u32 = 5;
/// What an attempt needs.
pub struct Handler {
    /// The queue: asked before a login, and how often a reply came.
    pub queue: Queue,
    /// What replies mean.
    pub replies: &'static Table,
    /// The worker's permits and warm connections.
    pub lanes: Arc<Lanes>,
    /// The worker's sessions: a mail is not begun when its lease ran out.
    pub sessions: Arc<Sessions>,
    /// Access tokens.
    pub tokens: Tokens,
    /// How to reach Gmail.
    pub dialer: Dialer,
    /// How quickly mails go.
    pub pace: Arc<Pace>,
    /// Tells the queue which mails' bytes leave.
    pub begins: Begins,
    /// Clears doubts.
    pub doubts: Arc<Doubts>,
    /// What is counted.
    pub metrics: Arc<WorkerMetrics>,
}

impl Handler {
    /// Tries to send one mail.
    pub async fn attempt(&self, claimed: &Claimed) -> Attempted {
        let Ok(job) = &claimed.job else {
            return Attempted { dead: Some(Reason::Unreadable), ..Attempted::default() };
        };
        let (mut attempted, mut open) = (Attempted::default(), open_places(claimed, job));
        if let Some(doubt) = claimed.doubt
            && let Err(waits) = Box::pin(self.clear_doubt(claimed, job, doubt, &mut attempted, &mut open)).await
        {
            return waits;
        }
        let mut pieces: Vec<Piece> = (!open.is_empty()).then(|| Piece::whole(open)).into_iter().collect();
        loop {
            if attempted.taken > 0 && !pieces.is_empty() && !Box::pin(self.put_down(claimed, job, &attempted)).await {
                attempted.give_back(&mut pieces, Reason::LeaseLost);
            }
            let Some(piece) = pieces.pop() else { return attempted };
            let tried = self.try_piece(claimed, job, &piece).await;
            attempted.add(tried.attempted);
            pieces.extend(tried.pieces);
            if let Some(reason) = tried.stops {
                attempted.give_back(&mut pieces, reason);
            }
        }
    }

    /// Finds out what became of a mail that the server may have taken. `Err`: it is not to be sent now.
    async fn clear_doubt(
        &self,
        claimed: &Claimed,
        job: &Job,
        doubt: Doubt,
        attempted: &mut Attempted,
        open: &mut Vec<usize>,
    ) -> Result<(), Attempted> {
        let began = Instant::now();
        let cleared = self.doubts.clear(&self.queue, &self.tokens, claimed, job, doubt).await;
        claimed.steps.done(names::LOOK, began, false);
        match cleared {
            Cleared::SendAgain | Cleared::SendBlindly => Ok(()),
            Cleared::Later(at) => Err(Attempted { check: Some(at), ..Attempted::default() }),
            Cleared::Dead(reason) => Err(Attempted { dead: Some(reason), ..Attempted::default() }),
            Cleared::Delivered => {
                let known = claimed.recipients.as_ref().map_or(&[][..], |recipients| &recipients.in_doubt);
                let found = if known.is_empty() { std::mem::take(open) } else { known.to_vec() };
                open.retain(|place| !found.contains(place));
                attempted.findings = all(&found, Verdict::Found);
                attempted.taken = 1;
                Ok(())
            }
        }
    }

    /// Puts down what is left of a mail of which a part was taken. `false`: the queue could not be told.
    async fn put_down(&self, claimed: &Claimed, job: &Job, attempted: &Attempted) -> bool {
        let mut left = claimed.recipients.clone().unwrap_or_else(|| Recipients::all(job.recipients.len()));
        left.in_doubt = Vec::new();
        left.taken += attempted.taken;
        for (place, verdict) in &attempted.findings {
            if matches!(verdict, Verdict::Delivered | Verdict::Found) || verdict.is_final_refusal() {
                left.open.retain(|open| open != place);
            }
            if verdict.is_final_refusal() {
                left.failed.push(*place);
            }
        }
        self.note(claimed, &left).await
    }

    /// Tells the queue of the mail's recipients what it would need to know if this worker were lost now.
    async fn note(&self, claimed: &Claimed, recipients: &Recipients) -> bool {
        match self.queue.progress(claimed, recipients).await {
            Ok(holds) => holds,
            Err(error) => {
                warn!(%error, "what became of a part of a mail cannot be stored: the rest is not sent now");
                false
            }
        }
    }

    /// One piece; begun anew while the connection was at its end before anything was taken.
    async fn try_piece(&self, claimed: &Claimed, job: &Job, piece: &Piece) -> Tried {
        let mut turn = 1;
        loop {
            if let Some(back) = self.is_refused(claimed, piece) {
                return back;
            }
            let Some(seat) = self.seat(claimed).await else { return Tried::untried(piece, Reason::LeaseLost) };
            // Both asked after the wait for a seat: that is when time went by.
            if !self.sessions.holds(claimed.id.shard(), &claimed.session) {
                return Tried::untried(piece, Reason::LeaseLost);
            }
            if let Some(back) = self.is_refused(claimed, piece) {
                return back;
            }
            let tried = self.once(seat, claimed, job, piece, turn).await;
            if !tried.attempted.is_at_its_end() || turn > RECONNECTS {
                return tried;
            }
            turn += 1;
        }
    }

    /// A right to a connection. While the mail waits for one that stands, the queue is told that its bytes are about to
    /// leave, so that nothing waits for that later; but not of a mail that may have taken a worker down: what stands beside
    /// such a one must not be taken for it.
    async fn seat(&self, claimed: &Claimed) -> Option<Seat> {
        let (_place, is_warm) = self.lanes.line_up(&claimed.account).await?;
        if is_warm && claimed.leases_lost == 0 {
            self.begins.tell(claimed).await;
        }
        self.lanes.seat(&claimed.account).await
    }

    fn is_refused(&self, claimed: &Claimed, piece: &Piece) -> Option<Tried> {
        let (reason, stored) = self.lanes.is_refused_since(&claimed.account, claimed.claimed)?;
        let attempted = Attempted { after: Some(stored), ..Attempted::untried(&piece.places, reason) };
        Some(Tried { attempted, stops: Some(reason), ..Tried::default() })
    }

    async fn once(&self, seat: Seat, claimed: &Claimed, job: &Job, piece: &Piece, turn: u32) -> Tried {
        // What ended one kept connection, such as a token's end, ends its siblings too: from then on a new one.
        // One to the stand-in is made for one attempt.
        let warm = seat.take_warm(turn == 1 && !claimed.is_test()).await;
        let mut connection = match warm {
            Some(connection) => connection,
            // Boxed, as it is rare and large: a mail's future is moved about several times.
            None => match Box::pin(self.connect(claimed)).await {
                Ok(connection) => connection,
                Err(none) => return Box::pin(self.without_connection(none, claimed, piece, turn)).await,
            },
        };
        // Nothing leaves before the queue knows that it may have left.
        if !self.begins.tell(claimed).await {
            seat.put_back(connection);
            return Tried::untried(piece, Reason::LeaseLost);
        }
        let recipients: Cow<'_, [Address]> = if piece.places.iter().copied().eq(0..job.recipients.len()) {
            Cow::Borrowed(&job.recipients)
        } else {
            piece.places.iter().filter_map(|place| job.recipients.get(*place)).cloned().collect()
        };
        connection.put_down_in(&claimed.steps);
        let outgoing = Outgoing { from: &job.from, recipients: &recipients, bytes: &job.bytes, smtputf8: job.smtputf8 };
        let began = Instant::now();
        let outcome = self.hand_over(&mut connection, &outgoing, claimed, job, &piece.places).await;
        claimed.begun.set_told();
        if !claimed.is_test() {
            self.pace.took(began.elapsed());
        }
        let Some(outcome) = outcome else {
            seat.close(connection);
            return Tried::untried(piece, Reason::LeaseLost);
        };
        let (tried, gives_up) = self.read(outcome, claimed, job, piece, turn).await;
        if gives_up || claimed.is_test() {
            seat.close(connection)
        } else {
            seat.put_back(connection)
        }
        tried
    }

    /// Hands a mail over to the server. If this worker is lost then, Sent can tell that the mail went, but not to whom: where
    /// it does not go to all that are open, the queue hears before its bytes leave to whom it goes. `None`: it could not be
    /// told, and no byte has left.
    async fn hand_over(
        &self,
        connection: &mut Connection,
        mail: &Outgoing<'_>,
        claimed: &Claimed,
        job: &Job,
        places: &[usize],
    ) -> Option<Outcome> {
        if job.recipients.len() == 1 {
            claimed.begun.set_leaving();
            return Some(connection.send(mail).await);
        }
        let envelope = match places.len() {
            1 => None,
            _ => match Box::pin(connection.ask(mail)).await {
                Ok(envelope) => Some(envelope),
                Err(outcome) => return Some(outcome),
            },
        };
        let goes = |at: usize| envelope.as_ref().is_none_or(|envelope| envelope.recipients()[at].is_ok());
        let to: Vec<usize> = (0..places.len()).filter(|at| goes(*at)).map(|at| places[at]).collect();
        let noted = claimed.begun.noted();
        let leaving = noted.as_ref().map(|noted| noted.in_doubt.clone()).filter(|places| !places.is_empty());
        let known = noted.or_else(|| claimed.recipients.clone());
        let known = known.unwrap_or_else(|| Recipients::all(job.recipients.len()));
        if leaving.as_ref().unwrap_or(&known.open) != &to
            && !Box::pin(self.note(claimed, &Recipients { in_doubt: to, ..known })).await
        {
            return None;
        }
        claimed.begun.set_leaving();
        Some(match envelope {
            None => connection.send(mail).await,
            Some(envelope) => Box::pin(connection.deliver(mail, envelope)).await,
        })
    }

    /// What the replies come to, and whether the connection is given up. An account that is refused is known to be so before
    /// the seat is free again.
    async fn read(&self, outcome: Outcome, claimed: &Claimed, job: &Job, piece: &Piece, turn: u32) -> (Tried, bool) {
        let nth = self.nth(&outcome, claimed, turn).await;
        let mut findings = verdicts(self.replies, &piece.places, &outcome, &nth);
        let gives_up = findings.iter().any(|(_, verdict)| verdict::gives_up(verdict));
        let was_lost = matches!(outcome.end, End::Lost(_));
        let pieces = split::part(piece, &mut findings, |place| job.recipients.get(place).map_or("", |to| to.domain()));
        let decided = |place: usize| pieces.is_empty() || findings.iter().any(|(at, _)| *at == place);
        let said = piece.places.iter().zip(outcome.recipients);
        let refused = said.filter_map(|(place, said)| Some((*place, said.err()?)));
        let refused: Vec<_> = refused.filter(|(place, _)| decided(*place)).collect();
        let taken = u32::from(matches!(outcome.end, End::Accepted(_)));
        let reply = match outcome.end {
            End::Accepted(reply) | End::Refused(reply) | End::Lost(reply) => Some(reply),
            End::NoRecipient => None,
        };
        let attempted = Attempted { findings, reply, refused, taken, ..Attempted::default() };
        let mut tried = Tried { attempted, pieces, stops: was_lost.then_some(Reason::Connection) };
        if let Some(refusal) = tried.attempted.refused_token() {
            self.take_another_token(claimed, piece, refusal, &mut tried).await;
        }
        self.heed_account(&claimed.account, &mut tried);
        (tried, gives_up)
    }

    async fn nth(&self, outcome: &Outcome, claimed: &Claimed, turn: u32) -> Nth {
        let of_the_mail = match &outcome.end {
            End::Accepted(_) | End::NoRecipient => None,
            End::Refused(reply) | End::Lost(reply) => Some(reply),
        };
        let replies = outcome.recipients.iter().filter_map(|said| said.as_ref().err()).chain(of_the_mail);
        self.nth_of(replies, claimed, turn).await
    }

    /// Counts the replies whose rows ask how often they came to the account; in the whole fleet, once for each mail.
    async fn nth_of(&self, replies: impl Iterator<Item = &Reply>, claimed: &Claimed, turn: u32) -> Nth {
        let mut nth = Nth { attempt: claimed.attempts + 1, turn, fleet: Vec::new() };
        for reply in replies {
            let row = self.replies.classify(reply).row;
            if !counts_in_fleet(row) || nth.fleet.iter().any(|(name, _)| *name == row.name) {
                continue;
            }
            match self.queue.count_reply(&claimed.account, &row.name).await {
                Ok(count) => nth.fleet.push((&row.name, count)),
                Err(error) => warn!(row = row.name, %error, "the reply could not be counted: taken for the first"),
            }
        }
        nth
    }

    /// If a verdict keeps the account from sending, this worker's other mails of it are stopped at once.
    fn heed_account(&self, account: &AccountId, tried: &mut Tried) {
        let attempted = &mut tried.attempted;
        let holding = attempted.findings.iter().find_map(|(place, verdict)| Some((*place, *verdict, holds(verdict)?)));
        let Some((place, verdict, reason)) = holding else { return };
        if attempted.note.is_empty() {
            let own = attempted.refused.iter().find(|(at, _)| *at == place).map(|(_, reply)| reply);
            attempted.note = note(&verdict, own.or(attempted.reply.as_ref()));
        }
        attempted.refusal = Some(self.lanes.refused(account, reason));
        tried.stops = Some(reason);
    }

    async fn without_connection(&self, none: NoConnection, claimed: &Claimed, piece: &Piece, turn: u32) -> Tried {
        let places = &piece.places;
        let mut tried = Tried { stops: Some(Reason::Connection), ..Tried::default() };
        let attempted = &mut tried.attempted;
        match none {
            NoConnection::Throttled => {
                tried = Tried::untried(piece, Reason::LoginLimit);
                // The script that was asked has stored the hold already.
                tried.attempted.refusal = Some(self.lanes.refused(&claimed.account, Reason::LoginLimit));
                return tried;
            }
            NoConnection::NoLogin(no_login, why) => {
                attempted.findings = all(places, Verdict::NoLogin(no_login));
                attempted.note = why;
            }
            NoConnection::FreshRefused(reply) => {
                let row = self.replies.classify(&reply).row;
                attempted.findings = all(places, Verdict::Refused(Meaning::after_all(row).at(reply.stage)));
                attempted.note = login_refused(&reply);
                attempted.reply = Some(reply);
            }
            NoConnection::Reply(reply, floor) => {
                let nth = self.nth_of(std::iter::once(&reply), claimed, turn).await;
                let found = verdict::meaning(self.replies, &reply, &nth);
                let found = Meaning { floor: found.floor.max(floor), ..found };
                attempted.findings = all(places, Verdict::Refused(found));
                attempted.reply = Some(reply);
            }
        }
        self.heed_account(&claimed.account, &mut tried);
        tried
    }

    /// The login was refused only in answer to the next command: another token for the next connection, if there is one.
    async fn take_another_token(&self, claimed: &Claimed, piece: &Piece, refusal: Reply, tried: &mut Tried) {
        let account = &claimed.account;
        let other = match self.tokens.access(account).await {
            Ok(known) => self.other_token(account, &known, refusal).await.map(|_| ()),
            Err(error) => Err(no_token(error)),
        };
        if let Err(none) = other {
            *tried = Box::pin(self.without_connection(none, claimed, piece, 1)).await;
        }
    }
}

fn open_places(claimed: &Claimed, job: &Job) -> Vec<usize> {
    match &claimed.recipients {
        Some(recipients) => recipients.open.clone(),
        None => (0..job.recipients.len()).collect(),
    }
}
