//! One `postroom serve`: a request, and what comes of it. Tries again within a bound, and only what cannot be done twice.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::clock::Millis;
use postroom_shared::http::{chain, parse_retry_after};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::answer::{Answer, Outcome, Stored};

/// For a request and its answer; longer than the server waits for Redis.
const TIME_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection that was silent for so long is not used again: the server ends such ones, too.
const IDLE: Duration = Duration::from_secs(5);
const LONGEST_BODY: usize = 64 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// The longest time for which a rate limit that is used up keeps the next request back.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// A server, and the key for it.
pub(super) struct Server {
    pub(super) http: Client,
    pub(super) base: Url,
    pub(super) key: SecretString,
    pub(super) patience: Duration,
    /// Until when the key's rate limit is used up.
    pub(super) rests: Mutex<Option<Instant>>,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: Option<String>,
    /// Doing it twice does no more than doing it once.
    pub(super) repeatable: bool,
}

impl Server {
    /// An HTTP client for such servers.
    ///
    /// # Errors
    /// If TLS cannot be set up; the text says why.
    pub(super) fn http(tls: &postroom_shared::settings::TlsSettings) -> Result<Client, String> {
        let builder = postroom_shared::http::client(tls)?;
        let builder = builder.timeout(TIME_LIMIT).connect_timeout(CONNECT_WITHIN).pool_idle_timeout(IDLE);
        builder.build().map_err(|error| format!("the HTTP client cannot be set up: {}", chain(&error)))
    }

    /// Asks, again if need be.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Answer {
        let mut pauses = ExponentialBackoff {
            current_interval: FIRST_PAUSE,
            initial_interval: FIRST_PAUSE,
            max_interval: LONGEST_PAUSE,
            multiplier: 2.0,
            randomization_factor: 0.5,
            max_elapsed_time: Some(self.patience),
            ..ExponentialBackoff::default()
        };
        let (begun, mut in_doubt) = (Instant::now(), false);
        loop {
            self.rest().await;
            let (outcome, hint) = self.once(question).await;
            let may_be_done = outcome.stored() == Stored::Unknown;
            let again = outcome.is_passing() && (question.repeatable || !may_be_done);
            let pause = pauses.next_backoff().filter(|_| again).map(|pause| pause.max(hint.unwrap_or_default()));
            match pause {
                Some(pause) if begun.elapsed() + pause <= self.patience => {
                    in_doubt |= may_be_done;
                    sleep(pause).await;
                }
                Some(_) | None => return Answer { outcome, in_doubt },
            }
        }
    }

    /// One request, and when to come again if that was told.
    async fn once(&self, question: &Question<'_>) -> (Outcome, Option<Duration>) {
        let response = match self.request(question) {
            Ok(request) => self.http.execute(request).await,
            Err(why) => return (Outcome::Impossible(why), None),
        };
        match response {
            Ok(response) => {
                let hint = retry_after(response.headers());
                self.heed(response.headers());
                (read(response).await, hint)
            }
            Err(error) => {
                let is_lost = !error.is_connect() && !error.is_builder();
                let why = chain(&error.without_url());
                (if is_lost { Outcome::Lost(why) } else { Outcome::NotReached(why) }, None)
            }
        }
    }

    fn request(&self, question: &Question<'_>) -> Result<reqwest::Request, String> {
        let mut url = self.base.clone();
        let (path, query) =
            question.path.split_once('?').map_or((question.path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let mut key = HeaderValue::from_str(&format!("Bearer {}", self.key.expose_secret()))
            .map_err(|_| "the API key holds characters that no key has: copy it again".to_owned())?;
        key.set_sensitive(true);
        let mut request = self.http.request(question.method.clone(), url).header(AUTHORIZATION, key);
        for (name, value) in question.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = &question.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.build().map_err(|error| chain(&error.without_url()))
    }

    /// Notes a rate limit that is used up.
    fn heed(&self, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        if let (Some(0), Some(reset)) = (number("ratelimit-remaining"), number("ratelimit-reset")) {
            let until = Instant::now() + Duration::from_secs(reset).min(LONGEST_REST);
            *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }

    async fn rest(&self) {
        let until = *self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get("retry-after")?.to_str().ok()?, Millis::now())
}

async fn read(mut response: Response) -> Outcome {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) if body.len() + part.len() <= LONGEST_BODY => body.extend_from_slice(&part),
            Ok(Some(_)) => return Outcome::Lost("the answer is too long".to_owned()),
            Ok(None) => return Outcome::of(status, body),
            Err(error) => return Outcome::Lost(chain(&error.without_url())),
        }
    }
}
