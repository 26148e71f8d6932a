//! What an answer of `postroom serve` means: whether something was stored, and which of the client's errors it is. Pure.

use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::{Fault, Faults};
use postroom_shared::queue::MailState;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::{Error, SendError, Sent};
use crate::door::Refusal;

/// What came of one request.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// It did as it was asked; the document.
    Done(Vec<u8>),
    /// It did not.
    Refused { status: u16, trouble: Box<Trouble> },
    /// The request never left.
    NotReached(String),
    /// The request left, and no whole answer came.
    Lost(String),
    /// It cannot be asked at all.
    Impossible(String),
}

/// What came of all tries.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    /// A try before the last may have been done.
    pub(super) in_doubt: bool,
}

/// Whether something was stored, though the answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "serve", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stored {
    /// Nothing was.
    No,
    /// Nothing was, for Redis has no room.
    Full,
    /// It is not known.
    Unknown,
}

/// An error as the server tells it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Trouble {
    pub(super) message: String,
    faults: Vec<Fault>,
    pub(super) id: Option<MailId>,
    pub(super) state: Option<MailState>,
    stored: Option<Stored>,
}

/// A mail that was stored, as the server tells it.
#[derive(Debug, Deserialize)]
pub(super) struct StoredMail {
    id: MailId,
    #[serde(default)]
    known: bool,
    #[serde(default)]
    test: bool,
    scheduled_at: Option<jiff::Timestamp>,
}

/// A batch that was stored.
#[derive(Debug, Deserialize)]
pub(super) struct StoredBatch {
    data: Vec<StoredMail>,
    #[serde(default)]
    errors: Option<Vec<StoredBatchError>>,
}

/// A mail of a batch that was not stored.
#[derive(Debug, Deserialize)]
struct StoredBatchError {
    index: usize,
    #[serde(flatten)]
    trouble: Trouble,
}

impl Outcome {
    /// What an answer with this status and body is.
    pub(super) fn of(status: u16, body: Vec<u8>) -> Self {
        if (200..300).contains(&status) {
            return Self::Done(body);
        }
        let mut trouble: Box<Trouble> = serde_json::from_slice(&body).unwrap_or_default();
        if trouble.message.is_empty() {
            trouble.message = format!("the answer was HTTP {status} without a reason that postroom serve would give");
        }
        Self::Refused { status, trouble }
    }

    /// Whether something was stored although it was not done as asked.
    pub(super) fn stored(&self) -> Stored {
        match self {
            Self::Done(_) | Self::Lost(_) => Stored::Unknown,
            Self::NotReached(_) | Self::Impossible(_) => Stored::No,
            // Without a word of postroom serve's own it may come from a proxy, which knows nothing of it.
            Self::Refused { status: 502..=504, trouble } => trouble.stored.unwrap_or(Stored::Unknown),
            Self::Refused { status: 505.., .. } => Stored::Unknown,
            Self::Refused { .. } => Stored::No,
        }
    }

    /// Whether asking again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NotReached(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 502..=504),
            Self::Done(_) | Self::Impossible(_) => false,
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Refused { trouble, .. } => trouble.message.clone(),
            Self::NotReached(why) => format!("postroom serve is not reached: {why}"),
            Self::Lost(why) => format!("the connection to postroom serve was lost: {why}"),
            Self::Impossible(why) => why.clone(),
            Self::Done(_) => "the answer of postroom serve cannot be understood".to_owned(),
        }
    }
}

impl Answer {
    /// The document in it.
    pub(super) fn document<T: DeserializeOwned>(&self) -> Option<T> {
        if let Outcome::Done(body) = &self.outcome { serde_json::from_slice(body).ok() } else { None }
    }

    /// The trouble that it tells with this status.
    pub(super) fn trouble(&self, wanted: u16) -> Option<&Trouble> {
        match &self.outcome {
            Outcome::Refused { status, trouble } if *status == wanted => Some(trouble),
            Outcome::Refused { .. }
            | Outcome::Done(_)
            | Outcome::NotReached(_)
            | Outcome::Lost(_)
            | Outcome::Impossible(_) => None,
        }
    }

    /// Whether there is no such mail; a server that does not know the question answers 404 in other words.
    pub(super) fn is_missing(&self) -> bool {
        self.trouble(404).is_some_and(|told| told.message == "Email not found")
    }

    /// Why a mail was not handed over; `keyed`: it has an idempotency key.
    pub(super) fn send_error(&self, keyed: bool) -> SendError {
        if let Some(told) = self.trouble(409) {
            return told.id.map_or(SendError::KeyUsed, SendError::Conflict);
        }
        if let Some(told) = [400, 413, 422].into_iter().find_map(|status| self.trouble(status)) {
            return SendError::Refused(told.refusal());
        }
        let why = self.outcome.why();
        match if self.in_doubt { Stored::Unknown } else { self.outcome.stored() } {
            Stored::Unknown => {
                let id = if let Outcome::Refused { trouble, .. } = &self.outcome { trouble.id } else { None };
                SendError::Unknown { id, keyed, why: bare(&why).to_owned() }
            }
            Stored::Full => SendError::Full(bare(&why).to_owned()),
            Stored::No if self.outcome.is_passing() => SendError::NotStored(bare(&why).to_owned()),
            Stored::No => SendError::Wrong(why),
        }
    }

    /// Why a question was not answered.
    pub(super) fn error(&self) -> Error {
        let why = self.outcome.why();
        if self.trouble(401).is_some() || self.trouble(403).is_some() {
            Error::Denied(why)
        } else if self.outcome.is_passing() {
            Error::Away(bare(&why).to_owned())
        } else {
            Error::Wrong(why)
        }
    }
}

/// The server's words without what this client's errors say themselves.
fn bare(message: &str) -> &str {
    let known = ["it was not stored, hand it over again: ", "it was not stored, hand it over again later: "];
    if let Some(rest) = known.iter().find_map(|start| message.strip_prefix(start)) {
        return rest;
    }
    let inner = message.strip_prefix("it is not known whether it was stored (");
    inner.and_then(|rest| rest.rsplit_once("): ")).map_or(message, |(why, _)| why)
}

impl Trouble {
    /// What is wrong with a mail, by the names that a mail has.
    pub(super) fn refusal(&self) -> Refusal {
        let named = |fault: &Fault| match fault.field.as_str() {
            "scheduled_at" => Fault { field: "send_at".to_owned(), message: fault.message.clone() },
            _ => fault.clone(),
        };
        Refusal::unless_empty(self.faults.iter().map(named).collect())
            .unwrap_or_else(|| Faults::one("", &*self.message).into())
    }

    /// The faults of the mail at this place of a batch.
    fn refusal_at(&self, place: usize) -> Option<Refusal> {
        let start = format!("[{place}]");
        let of_it = self.faults.iter().filter_map(|fault| {
            let field = fault.field.strip_prefix(&start)?;
            Some(Fault { field: field.trim_start_matches('.').to_owned(), message: fault.message.clone() })
        });
        let alone = Self { faults: of_it.collect(), ..Self::default() };
        (!alone.faults.is_empty()).then(|| alone.refusal())
    }

    /// All or none: what is told of each of so many mails; `None`: it is about none of them alone.
    pub(super) fn of_each(&self, count: usize) -> Option<Vec<Result<Sent, SendError>>> {
        let each: Vec<Option<Refusal>> = (0..count).map(|place| self.refusal_at(place)).collect();
        each.iter().any(Option::is_some).then(|| {
            each.into_iter().map(|one| Err(one.map_or(SendError::OthersRefused, SendError::Refused))).collect()
        })
    }
}

impl StoredMail {
    pub(super) fn sent(&self) -> Sent {
        let at = |at: jiff::Timestamp| Millis(u64::try_from(at.as_millisecond()).unwrap_or_default());
        Sent { id: self.id, known: self.known, test: self.test, send_at: self.scheduled_at.map(at) }
    }
}

impl StoredBatch {
    /// The answers in the order of the mails; `None`: it does not tell of so many.
    pub(super) fn in_order(self, count: usize) -> Option<Vec<Result<Sent, SendError>>> {
        let errors = self.errors.unwrap_or_default();
        if self.data.len() + errors.len() != count {
            return None;
        }
        let mut answers: Vec<Option<Result<Sent, SendError>>> = vec![None; count];
        for StoredBatchError { index, trouble } in errors {
            let error = trouble.id.map_or_else(|| SendError::Refused(trouble.refusal()), SendError::Conflict);
            *answers.get_mut(index)? = Some(Err(error));
        }
        let mut stored = self.data.iter().map(StoredMail::sent);
        answers.into_iter().map(|one| one.or_else(|| stored.next().map(Ok))).collect()
    }
}
