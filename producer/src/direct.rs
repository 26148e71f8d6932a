//! The client over Redis: what `postroom serve` and the commands work with, and an app that reaches Redis.
//!
//! It reads nothing from the environment and never sends anything itself; every error says whether the mail is stored.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::mail::Fault;
use postroom_shared::queue::{MailStatus, NewJob, Place, PushError, Pushed, Queue, RescheduleError};
use postroom_shared::settings::{LimitSettings, RedisSettings, Source};
use postroom_shared::store::StoreError;
use postroom_shared::templates::TemplateRef;

use crate::client::{Cancelled, Rescheduled, SendError, Sent, until_final};
use crate::directory::{Directory, Remembered};
use crate::door::{self, Refusal, Turned};
use crate::draft::Draft;
use crate::templated::Fill;

/// Mails that are frozen on one thread before another one is worth its while (a mail takes some 20 µs).
const A_THREADS_WORTH: usize = 250;
/// Mails that are frozen and stored before the next are looked at, so that a large batch does not lie in memory twice.
const SLICE: usize = 1_000;
/// The same if templates make some of them, which takes up to some milliseconds a mail; those never keep the caller's thread.
const A_THREADS_WORTH_OF_TEMPLATES: usize = 16;

/// Hands mail to Postroom by writing to Redis. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct DirectClient {
    queue: Queue,
    directory: Arc<Remembered>,
    #[cfg(feature = "templates")]
    templates: Arc<crate::templates::Remembered>,
}

impl DirectClient {
    /// Connects to the Redis at `url`: `redis://[user:password@]host[:port][/number]`, or `rediss://` for TLS.
    ///
    /// # Errors
    /// If the URL is wrong or Redis is not reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let mut source = Source::from_pairs([("POSTROOM_REDIS_URL".to_owned(), url.to_owned())]);
        let (redis, limits) = (RedisSettings::read(&mut source), LimitSettings::read(&mut source));
        Self::with_settings(&redis, limits).await
    }

    /// Connects with settings of your own.
    ///
    /// # Errors
    /// If Redis is not reached or its number of shards is another one.
    pub async fn with_settings(redis: &RedisSettings, limits: LimitSettings) -> Result<Self, StoreError> {
        Ok(Self::over(Queue::connect(redis, limits).await?))
    }

    /// A client over a queue that is connected already.
    #[must_use]
    pub fn over(queue: Queue) -> Self {
        Self {
            queue,
            directory: Arc::default(),
            #[cfg(feature = "templates")]
            templates: Arc::default(),
        }
    }

    /// The queue beneath, for what an operator does.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Hands one mail over.
    ///
    /// # Errors
    /// See [`SendError`]: each kind says whether the mail is stored and whether handing it over again helps.
    pub async fn send(&self, mail: impl Into<Draft>) -> Result<Sent, SendError> {
        let nothing = || Err(SendError::Wrong("no answer".to_owned()));
        self.send_many(vec![mail.into()]).await.pop().unwrap_or_else(nothing)
    }

    /// Hands many mails over; the answers stand in their order. A bad mail does not keep the others.
    pub async fn send_many<D: Into<Draft>>(&self, mails: Vec<D>) -> Vec<Result<Sent, SendError>> {
        let mut answers = Vec::with_capacity(mails.len());
        let mut mails = mails.into_iter().map(Into::into);
        loop {
            let slice: Vec<Draft> = mails.by_ref().take(SLICE).collect();
            if slice.is_empty() {
                return answers;
            }
            answers.extend(self.send_slice(slice).await);
        }
    }

    async fn send_slice(&self, drafts: Vec<Draft>) -> Vec<Result<Sent, SendError>> {
        let count = drafts.len();
        match self.admit(drafts).await {
            Ok(admitted) => self.push_admitted(admitted).await,
            // Nothing is stored before templates and accounts are known, so this is never "unknown".
            Err(error) => vec![Err(SendError::NotStored(error.to_string())); count],
        }
    }

    /// Stores the mails that were admitted.
    pub(crate) async fn push_admitted(&self, admitted: Vec<Result<NewJob, SendError>>) -> Vec<Result<Sent, SendError>> {
        let mut jobs = Vec::with_capacity(admitted.len());
        let mut answers = Vec::with_capacity(admitted.len());
        for one in admitted {
            match one {
                Ok(job) => {
                    answers.push(None);
                    jobs.push(job);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let mut stored = self.store(&jobs).await.into_iter();
        let silent = || Err(SendError::Wrong("Redis gave fewer answers than mails".to_owned()));
        answers.into_iter().map(|known| known.or_else(|| stored.next()).unwrap_or_else(silent)).collect()
    }

    /// Finds the templates that drafts name, and answers how many drafts do.
    async fn find_templates(&self, drafts: &mut [Draft]) -> Result<usize, StoreError> {
        let mut count = 0;
        for templated in drafts.iter_mut().filter_map(Draft::templated) {
            count += 1;
            if let Some(wanted) = templated.wanted().cloned() {
                templated.found(self.template(&wanted).await?);
            }
        }
        Ok(count)
    }

    #[cfg(feature = "templates")]
    async fn template(&self, wanted: &TemplateRef) -> Result<Result<Arc<dyn Fill>, Fault>, StoreError> {
        let found = self.templates.get(wanted, self.queue.store()).await?;
        Ok(found.map(|compiled| compiled as Arc<dyn Fill>))
    }

    #[cfg(not(feature = "templates"))]
    #[expect(clippy::unused_async, reason = "the same as with templates")]
    async fn template(&self, _: &TemplateRef) -> Result<Result<Arc<dyn Fill>, Fault>, StoreError> {
        let message = "this program was built without templates: build it with postroom's feature templates".to_owned();
        Ok(Err(Fault { field: "template".to_owned(), message }))
    }

    /// Looks for templates in Redis again at the next mail, and not only after some seconds: for whoever has just put or removed
    /// one.
    #[cfg(feature = "templates")]
    pub async fn forget_templates(&self) {
        self.templates.forget().await;
    }

    /// The job for one draft, for a caller that stores it together with others.
    #[cfg(feature = "serve")]
    pub(crate) async fn admit_one(&self, draft: Draft) -> Result<NewJob, SendError> {
        let admitted = self.admit(vec![draft]).await.map_err(|error| SendError::NotStored(error.to_string()))?;
        admitted.into_iter().next().unwrap_or_else(|| Err(SendError::Wrong("no answer".to_owned())))
    }

    /// Stores jobs that were admitted; the answers stand in their order.
    pub(crate) async fn store(&self, jobs: &[NewJob]) -> Vec<Result<Sent, SendError>> {
        let pushed = self.queue.push_many(jobs).await;
        jobs.iter().zip(pushed).map(|(job, pushed)| answer(job, pushed)).collect()
    }

    /// The jobs for drafts. Those that no known account may send are tried again with a directory read just now.
    pub(crate) async fn admit(&self, mut drafts: Vec<Draft>) -> Result<Vec<Result<NewJob, SendError>>, StoreError> {
        let worth = match self.find_templates(&mut drafts).await? {
            0 => A_THREADS_WORTH,
            _ => A_THREADS_WORTH_OF_TEMPLATES,
        };
        let drafts: Arc<[Draft]> = drafts.into();
        let (begun, now) = (Instant::now(), Millis::now());
        let directory = self.directory.recent(&self.queue).await?;
        let mut admitted = self.admit_all(&drafts, worth, &directory, now).await;
        if admitted.iter().any(|one| one.as_ref().is_err_and(|turned| turned.by_directory)) {
            let newer = self.directory.read_since(&self.queue, Some(begun)).await?;
            if !Arc::ptr_eq(&newer, &directory) {
                let turned = |one: &Result<NewJob, Turned>| one.as_ref().is_err_and(|turned| turned.by_directory);
                let again = drafts.iter().zip(&admitted).filter(|(_, one)| turned(one)).map(|(draft, _)| draft.clone());
                let again: Arc<[Draft]> = again.collect();
                let mut anew = self.admit_all(&again, worth, &newer, now).await.into_iter();
                for one in admitted.iter_mut().filter(|one| turned(one)) {
                    *one = anew.next().unwrap_or_else(|| Err(panicked()));
                }
            }
        }
        Ok(admitted.into_iter().map(|one| one.map_err(|turned| turned.refusal.into())).collect())
    }

    /// On this thread if they are few, else on several; `worth`: how many are worth one.
    async fn admit_all(
        &self,
        drafts: &Arc<[Draft]>,
        worth: usize,
        directory: &Arc<Directory>,
        now: Millis,
    ) -> Vec<Result<NewJob, Turned>> {
        if worth == A_THREADS_WORTH && drafts.len() <= worth {
            return drafts.iter().map(|draft| door::admit(draft, directory, &self.queue, now)).collect();
        }
        let pieces = (0..drafts.len()).step_by(worth);
        let tasks = pieces.map(|start| {
            let range = start..drafts.len().min(start + worth);
            let (drafts, directory, queue) = (Arc::clone(drafts), Arc::clone(directory), self.queue.clone());
            let size = range.len();
            let task = tokio::task::spawn_blocking(move || admit_range(&drafts, range, &directory, &queue, now));
            async move { task.await.unwrap_or_else(|_| (0..size).map(|_| Err(panicked())).collect()) }
        });
        join_all(tasks).await.into_iter().flatten().collect()
    }

    /// Where mails stand and when they will probably go: what to ask after handing many over, with their ids in that order.
    /// `None`: there is no such mail (any more).
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn outlooks(&self, ids: &[MailId]) -> Result<Vec<Option<Place>>, StoreError> {
        self.queue.outlooks(ids).await
    }

    /// All that is known of a mail, with when it will probably go and why not now; `None`: there is no such mail (any more).
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn status(&self, id: MailId) -> Result<Option<MailStatus>, StoreError> {
        self.queue.mail(id).await
    }

    /// Waits until nothing more happens to a mail by itself (sent, dead, cancelled), but no longer than `patience`;
    /// what it answers is how the mail stands then.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn wait(&self, id: MailId, patience: Duration) -> Result<Option<MailStatus>, StoreError> {
        until_final(patience, || self.status(id)).await
    }

    /// Cancels a mail that no worker has yet.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn cancel(&self, id: MailId) -> Result<Cancelled, StoreError> {
        Ok(match self.queue.cancel(id).await? {
            Some(Ok(())) => Cancelled::Done,
            Some(Err(state)) => Cancelled::TooLate(state),
            None => Cancelled::Unknown,
        })
    }

    /// Gives a mail that no worker has yet, and that was not tried yet, another time; one that has passed means now. Its
    /// deadline moves with it.
    ///
    /// # Errors
    /// If the time is more than 30 days ahead, or Redis did not do it.
    pub async fn reschedule(&self, id: MailId, send_at: Millis) -> Result<Rescheduled, RescheduleError> {
        Ok(match self.queue.reschedule(id, send_at).await? {
            Some(Ok(())) => Rescheduled::Done,
            Some(Err(state)) => Rescheduled::TooLate(state),
            None => Rescheduled::Unknown,
        })
    }
}

fn admit_range(
    drafts: &[Draft],
    range: Range<usize>,
    directory: &Directory,
    queue: &Queue,
    now: Millis,
) -> Vec<Result<NewJob, Turned>> {
    drafts[range].iter().map(|draft| door::admit(draft, directory, queue, now)).collect()
}

fn panicked() -> Turned {
    let message = "Postroom failed while it looked at this mail, which is a bug: hand it over alone".to_owned();
    Turned { refusal: Fault { field: String::new(), message }.into(), by_directory: false }
}

fn answer(job: &NewJob, pushed: Result<Pushed, PushError>) -> Result<Sent, SendError> {
    let (test, send_at) = (job.account.is_test(), job.send_at);
    match pushed {
        Ok(Pushed::New(id)) => Ok(Sent { id, known: false, test, send_at }),
        Ok(Pushed::Same(id)) => Ok(Sent { id, known: true, test, send_at }),
        Err(PushError::Conflict(id)) => Err(SendError::Conflict(id)),
        Err(error @ PushError::NoAccount) => {
            Err(Refusal::from(Fault { field: "account".to_owned(), message: error.to_string() }).into())
        }
        Err(PushError::Job(error)) => Err(SendError::Wrong(error.to_string())),
        Err(PushError::Store(StoreError::NotStored(why))) => Err(SendError::NotStored(why)),
        Err(PushError::Store(error @ StoreError::Full(_))) => Err(SendError::Full(error.to_string())),
        Err(PushError::Store(StoreError::Unknown(why))) => {
            Err(SendError::Unknown { id: Some(job.id), keyed: job.idempotency.is_some(), why })
        }
        Err(PushError::Store(StoreError::Wrong(why))) => Err(SendError::Wrong(why)),
    }
}
