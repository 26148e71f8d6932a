//! The client over HTTP: hands mail to a `postroom serve`, with an API key.
//!
//! What failed for now is tried again within a bound ([`HttpClient::with_patience`]), as the server asks for it. A mail whose
//! answer was lost is handed over again only if it has an idempotency key. The key prints nowhere.

mod answer;
mod find;
mod server;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::{Faults, LONGEST_WAIT, Mail};
use postroom_shared::queue::{FindQuery, MailState, MailStatus, Page, Place};
use postroom_shared::settings::TlsSettings;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

#[cfg(feature = "serve")]
pub(crate) use self::answer::Stored;
use self::answer::{Answer, StoredBatch, StoredMail};
use self::server::{Question, Server};
use crate::client::{Cancelled, Error, Rescheduled, SendError, Sent};
use crate::door::Refusal;
use crate::draft::Draft;
use crate::mailer::Mailer;

/// Mails in one request, as many as the server takes.
const TOGETHER: usize = 100;
/// Bytes of several mails in one request; a larger mail goes alone.
const BYTES_TOGETHER: usize = 4 << 20;
/// Mails that are asked for in one request, as many as the server answers for.
const ASKED_TOGETHER: usize = 1_000;
/// How long a request is tried again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands mail to Postroom over HTTP. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    server: Arc<Server>,
    is_test: bool,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpClient({})", self.server.base)
    }
}

/// Where mails stand, as the server tells it.
#[derive(Deserialize)]
struct Places {
    data: Vec<Option<Place>>,
}

/// A mail as it goes over the wire.
struct Written {
    place: usize,
    json: String,
    keyed: bool,
}

impl HttpClient {
    /// Whether this is an address of the kind that it takes.
    #[must_use]
    pub fn is_address(url: &str) -> bool {
        ["http://", "https://"]
            .iter()
            .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    }

    /// For the server at `url`, with the key in it: `http://:KEY@host[:port]` or `https://`. Nothing is asked yet.
    ///
    /// # Errors
    /// If it is no such URL. The text does not repeat it.
    pub fn connect(url: &str) -> Result<Self, Error> {
        let parsed = parse(url)?;
        let Some(key) = parsed.password().filter(|key| !key.is_empty()) else {
            let why = "the URL of postroom serve holds no API key: write http://:KEY@host, or use connect_with_key";
            return Err(Error::Wrong(why.to_owned()));
        };
        Self::with_key(url, key.to_owned().into())
    }

    /// For the server at `url`, with this key. Nothing is asked yet.
    ///
    /// # Errors
    /// If it is no URL with `http://` or `https://`. The text does not repeat it.
    pub fn with_key(url: &str, key: SecretString) -> Result<Self, Error> {
        Self::with_settings(url, key, &TlsSettings::default())
    }

    /// The same with certificates that are trusted beside the public ones.
    ///
    /// # Errors
    /// As [`HttpClient::with_key`].
    pub fn with_settings(url: &str, key: SecretString, tls: &TlsSettings) -> Result<Self, Error> {
        use secrecy::ExposeSecret as _;
        let mut base = parse(url)?;
        // A key stands in no address that could be printed.
        if base.set_username("").is_err() || base.set_password(None).is_err() {
            return Err(not_an_address());
        }
        base.set_query(None);
        base.set_fragment(None);
        let is_test = key.expose_secret().starts_with("pr_test_");
        let http = Server::http(tls).map_err(Error::Wrong)?;
        let server = Server { http, base, key, patience: PATIENCE, rests: Mutex::default() };
        Ok(Self { server: Arc::new(server), is_test })
    }

    /// The same, but what fails for now is tried again for so long (else 20 s); zero: never.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        let Server { http, base, key, .. } = &*self.server;
        let (http, base, key) = (http.clone(), base.clone(), key.clone());
        let server = Server { http, base, key, patience, rests: Mutex::default() };
        Self { server: Arc::new(server), is_test: self.is_test }
    }

    fn written(&self, place: usize, mail: Draft) -> Result<Written, SendError> {
        if mail.is_test() && !self.is_test {
            let what = "over HTTP the key decides on test mode: use a test key (`postroom key create --test`)";
            return Err(Refusal::from(Faults::one("", what)).into());
        }
        let json = mail.into_json().map_err(Refusal::from)?;
        let keyed = json.get("idempotency_key").is_some_and(Value::is_string);
        Ok(Written { place, json: json.to_string(), keyed })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<String>, repeatable: bool) -> Answer {
        self.server.ask(&Question { method, path, headers: &[], body, repeatable }).await
    }

    async fn post_one(&self, mail: Written) -> Result<Sent, SendError> {
        let answer = self.ask(Method::POST, "/emails", Some(mail.json), mail.keyed).await;
        let stored = answer.document::<StoredMail>();
        stored.map(|mail| mail.sent()).ok_or_else(|| answer.send_error(mail.keyed))
    }

    /// One request with several mails. `Err(None)`: it is too large.
    async fn post_batch(
        &self,
        key: Option<&str>,
        mails: &[Written],
        all_or_nothing: bool,
    ) -> Result<Vec<Result<Sent, SendError>>, Option<SendError>> {
        let parts: Vec<&str> = mails.iter().map(|mail| mail.json.as_str()).collect();
        let keyed = key.is_some() || mails.iter().all(|mail| mail.keyed);
        let mut headers = vec![("x-batch-validation", if all_or_nothing { "strict" } else { "permissive" })];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let body = Some(format!("[{}]", parts.join(",")));
        let question =
            Question { method: Method::POST, path: "/emails/batch", headers: &headers, body, repeatable: keyed };
        let answer = self.server.ask(&question).await;
        if let Some(answers) = answer.document::<StoredBatch>().and_then(|batch| batch.in_order(mails.len())) {
            return Ok(answers);
        }
        if let Some(each) = answer.trouble(422).filter(|_| all_or_nothing).and_then(|told| told.of_each(mails.len())) {
            return Ok(each);
        }
        let is_too_large = answer.trouble(413).is_some() && mails.len() > 1 && !all_or_nothing && key.is_none();
        Err((!is_too_large).then(|| answer.send_error(keyed)))
    }

    /// Mails one by one that stand together in requests.
    async fn post_all(&self, mails: &[Written], answers: &mut [Option<Result<Sent, SendError>>]) {
        let mut waiting = together(mails);
        while let Some(mails) = waiting.pop() {
            let answered = match self.post_batch(None, mails, false).await {
                Ok(answered) => answered,
                Err(None) => {
                    let (first, second) = mails.split_at(mails.len() / 2);
                    waiting.extend([second, first]);
                    continue;
                }
                Err(Some(SendError::Unknown { id, why, .. })) => {
                    let unknown = |mail: &Written| SendError::Unknown { id, keyed: mail.keyed, why: why.clone() };
                    mails.iter().map(|mail| Err(unknown(mail))).collect()
                }
                Err(Some(error)) => vec![Err(error); mails.len()],
            };
            for (mail, answer) in mails.iter().zip(answered) {
                if let Some(place) = answers.get_mut(mail.place) {
                    *place = Some(answer);
                }
            }
        }
    }

    /// What can be written, and what is wrong with the others, by their places.
    fn write_all(&self, mails: Vec<Draft>) -> (Vec<Written>, Vec<Option<Result<Sent, SendError>>>) {
        let mut answers = vec![None; mails.len()];
        let mut written = Vec::with_capacity(mails.len());
        for (place, mail) in mails.into_iter().enumerate() {
            match self.written(place, mail) {
                Ok(mail) => written.push(mail),
                Err(error) => answers[place] = Some(Err(error)),
            }
        }
        (written, answers)
    }

    async fn send_batch(
        &self,
        key: Option<&str>,
        mails: Vec<Draft>,
        all_or_nothing: bool,
    ) -> Result<Vec<Result<Sent, SendError>>, SendError> {
        let key = key.map(Mail::check_idempotency_key).transpose().map_err(Refusal::from)?;
        let count = mails.len();
        if count > TOGETHER {
            let what = format!("{count} mails: over HTTP a batch has {TOGETHER} at most, give several");
            return Err(Refusal::from(Faults::one("", what)).into());
        }
        let (written, mut answers) = self.write_all(mails);
        if all_or_nothing && written.len() < count {
            let told = answers.into_iter().map(|one| one.unwrap_or(Err(SendError::OthersRefused)));
            return Ok(told.collect());
        }
        if !written.is_empty() {
            let posted = self.post_batch(key.as_deref(), &written, all_or_nothing).await;
            let posted = posted.map_err(|error| error.unwrap_or_else(too_large))?;
            for (mail, answer) in written.iter().zip(posted) {
                answers[mail.place] = Some(answer);
            }
        }
        Ok(answers.into_iter().map(|one| one.unwrap_or_else(silent)).collect())
    }
}

impl Mailer for HttpClient {
    fn send(&self, mail: Draft) -> BoxFuture<'_, Result<Sent, SendError>> {
        Box::pin(async move { self.post_one(self.written(0, mail)?).await })
    }

    fn send_many(&self, mails: Vec<Draft>) -> BoxFuture<'_, Vec<Result<Sent, SendError>>> {
        Box::pin(async move {
            let (written, mut answers) = self.write_all(mails);
            self.post_all(&written, &mut answers).await;
            answers.into_iter().map(|one| one.unwrap_or_else(silent)).collect()
        })
    }

    fn send_batch<'a>(
        &'a self,
        key: Option<&'a str>,
        mails: Vec<Draft>,
        all_or_nothing: bool,
    ) -> BoxFuture<'a, Result<Vec<Result<Sent, SendError>>, SendError>> {
        Box::pin(Self::send_batch(self, key, mails, all_or_nothing))
    }

    /// Beyond 1,000 ids several requests: the mails of one do not count as ahead of those of the next.
    fn outlooks<'a>(&'a self, ids: &'a [MailId]) -> BoxFuture<'a, Result<Vec<Option<Place>>, Error>> {
        Box::pin(async move {
            let mut places = Vec::with_capacity(ids.len());
            for ids in ids.chunks(ASKED_TOGETHER) {
                let body = serde_json::json!({ "ids": ids }).to_string();
                let answer = self.ask(Method::POST, "/emails/outlooks", Some(body), true).await;
                let found: Option<Places> = answer.document();
                let found = found.filter(|found| found.data.len() == ids.len()).ok_or_else(|| answer.error())?;
                places.extend(found.data);
            }
            Ok(places)
        })
    }

    fn status(&self, id: MailId) -> BoxFuture<'_, Result<Option<MailStatus>, Error>> {
        Box::pin(async move {
            let answer = self.ask(Method::GET, &format!("/emails/{id}/status"), None, true).await;
            match answer.document() {
                Some(status) => Ok(Some(status)),
                None if answer.is_missing() => Ok(None),
                None => Err(answer.error()),
            }
        })
    }

    fn find<'a>(&'a self, query: &'a FindQuery) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move {
            let answer = self.ask(Method::GET, &find::path_of(query)?, None, true).await;
            find::page_in(&answer).ok_or_else(|| answer.error())
        })
    }

    fn cancel(&self, id: MailId) -> BoxFuture<'_, Result<Cancelled, Error>> {
        Box::pin(async move {
            let answer = self.ask(Method::POST, &format!("/emails/{id}/cancel"), None, true).await;
            match answer.document::<Value>() {
                // It may have been this very wish that was fulfilled before.
                Some(done) if done["known"] == true && !answer.in_doubt => Ok(Cancelled::TooLate(MailState::Cancelled)),
                Some(_) => Ok(Cancelled::Done),
                None if answer.is_missing() => Ok(Cancelled::Unknown),
                None => {
                    let state = answer.trouble(422).and_then(|told| told.state);
                    state.map(Cancelled::TooLate).ok_or_else(|| answer.error())
                }
            }
        })
    }

    fn reschedule(&self, id: MailId, send_at: Millis) -> BoxFuture<'_, Result<Rescheduled, Error>> {
        Box::pin(async move {
            if send_at > Millis::now().after(LONGEST_WAIT) {
                return Err(Error::TooFar);
            }
            let body = serde_json::json!({ "scheduled_at": send_at.to_string() }).to_string();
            let answer = self.ask(Method::PATCH, &format!("/emails/{id}"), Some(body), true).await;
            match answer.document::<Value>() {
                Some(_) => Ok(Rescheduled::Done),
                None if answer.is_missing() => Ok(Rescheduled::Unknown),
                None => {
                    let state = answer.trouble(422).and_then(|told| told.state);
                    state.map(Rescheduled::TooLate).ok_or_else(|| answer.error())
                }
            }
        })
    }
}

fn parse(url: &str) -> Result<Url, Error> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(not_an_address)
}

fn not_an_address() -> Error {
    Error::Wrong("not the URL of a postroom serve: write http://:KEY@host:port or https://:KEY@host".to_owned())
}

fn silent() -> Result<Sent, SendError> {
    Err(SendError::Wrong("postroom serve gave fewer answers than mails".to_owned()))
}

fn too_large() -> SendError {
    Refusal::from(Faults::one("", "these mails are too large for one request: hand fewer over at once")).into()
}

/// Mails in pieces that fit into one request, the last first.
fn together(mails: &[Written]) -> Vec<&[Written]> {
    let (mut pieces, mut begun, mut bytes) = (Vec::new(), 0, 0);
    for (index, mail) in mails.iter().enumerate() {
        if index > begun && (index - begun == TOGETHER || bytes + mail.json.len() > BYTES_TOGETHER) {
            pieces.push(&mails[begun..index]);
            (begun, bytes) = (index, 0);
        }
        bytes += mail.json.len();
    }
    if begun < mails.len() {
        pieces.push(&mails[begun..]);
    }
    pieces.reverse();
    pieces
}
