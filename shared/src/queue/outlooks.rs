//! Asking when mails will go: their accounts are read once each, not once a mail.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Queue;
use super::claim::Recipients;
use super::mails::{Fields, MailState};
use super::outlook::{Outlook, Waiting, outlook};
use super::session::wrong;
use super::standing::Standing;
use crate::account::AccountId;
use crate::clock::Millis;
use crate::id::MailId;
use crate::mail::Priority;
use crate::reason::Reason;
use crate::store::StoreError;

/// A mail is looked for among so many entries of its lane; behind them it counts as the last.
const LOOKED_AT: usize = 10_000;
/// Fields of a mail's hash that decide when it goes.
const FIELDS: [&str; 9] = ["s", "a", "p", "t", "d", "c", "u", "o", "r"];

/// Where a mail stands, and when it will probably go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which account sends it.
    pub account: AccountId,
    /// Where it stands.
    pub state: MailState,
    /// Why it waits, died or was sent.
    pub reason: Option<Reason>,
    /// When it will probably go; `None`: nothing more happens to it by itself.
    pub outlook: Option<Outlook>,
}

/// What the hash of a mail says of its place.
struct Known {
    account: AccountId,
    reason: Option<Reason>,
    waiting: Waiting,
}

impl Known {
    /// `ahead` is left at 0.
    fn read<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Result<Self, StoreError> {
        let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
        let open = field("o").and_then(Recipients::read).map(|recipients| recipients.open.len() as u64);
        let letter = field("p").and_then(|text| text.chars().next()).unwrap_or('n');
        Ok(Self {
            account: field("a").unwrap_or_default().parse().map_err(wrong)?,
            reason: field("r").and_then(|word| word.parse().ok()),
            waiting: Waiting {
                state: field("s").unwrap_or_default().parse().map_err(wrong)?,
                at: Millis(number("t").unwrap_or(0)),
                deadline: Millis(number("d").unwrap_or(0)),
                priority: Priority::from_letter(letter).unwrap_or_default(),
                recipients: open.or(number("c")).unwrap_or(1),
                in_doubt: field("u").is_some_and(|doubt| !doubt.is_empty()),
                ahead: 0,
            },
        })
    }
}

impl Queue {
    /// Where mails stand and when they will probably go, in the order of the ids; `None`: nothing is known of a mail. They
    /// are taken to have been handed over in this order, just now.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn outlooks(&self, ids: &[MailId]) -> Result<Vec<Option<Place>>, StoreError> {
        let known = self.known(ids).await?;
        let mut standings: HashMap<AccountId, Option<Standing>> = HashMap::new();
        for one in known.iter().flatten().filter(|one| !one.waiting.state.is_final()) {
            if !standings.contains_key(&one.account) {
                standings.insert(one.account.clone(), self.standing(&one.account).await?);
            }
        }
        let now = Millis::now();
        let mut behind: HashMap<(AccountId, Priority), u64> = HashMap::new();
        let place = |one: Option<Known>| {
            let Known { account, reason, mut waiting } = one?;
            let standing = standings.get(&account).and_then(Option::as_ref);
            if let (MailState::Ready, Some(standing)) = (waiting.state, standing) {
                let behind = behind.entry((account.clone(), waiting.priority)).or_default();
                *behind += 1;
                waiting.ahead = standing.ahead(waiting.priority).saturating_sub(*behind);
            }
            let outlook = outlook(&waiting, standing, now);
            Some(Place { account, state: waiting.state, reason, outlook })
        };
        let mut places: Vec<Option<Place>> = known.into_iter().rev().map(place).collect();
        places.reverse();
        Ok(places)
    }

    async fn known(&self, ids: &[MailId]) -> Result<Vec<Option<Known>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for id in ids {
            pipe.cmd("HMGET").arg(self.store.keys(id.shard()).mail(*id)).arg(&FIELDS);
        }
        let rows: Vec<Vec<Option<String>>> = pipe.query_async(&mut self.store.connection()).await?;
        let read = |row: Vec<Option<String>>| {
            let fields: HashMap<&str, String> =
                FIELDS.into_iter().zip(row).filter_map(|(name, value)| Some((name, value?))).collect();
            let known = || Known::read(|name| fields.get(name).map(String::as_str));
            fields.contains_key("s").then(known).transpose()
        };
        rows.into_iter().map(read).collect()
    }

    /// When the mail with these fields will probably go, in its account as it stands.
    pub(super) async fn outlook_of(
        &self,
        id: MailId,
        fields: &Fields,
        standing: Option<&Standing>,
    ) -> Result<Option<Outlook>, StoreError> {
        let Known { account, mut waiting, .. } = Known::read(|name| fields.get(name).map(String::as_str))?;
        if let (MailState::Ready, Some(standing)) = (waiting.state, standing) {
            let lane = self.store.keys_of(&account).lane(&account, waiting.priority.letter());
            let mut ask = redis::cmd("LPOS");
            ask.arg(lane).arg(id.to_string()).arg("MAXLEN").arg(LOOKED_AT);
            let place: Option<u64> = ask.query_async(&mut self.store.connection()).await?;
            waiting.ahead = standing.ahead_at(waiting.priority, place);
        }
        Ok(outlook(&waiting, standing, Millis::now()))
    }
}
