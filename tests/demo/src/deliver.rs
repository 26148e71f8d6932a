//! Hands the mails over in two waves, with an access token ended in between, and waits until each of them is done.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postroom::{Millis, NewMail, SendError, Sent};
use postroom_it::until;

use crate::kinds::Kind;
use crate::mails::{ACCOUNTS, Planned, plan};
use crate::out;
use crate::stage::{PATIENCE, Stage};

/// Mails of the first wave.
const FIRST_WAVE: usize = 130;
/// Mails at the end that are handed over one by one.
const ONE_BY_ONE: usize = 10;
/// Mails of the first account that the server has taken when its token is ended.
const BEFORE_THE_END: u64 = 10;
/// How often somebody without a terminal is told.
const NOW_AND_THEN: Duration = Duration::from_secs(2);

/// A mail that was handed over.
pub(crate) struct Handed {
    pub(crate) kind: Kind,
    pub(crate) mail: NewMail,
    pub(crate) sent: Sent,
    /// When `send` or `send_many` was called.
    pub(crate) called: Millis,
}

/// Hands all mails over and waits for their ends.
pub(crate) async fn all(stage: &mut Stage) -> anyhow::Result<Vec<Handed>> {
    let mut planned = plan(Millis::now());
    let mut bar = Progress::new(planned.len());
    let last = planned.split_off(planned.len() - ONE_BY_ONE);
    let second = planned.split_off(FIRST_WAVE);
    let mut handed = many(stage, planned).await?;
    end_the_token(stage).await?;
    handed.extend(many(stage, second).await?);
    for one in last {
        handed.push(single(stage, one).await?);
    }
    finish(stage, &mut bar, handed.len()).await?;
    Ok(handed)
}

async fn many(stage: &Stage, planned: Vec<Planned>) -> anyhow::Result<Vec<Handed>> {
    let called = Millis::now();
    let answers = stage.client.send_many(planned.iter().map(|one| one.mail.clone()).collect()).await;
    let pairs = planned.into_iter().zip(answers);
    pairs.map(|(one, answer)| handed(one, answer, called)).collect()
}

async fn single(stage: &Stage, one: Planned) -> anyhow::Result<Handed> {
    let called = Millis::now();
    let answer = stage.client.send(one.mail.clone()).await;
    handed(one, answer, called)
}

fn handed(one: Planned, answer: Result<Sent, SendError>, called: Millis) -> anyhow::Result<Handed> {
    let sent = answer.with_context(|| format!("a mail of the kind {:?} was not taken", one.kind))?;
    Ok(Handed { kind: one.kind, mail: one.mail, sent, called })
}

/// Ends the first account's access token while its mails are on their way: a refresh must be forced.
async fn end_the_token(stage: &Stage) -> anyhow::Result<()> {
    let sandbox = &stage.rig.sandbox;
    until("the first account's first mails", PATIENCE, || async {
        Ok((sandbox.stats().account(ACCOUNTS[0]).mails >= BEFORE_THE_END).then_some(()))
    })
    .await
    .with_context(|| format!("the workers wrote:\n{}", stage.worker_logs()))?;
    sandbox.expire_tokens(Some(ACCOUNTS[0]));
    Ok(())
}

/// Watches the queue until every mail is sent or dead.
async fn finish(stage: &mut Stage, bar: &mut Progress, total: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let states = stage.queue().stats().await?.states;
        let count = |state: &str| states.get(state).copied().unwrap_or(0);
        let done = count("sent") + count("dead");
        bar.show(done, count("retry"));
        if done >= total as u64 {
            bar.end();
            return Ok(());
        }
        stage.check_workers().await?;
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "{done} of {total} mails were done after {PATIENCE:?}: {states:?}; the workers wrote:\n{}",
            stage.worker_logs()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A bar for a terminal, a line now and then for anything else.
struct Progress {
    bar: ProgressBar,
    total: usize,
    told: Option<Instant>,
}

impl Progress {
    fn new(total: usize) -> Self {
        let is_terminal = stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} done {msg}") {
            bar.set_style(style);
        }
        Self { bar, total, told: (!is_terminal).then(Instant::now) }
    }

    fn show(&mut self, done: u64, waiting: u64) {
        self.bar.set_position(done);
        self.bar.set_message(if waiting > 0 { format!("({waiting} wait for a retry)") } else { String::new() });
        if let Some(told) = &mut self.told
            && told.elapsed() >= NOW_AND_THEN
        {
            *told = Instant::now();
            out::say(&format!("{done} of {} done, {waiting} wait for a retry", self.total));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
