//! Finding mails: by idempotency key, `Message-ID`, recipient, tag, reason or state, each by an index of its own.
//!
//! One condition chooses the index, the one that leaves fewest mails; the others are checked against each mail that it names.
//! So a search costs what its index holds, however many mails there are, and a page looks at 10,000 mails at most. Mails that
//! are ready or sent have no index of their state: they are looked for among the newest, as in a listing.

mod entries;

use std::cmp::Reverse;
use std::collections::HashMap;

use self::entries::{Source, Spot, merge};
use super::Queue;
use super::dead::TagFilter;
use super::index::{Value, told_by};
use super::mails::{Fields, MailState, MailStatus};
use super::page::{MOST_ON_PAGE, MOST_READ, Page, PageQuery, STEP, Way};
use super::push::digest;
use crate::address::Address;
use crate::id::MailId;
use crate::reason::Reason;
use crate::store::StoreError;

/// Mails with one `Message-ID` that are looked at: the newest of a shard.
const MOST_NAMESAKES: usize = 1_000;
/// Mails of one request that are asked for at once.
const PLACES: usize = 100;
/// States of which Redis knows the mails.
const INDEXED: [MailState; 5] =
    [MailState::Scheduled, MailState::Retry, MailState::Dead, MailState::Cancelled, MailState::Discarded];

/// Which mails: those that fit all that is given. With nothing but a page, it is the listing of all mails.
#[derive(Debug, Clone, Default)]
pub struct FindQuery {
    /// Which page, in which state, of which accounts.
    pub page: PageQuery,
    /// Only mails with this `Message-ID`, with or without its angle brackets.
    pub message_id: Option<String>,
    /// Only the mail that was handed over with this idempotency key, or those of a request with it.
    pub idempotency_key: Option<String>,
    /// Only mails to this recipient (To, Cc or Bcc), whatever the case of its letters.
    pub recipient: Option<Address>,
    /// Only mails with this tag.
    pub tag: Option<TagFilter>,
    /// Only mails that wait for another try, died or ended for this reason.
    pub reason: Option<Reason>,
}

/// Where the mails that may fit are told.
enum Base {
    /// These, and no others.
    Some(Vec<MailId>),
    /// In sorted sets.
    Indexes(Vec<Source>),
    /// Among all.
    All,
}

impl Queue {
    /// One page of the mails that fit, the newest first, without their timelines.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn find(&self, query: &FindQuery) -> Result<Page, StoreError> {
        match self.base(query).await? {
            Base::Some(ids) => self.page_of(ids, query).await,
            Base::Indexes(sources) => self.page_through(sources, query).await,
            Base::All => self.walk(&query.page, |fields| query.fits(fields)).await,
        }
    }

    async fn base(&self, query: &FindQuery) -> Result<Base, StoreError> {
        let shards = self.shards_of(&query.page);
        if let Some(message_id) = query.wanted_message_id() {
            return Ok(Base::Some(self.with_message_id(&shards, &message_id).await?));
        }
        if let Some(key) = &query.idempotency_key {
            return Ok(Base::Some(self.with_idempotency_key(&shards, key).await?));
        }
        let value = query.recipient.as_ref().map(|address| Value::Recipient(address.reveal()));
        if let Some(value) = value.or_else(|| query.tag.as_ref().map(Value::of_filter)) {
            return Ok(Base::Indexes(self.with_value(&shards, value)));
        }
        match (query.page.state, query.reason) {
            (Some(MailState::Sending), _) => Ok(Base::Some(self.in_hand(&shards).await?)),
            (Some(MailState::Ready | MailState::Sent), _) | (None, None | Some(Reason::Delivered | Reason::Found)) => {
                Ok(Base::All)
            }
            (Some(state), reason) => self.in_states(&shards, &[state], reason).await,
            (None, reason) => self.in_states(&shards, &INDEXED[1..], reason).await,
        }
    }

    fn with_value(&self, shards: &[u16], value: Value<'_>) -> Vec<Source> {
        let source =
            |shard: u16, is_long| Source::new(shard, self.store.keys(shard).by_value(&value.field(is_long)), true);
        shards.iter().flat_map(|shard| [source(*shard, false), source(*shard, true)]).collect()
    }

    async fn with_message_id(&self, shards: &[u16], message_id: &str) -> Result<Vec<MailId>, StoreError> {
        let mut pipe = redis::pipe();
        for source in self.with_value(shards, Value::MessageId(message_id)) {
            pipe.cmd("ZREVRANGE").arg(source.key()).arg(0).arg(MOST_NAMESAKES - 1);
        }
        let found: Vec<Vec<Vec<u8>>> = pipe.query_async(&mut self.store.connection()).await?;
        let own = told_by(message_id).filter(|id| shards.contains(&id.shard()));
        Ok(own.into_iter().chain(found.iter().flatten().filter_map(|bytes| MailId::from_bytes(bytes))).collect())
    }

    /// Those of a live mail's key, a test mail's, and both of a request's, whose mails have keys that follow from it.
    async fn with_idempotency_key(&self, shards: &[u16], key: &str) -> Result<Vec<MailId>, StoreError> {
        let mut ids = Vec::new();
        let mut hashes = vec![digest(&[key.as_bytes()]), digest(&[b"test", key.as_bytes()])];
        for first in (0..MOST_READ).step_by(PLACES) {
            for place in first..first + PLACES {
                hashes.push(digest(&[format!("{key}\n{place}").as_bytes()]));
                hashes.push(digest(&[b"test", format!("test\n{key}\n{place}").as_bytes()]));
            }
            let mut pipe = redis::pipe();
            for shard in shards {
                let keys = self.store.keys(*shard);
                pipe.cmd("MGET").arg(hashes.iter().map(|hash| keys.idem(hash)).collect::<Vec<_>>());
            }
            let found: Vec<Vec<Option<String>>> = pipe.query_async(&mut self.store.connection()).await?;
            let before = ids.len();
            let stored = found.iter().flatten().flatten();
            ids.extend(stored.filter_map(|stored| stored.split_once(':')?.0.parse::<MailId>().ok()));
            if ids.len() == before {
                break;
            }
            hashes.clear();
        }
        Ok(ids)
    }

    /// The mails that workers have.
    async fn in_hand(&self, shards: &[u16]) -> Result<Vec<MailId>, StoreError> {
        let mut ids = Vec::new();
        for shard in shards {
            let keys = self.store.keys(*shard);
            let mut pipe = redis::pipe();
            pipe.cmd("ZRANGE").arg(keys.sessions()).arg(0).arg(-1).cmd("SMEMBERS").arg(keys.lost());
            let (living, lost): (Vec<String>, Vec<String>) = pipe.query_async(&mut self.store.connection()).await?;
            let sessions: Vec<String> = living.into_iter().chain(lost).collect();
            if sessions.is_empty() {
                continue;
            }
            let mut pipe = redis::pipe();
            for session in &sessions {
                pipe.cmd("HKEYS").arg(keys.jobs(session));
            }
            let jobs: Vec<Vec<String>> = pipe.query_async(&mut self.store.connection()).await?;
            ids.extend(jobs.iter().flatten().filter_map(|id| id.parse::<MailId>().ok()));
        }
        Ok(ids)
    }

    /// The sets of these states that hold mails of this reason. Mails that were stored by a version without these sets stand
    /// in none: as long as there are such, all mails are looked through.
    async fn in_states(
        &self,
        shards: &[u16],
        states: &[MailState],
        reason: Option<Reason>,
    ) -> Result<Base, StoreError> {
        let words: Vec<&str> = [""].into_iter().chain(Reason::ALL.iter().map(|reason| reason.as_str())).collect();
        let mut sources = Vec::new();
        for shard in shards {
            let keys = self.store.keys(*shard);
            let mut pipe = redis::pipe();
            pipe.atomic();
            pipe.cmd("HMGET").arg(keys.counts()).arg(states.iter().map(|state| state.as_str()).collect::<Vec<_>>());
            for state in states {
                for word in &words {
                    pipe.cmd("ZCARD").arg(keys.by_state(state.as_str(), word));
                }
            }
            let answers: Vec<redis::Value> = pipe.query_async(&mut self.store.connection()).await?;
            let mut answers = answers.into_iter();
            let counts: Vec<Option<i64>> = redis::from_redis_value(answers.next().unwrap_or(redis::Value::Nil))
                .map_err(|error| StoreError::Wrong(error.to_string()))?;
            let sizes = answers.map(redis::from_redis_value::<i64>).collect::<Result<Vec<_>, _>>();
            let sizes = sizes.map_err(|error| StoreError::Wrong(error.to_string()))?;
            for ((state, counted), sizes) in states.iter().zip(counts).zip(sizes.chunks(words.len())) {
                // What is cancelled or discarded is counted for ever, and found for a while.
                if !state.is_over() && sizes.iter().sum::<i64>() < counted.unwrap_or(0) {
                    return Ok(Base::All);
                }
                let filled = words.iter().zip(sizes).filter(|(_, size)| **size > 0).map(|(word, _)| *word);
                let wanted = filled.filter(|word| reason.is_none_or(|reason| reason.as_str() == *word));
                sources.extend(wanted.map(|word| Source::new(*shard, keys.by_state(state.as_str(), word), false)));
            }
        }
        Ok(Base::Indexes(sources))
    }

    /// A page of these mails.
    async fn page_of(&self, mut ids: Vec<MailId>, query: &FindQuery) -> Result<Page, StoreError> {
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(MOST_READ);
        let (limit, cursor, way) = query.page.read();
        let cursor = match cursor {
            Some(id) => Some(self.spot(id, &[]).await?),
            None => None,
        };
        let mut fitting = Vec::new();
        for ids in ids.chunks(STEP) {
            let rows = ids.iter().copied().zip(self.fields_of(ids).await?);
            let rows = rows.filter(|(_, fields)| !fields.is_empty() && query.fits(fields));
            fitting.extend(rows.map(|(id, fields)| (Spot::of(id, &fields), id, fields)));
        }
        fitting.retain(|(spot, _, _)| cursor.is_none_or(|cursor| spot.is_beyond(cursor, way)));
        match way {
            Way::Older => fitting.sort_by_key(|(spot, _, _)| Reverse(*spot)),
            Way::Newer => fitting.sort_by_key(|(spot, _, _)| *spot),
        }
        let rows: Vec<(MailId, Fields)> = fitting.into_iter().map(|(_, id, fields)| (id, fields)).collect();
        let mut page = Page::default();
        self.add_fitting(&rows, limit, query, &mut page.mails).await?;
        Ok(page.finish(limit, way, None))
    }

    /// A page of the mails that sorted sets name.
    async fn page_through(&self, mut sources: Vec<Source>, query: &FindQuery) -> Result<Page, StoreError> {
        let (limit, cursor, way) = query.page.read();
        if let Some(id) = cursor {
            let spot = self.spot(id, &sources).await?;
            sources.iter_mut().for_each(|source| source.begin_at(spot));
        }
        let (mut page, mut seen, mut last, mut gone) = (Page::default(), 0, None, HashMap::new());
        while page.mails.len() <= limit && seen < MOST_READ {
            self.refill(&mut sources, way, limit + 1).await?;
            let wanted = if seen == 0 { limit + 1 } else { STEP };
            let found = merge(&mut sources, way, wanted.min(MOST_READ - seen));
            let Some((_, end)) = found.last() else {
                last = None;
                break;
            };
            (seen, last) = (seen + found.len(), Some(end.id()));
            let ids: Vec<MailId> = found.iter().map(|(_, spot)| spot.id()).collect();
            let mut rows = Vec::with_capacity(ids.len());
            for ((source, spot), fields) in found.into_iter().zip(self.fields_of(&ids).await?) {
                if fields.is_empty() {
                    gone.entry(source).or_insert_with(Vec::new).push(spot.id());
                } else if query.fits(&fields) {
                    rows.push((spot.id(), fields));
                }
            }
            self.add_fitting(&rows, limit, query, &mut page.mails).await?;
        }
        self.forget(&sources, &gone).await?;
        Ok(page.finish(limit, way, last.filter(|_| seen >= MOST_READ)))
    }

    /// Adds mails that fit, as far as their records tell, until there is one more than the page holds.
    async fn add_fitting(
        &self,
        rows: &[(MailId, Fields)],
        limit: usize,
        query: &FindQuery,
        mails: &mut Vec<MailStatus>,
    ) -> Result<(), StoreError> {
        for rows in rows.chunks(limit.clamp(10, MOST_ON_PAGE) + 1) {
            if mails.len() > limit {
                break;
            }
            mails.extend(self.with_heads(rows).await?.into_iter().filter(|status| query.fits_record(status)));
        }
        Ok(())
    }
}

impl FindQuery {
    /// With its angle brackets.
    fn wanted_message_id(&self) -> Option<String> {
        let bare = |id: &str| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        self.message_id.as_deref().map(|id| format!("<{}>", bare(id)))
    }

    fn fits(&self, fields: &Fields) -> bool {
        let is = |name: &str, word: &str| fields.get(name).is_some_and(|value| value == word);
        // What waits for its turn, or is on its way, has left behind why it waited before.
        let has_reason = |reason: Reason| {
            is("r", reason.as_str()) && !["scheduled", "ready", "sending"].iter().any(|word| is("s", word))
        };
        self.page.fits(fields) && self.reason.is_none_or(has_reason)
    }

    fn fits_record(&self, status: &MailStatus) -> bool {
        let is_to = |wanted: &Address| {
            let wanted = wanted.reveal().to_lowercase();
            status.recipients.iter().any(|one| one.address.reveal().to_lowercase() == wanted)
        };
        self.recipient.as_ref().is_none_or(is_to)
            && self.tag.as_ref().is_none_or(|wanted| status.tags.iter().any(|tag| wanted.fits(tag)))
            && self.wanted_message_id().is_none_or(|wanted| status.message_id == Some(wanted))
    }
}
