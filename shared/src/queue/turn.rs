//! A worker's turn: it ends attempts, tells which mails begin, and asks for jobs, all in one script.

use redis::Value;

use super::Queue;
use super::claim::{Claim, ClaimAnswer, read, read_answer};
use super::session::SessionId;
use super::settle::{Settled, Settlement, add_delivery, add_settlement, read_settled};
use crate::clock::{Millis, millis};
use crate::id::MailId;
use crate::store::StoreError;

/// Settlements in one call of the script.
pub const MOST_ENDS: usize = 200;
/// So many deliveries earn a login: a fleet that sends never runs out of logins, even if it loses every tenth connection.
const DELIVERIES_A_LOGIN: u32 = 10;

/// What a worker tells and asks in one shard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn<'a> {
    /// The worker's session. Without one nothing begins and nothing can be asked for.
    pub session: Option<&'a SessionId>,
    /// Attempts that ended, at most [`MOST_ENDS`].
    pub ends: &'a [Settlement],
    /// Mails whose bytes are about to leave: to be told before they do, so that a worker's death leaves no doubt about others.
    /// At most [`MOST_ENDS`].
    pub begins: &'a [MailId],
    /// What is asked for.
    pub claim: Option<&'a Claim<'a>>,
}

/// What the queue makes of a turn.
#[derive(Debug)]
pub struct TurnAnswer {
    /// Whether the session lives. If not, what begins must not, nothing was handed out, and all it had was taken back.
    pub lives: bool,
    /// Redis's clock.
    pub now: Millis,
    /// What became of the ends, in their order.
    pub settled: Vec<Settled>,
    /// The answer to what was asked for. The jobs' records are still to be fetched, by [`Queue::fetch_records`].
    pub claimed: ClaimAnswer,
}

impl Queue {
    /// Takes a turn in one shard.
    ///
    /// # Errors
    /// If Redis did not do it, or not surely. Ending and beginning again is safe: a lease settles once. Jobs that were handed
    /// out without our hearing of it come back with the lease, or with [`Queue::mend_session`].
    pub async fn turn(&self, shard: u16, turn: &Turn<'_>) -> Result<TurnAnswer, StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.turn.call(&keys);
        let earned = self.limits.login_interval / DELIVERIES_A_LOGIN;
        call.arg(turn.session.map_or("", SessionId::as_str)).arg(millis(self.limits.retention)).arg(millis(earned));
        let (plain, others): (Vec<usize>, Vec<usize>) =
            (0..turn.ends.len()).partition(|at| turn.ends[*at].is_plain_delivery(turn.session));
        call.arg(plain.len());
        for at in &plain {
            add_delivery(&mut call, &turn.ends[*at])?;
        }
        call.arg(others.len());
        for at in &others {
            add_settlement(&mut call, &turn.ends[*at])?;
        }
        call.arg(turn.begins.len());
        for id in turn.begins {
            call.arg(id.to_string());
        }
        if let Some(claim) = turn.claim {
            claim.add_to(&mut call);
        }
        let (lives, told, claimed, now): (u8, Vec<Value>, Vec<Value>, u64) =
            call.invoke_async(&mut self.store.confirmed().await?).await?;
        let mut settled = vec![Settled::Done; turn.ends.len()];
        let mut told = told.into_iter();
        while let Some(place) = told.next() {
            let (place, word): (usize, String) = (read(Some(place))?, read(told.next())?);
            let at = if place < plain.len() { plain.get(place) } else { others.get(place - plain.len()) };
            if let Some(end) = at.and_then(|at| settled.get_mut(*at)) {
                *end = read_settled(&word)?;
            }
        }
        let claimed = match turn.session {
            Some(session) if !claimed.is_empty() => read_answer(claimed, session, Millis(now))?,
            Some(_) | None => ClaimAnswer::default(),
        };
        Ok(TurnAnswer { lives: lives == 1, now: Millis(now), settled, claimed })
    }

    /// Settles attempts of one shard; the answers stand in their order.
    ///
    /// # Errors
    /// As for [`Queue::turn`].
    pub async fn settle(&self, shard: u16, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let mut settled = Vec::with_capacity(settlements.len());
        for ends in settlements.chunks(MOST_ENDS) {
            let session = ends.first().map(|end| &end.session);
            settled.extend(self.turn(shard, &Turn { session, ends, ..Turn::default() }).await?.settled);
        }
        Ok(settled)
    }

    /// Claims jobs in one shard.
    ///
    /// # Errors
    /// As for [`Queue::turn`].
    pub async fn claim(&self, shard: u16, session: &SessionId, claim: &Claim<'_>) -> Result<ClaimAnswer, StoreError> {
        let turn = Turn { session: Some(session), claim: Some(claim), ..Turn::default() };
        let mut answer = self.turn(shard, &turn).await?;
        let records = self.fetch_records(shard, &answer.claimed.jobs).await?;
        answer.claimed.jobs = records.read_for(answer.claimed.jobs).collect();
        Ok(ClaimAnswer { gone: !answer.lives, ..answer.claimed })
    }
}
