//! One mail's way through this worker: a seat, a token, a connection, the dialogue. It finds out; it decides nothing.
//!
//! Whatever happens comes back as an [`Attempted`]; nothing in here settles a mail or sleeps.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postroom_shared::address::Address;
use postroom_shared::queue::{Claimed, Job};
use postroom_shared::reason::Reason;
use postroom_shared::reply::{Reply, Silence, Stage};
use postroom_shared::tokens::{AfterRefusal, TokenError, Tokens};

use crate::begins::Begins;
use crate::keeper::Sessions;
use crate::lanes::{Lanes, Seat};
use crate::smtp::{Connection, Dialer, End, Outgoing};
use crate::verdict::{Verdict, verdict};

/// How often one attempt begins anew because a kept connection was at its end.
const RECONNECTS: u32 = 2;
/// How many other tokens are tried after a refused login: the one somebody else fetched, and the one that was forced.
const OTHER_TOKENS: u32 = 2;

/// A hint of the token service is believed up to here.
const LONGEST_HINT: Duration = Duration::from_secs(600);

/// What an attempt needs.
pub struct Handler {
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
}

/// What an attempt came to.
#[derive(Default)]
pub struct Attempted {
    /// For each recipient that was open, by place in the envelope.
    pub findings: Vec<(usize, Verdict)>,
    /// What the server said of the mail as a whole, or how it fell silent.
    pub reply: Option<Reply>,
    /// What it said of recipients that it refused.
    pub refused: Vec<(usize, Reply)>,
    /// The account must be held: why, and in words for a person.
    pub hold: Option<(Reason, String)>,
    /// Nothing was tried; the mail goes back to its place for this reason.
    pub back: Option<Reason>,
    /// The mail cannot be tried at all.
    pub dead: Option<Reason>,
}

impl Attempted {
    fn back(reason: Reason) -> Self {
        Self { back: Some(reason), ..Self::default() }
    }

    fn all(open: &[usize], meaning: Verdict, reply: Option<Reply>) -> Self {
        Self { findings: open.iter().map(|place| (*place, meaning)).collect(), reply, ..Self::default() }
    }

    /// Whether every recipient was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.findings.iter().all(|(_, verdict)| *verdict == Verdict::Delivered)
    }

    fn wants_reconnect(&self) -> bool {
        self.findings.iter().any(|(_, verdict)| *verdict == Verdict::Reconnect)
            && !self.findings.iter().any(|(_, verdict)| *verdict == Verdict::Delivered)
    }
}

/// A connection that could not be had.
enum NoConnection {
    Reply(Reply),
    Later(Reply, Duration),
    Hold(Reason, String),
}

impl Handler {
    /// Tries to send one mail.
    pub async fn attempt(&self, claimed: &Claimed) -> Attempted {
        let Ok(job) = &claimed.job else {
            return Attempted { dead: Some(Reason::Unreadable), ..Attempted::default() };
        };
        let open = open_places(claimed, job);
        let mut attempted = Attempted::back(Reason::LeaseLost);
        let mut begun = claimed.begun;
        for reconnect in 0..=RECONNECTS {
            if self.lanes.is_refused_since(&claimed.account, claimed.claimed) {
                return Attempted::back(Reason::Consent);
            }
            let Some((place, is_warm)) = self.lanes.line_up(&claimed.account).await else {
                return Attempted::back(Reason::LeaseLost);
            };
            if is_warm && !begun {
                begun = self.begins.tell(claimed).await;
            }
            let seat = self.lanes.seat(&claimed.account).await;
            drop(place);
            let Some(seat) = seat else {
                return Attempted::back(Reason::LeaseLost);
            };
            // Asked after the wait for a seat: that is when time went by.
            if !self.sessions.holds(claimed.id.shard(), &claimed.session) {
                return Attempted::back(Reason::LeaseLost);
            }
            // What ended one kept connection, such as a token's end, ends its siblings too: from then on a new one.
            let may_be_warm = reconnect == 0;
            attempted = self.once(seat, claimed, job, &open, may_be_warm, &mut begun).await;
            if !attempted.wants_reconnect() {
                break;
            }
        }
        attempted
    }

    async fn once(
        &self,
        seat: Seat,
        claimed: &Claimed,
        job: &Job,
        open: &[usize],
        may_be_warm: bool,
        begun: &mut bool,
    ) -> Attempted {
        let warm = seat.take_warm(may_be_warm).await;
        let mut connection = match warm {
            Some(connection) => connection,
            // Boxed, as it is rare and large: a mail's future is moved about several times.
            None => match Box::pin(self.connect(claimed)).await {
                Ok(connection) => connection,
                Err(none) => return self.without_connection(none, claimed, open),
            },
        };
        // Nothing leaves before the queue knows that it may have left.
        *begun = *begun || self.begins.tell(claimed).await;
        if !*begun {
            seat.put_back(connection);
            return Attempted::back(Reason::LeaseLost);
        }
        let recipients: Cow<'_, [Address]> = if open.iter().copied().eq(0..job.recipients.len()) {
            Cow::Borrowed(&job.recipients)
        } else {
            open.iter().filter_map(|place| job.recipients.get(*place)).cloned().collect()
        };
        let outgoing = Outgoing { from: &job.from, recipients: &recipients, bytes: &job.bytes, smtputf8: job.smtputf8 };
        let began = Instant::now();
        let outcome = connection.send(&outgoing).await;
        self.pace.took(began.elapsed());
        let attempted = read_outcome(open, outcome.recipients, outcome.end);
        seat.put_back(connection);
        attempted
    }

    fn without_connection(&self, none: NoConnection, claimed: &Claimed, open: &[usize]) -> Attempted {
        match none {
            NoConnection::Reply(reply) => Attempted::all(open, verdict(&reply), Some(reply)),
            NoConnection::Later(reply, floor) => {
                let later = Verdict::Transient { reason: Reason::TokenUnavailable, floor };
                Attempted::all(open, later, Some(reply))
            }
            NoConnection::Hold(reason, note) => {
                self.lanes.refused(&claimed.account);
                Attempted { hold: Some((reason, note)), ..Attempted::all(open, Verdict::AuthRefused, None) }
            }
        }
    }

    /// A new connection; a refused login is tried again with another token, as long as there is one.
    async fn connect(&self, claimed: &Claimed) -> Result<Connection, NoConnection> {
        let account = &claimed.account;
        let mut token = self.tokens.access(account).await.map_err(no_token)?;
        for _ in 0..=OTHER_TOKENS {
            let refusal = match Connection::open(&self.dialer, account, &token).await {
                Ok(connection) => return Ok(connection),
                Err(reply) if verdict(&reply) == Verdict::AuthRefused => reply,
                Err(reply) => return Err(NoConnection::Reply(reply)),
            };
            match self.tokens.after_refusal(account, &token).await.map_err(no_token)? {
                AfterRefusal::Try(other) => token = other,
                AfterRefusal::FreshRefused => {
                    return Err(NoConnection::Hold(Reason::Consent, login_refused(&refusal)));
                }
            }
        }
        Err(NoConnection::Reply(Reply::silence(
            Stage::Auth,
            Silence::Closed,
            "every token was refused; others refresh it",
        )))
    }
}

fn login_refused(reply: &Reply) -> String {
    format!(
        "the server refused a fresh token ({}): the consent lacks the scope https://mail.google.com/, or it is another \
         mailbox's; add the account again with `postroom account add`",
        reply.words()
    )
}

fn no_token(error: TokenError) -> NoConnection {
    let note = error.to_string();
    match error {
        TokenError::Consent { .. } | TokenError::NoCredentials => NoConnection::Hold(Reason::Consent, note),
        TokenError::Client { .. } => NoConnection::Hold(Reason::Client, note),
        TokenError::Sealed(_) => NoConnection::Hold(Reason::Config, note),
        TokenError::Passing { retry_after, .. } => {
            let silence = Reply::silence(Stage::Token, Silence::Unreachable, note);
            NoConnection::Later(silence, retry_after.unwrap_or_default().min(LONGEST_HINT))
        }
    }
}

fn open_places(claimed: &Claimed, job: &Job) -> Vec<usize> {
    match &claimed.recipients {
        Some(recipients) => recipients.open.clone(),
        None => (0..job.recipients.len()).collect(),
    }
}

/// Joins what was said of each recipient with what was said of the mail.
fn read_outcome(open: &[usize], recipients: Vec<Result<(), Reply>>, end: End) -> Attempted {
    let (whole, reply) = match end {
        End::Accepted(reply) | End::Refused(reply) | End::Lost(reply) => (Some(verdict(&reply)), Some(reply)),
        End::NoRecipient => (None, None),
    };
    let mut attempted = Attempted { reply, ..Attempted::default() };
    for (place, said) in open.iter().zip(recipients) {
        match (said, whole) {
            (Err(reply), _) => {
                attempted.findings.push((*place, verdict(&reply)));
                attempted.refused.push((*place, reply));
            }
            (Ok(()), Some(meaning)) => attempted.findings.push((*place, meaning)),
            // Every recipient was refused, so this one cannot have been accepted; nothing was sent.
            (Ok(()), None) => attempted.findings.push((*place, Verdict::Reconnect)),
        }
    }
    attempted
}

/// How quickly mails go lately: decides how many may wait for one connection, so that it never runs dry while the worker
/// asks for more, and nothing waits long behind it.
#[derive(Debug)]
pub struct Pace {
    micros: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { micros: AtomicU64::new(Self::WORTH.as_micros().try_into().unwrap_or(u64::MAX)) }
    }
}

impl Pace {
    /// Jobs worth this much time may wait for one connection.
    const WORTH: Duration = Duration::from_millis(50);
    const DEEPEST: u64 = 32;

    /// A mail took so long, from MAIL to the reply to its data.
    pub fn took(&self, span: Duration) {
        let new = u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 8);
        let old = self.micros.load(Ordering::Relaxed);
        self.micros.store((old.saturating_mul(7) + new) / 8, Ordering::Relaxed);
    }

    /// How many jobs may be in hand for one permit.
    #[must_use]
    pub fn depth(&self) -> usize {
        let worth = u64::try_from(Self::WORTH.as_micros()).unwrap_or(u64::MAX);
        (worth / self.micros.load(Ordering::Relaxed).max(1)).clamp(1, Self::DEEPEST).try_into().unwrap_or(1)
    }
}
