//! What a step does to a state: the workers' part and the world's. Redis' part is in `redis.rs`.

use crate::config::{AtDeadline, Config, Flaw};
use crate::redis::{Outcome, Place};
use crate::state::{Copy, Job, Mode, Phase, Session, State};
use crate::step::{Act, Event, Step};

impl State {
    /// Does a step that is possible here.
    pub(crate) fn take(&mut self, step: Step, config: &Config) {
        match step {
            Step::Tick => self.tick(config),
            Step::Appear(mail) => self.truths[usize::from(mail)].copy = Copy::Visible,
            Step::Claim { by, mail, heard } => self.claim(by, mail, heard, config),
            Step::Mend { by, mail } => self.mails[usize::from(mail)].mend(by),
            Step::Worker(by, event) => self.event(by, event, config),
            Step::Job { by, mail, fence, act } => {
                let jobs = &mut self.sessions[usize::from(by)].jobs;
                if let Some(at) = jobs.iter().position(|job| job.mail == mail && job.fence == fence) {
                    let job = jobs.remove(at);
                    if let Some(job) = self.act(by, job, act, config) {
                        self.keep(by, job);
                    }
                }
            }
        }
    }

    fn keep(&mut self, by: u8, job: Job) {
        let jobs = &mut self.sessions[usize::from(by)].jobs;
        jobs.push(job);
        jobs.sort_unstable();
    }

    fn tick(&mut self, config: &Config) {
        for session in &mut self.sessions {
            for job in &mut session.jobs {
                let mail = &self.mails[usize::from(job.mail)];
                if mail.fence != job.fence || !matches!(mail.place, Place::Sending(_)) {
                    job.lost_for = (job.lost_for + 1).min(config.late + 1);
                }
            }
            if session.mode != Mode::Up || session.lease == 0 {
                session.lease = session.lease.saturating_sub(1);
            }
        }
        for mail in &mut self.mails {
            mail.tick(config);
        }
        for truth in &mut self.truths {
            if let Copy::Hidden(since) = truth.copy {
                truth.copy = if since + 1 >= config.indexing { Copy::Visible } else { Copy::Hidden(since + 1) };
            }
        }
    }

    fn claim(&mut self, by: u8, mail: u8, heard: bool, config: &Config) {
        let it = &mut self.mails[usize::from(mail)];
        it.claim(by, config);
        if it.place != Place::Sending(by) {
            return;
        }
        let job = Job { mail, fence: it.fence, doubt: it.doubt.is_some(), phase: Phase::Held, lost_for: 0 };
        if heard {
            self.keep(by, job);
        } else {
            self.faults.answers -= 1;
        }
    }

    fn event(&mut self, by: u8, event: Event, config: &Config) {
        let session = &mut self.sessions[usize::from(by)];
        match event {
            Event::Crash => {
                session.mode = Mode::Down;
                session.jobs.clear();
                self.faults.crashes -= 1;
            }
            Event::Stall => {
                session.mode = Mode::Away;
                self.faults.stalls -= 1;
            }
            Event::Return => session.mode = Mode::Up,
            Event::Renew => session.lease = config.lease,
            Event::Reopen | Event::Start => open_anew(session, config),
            Event::TakeBack => {
                session.open = false;
                for mail in &mut self.mails {
                    mail.take_back(by, config);
                }
            }
        }
    }

    /// What becomes of a job; `None`: the worker is done with it.
    fn act(&mut self, by: u8, job: Job, act: Act, config: &Config) -> Option<Job> {
        let phase = match act {
            Act::Look => self.look(by, &job, config),
            Act::LookFails => self.look_fails(&job, config),
            Act::Note { heard } => return self.note(by, job, heard, config),
            Act::Send { accepted } => self.send(&job, accepted, config),
            Act::Hear if job.phase == Phase::Flown(true) => Phase::Done(Outcome::Sent),
            Act::Hear => Phase::Done(Outcome::Retry),
            Act::HearForGood => Phase::Done(Outcome::Refused),
            Act::LoseReply => {
                self.faults.replies -= 1;
                Phase::Done(Outcome::Check)
            }
            Act::HandBack => {
                self.faults.refusals -= 1;
                Phase::Done(Outcome::Back)
            }
            Act::Settle { heard } => return self.settle(by, job, heard, config),
            Act::Judge => self.judge(by, &job, config),
            Act::Abandon => return None,
        };
        Some(Job { phase, ..job })
    }

    /// Sent answers. What the absence means is judged by how old the doubt was when it was asked.
    fn look(&self, by: u8, job: &Job, config: &Config) -> Phase {
        if self.truths[usize::from(job.mail)].copy == Copy::Visible {
            return Phase::Done(Outcome::Found);
        }
        self.judge(by, job, config)
    }

    fn judge(&self, by: u8, job: &Job, config: &Config) -> Phase {
        let mail = &self.mails[usize::from(job.mail)];
        if !self.holds(by, job) || mail.doubt.is_none_or(|since| since < config.allowance) {
            Phase::Done(Outcome::LookAgain)
        } else if mail.lost >= config.poison {
            Phase::Done(Outcome::Poison)
        } else if mail.ttl == 0 {
            Phase::Done(Outcome::Expired)
        } else {
            Phase::Clear(true)
        }
    }

    fn look_fails(&mut self, job: &Job, config: &Config) -> Phase {
        self.faults.looks = self.faults.looks.saturating_sub(1);
        let mail = &self.mails[usize::from(job.mail)];
        if mail.ttl > 0 {
            return Phase::Done(Outcome::LookAgain);
        }
        let once = !mail.resent_blind || config.flaw == Some(Flaw::ResentWithoutEnd);
        if config.at_deadline == AtDeadline::Resend && once && mail.lost < config.poison {
            Phase::Clear(false)
        } else {
            Phase::Done(Outcome::Uncertain)
        }
    }

    fn note(&mut self, by: u8, job: Job, heard: bool, config: &Config) -> Option<Job> {
        let mail = usize::from(job.mail);
        let may_send = self.mails[mail].note(by, job.fence, job.phase == Phase::Clear(true), config);
        self.truths[mail].noted |= may_send;
        if !heard {
            self.faults.answers -= 1;
            return Some(job);
        }
        may_send.then_some(Job { phase: Phase::Begun, ..job })
    }

    fn send(&mut self, job: &Job, accepted: bool, config: &Config) -> Phase {
        if !accepted {
            self.faults.refusals -= 1;
            return Phase::Flown(false);
        }
        let truth = &mut self.truths[usize::from(job.mail)];
        truth.accepted = (truth.accepted + 1).min(3);
        if truth.copy == Copy::None {
            truth.copy = if config.indexing == 0 { Copy::Visible } else { Copy::Hidden(0) };
        }
        Phase::Flown(true)
    }

    fn settle(&mut self, by: u8, job: Job, heard: bool, config: &Config) -> Option<Job> {
        let mail = usize::from(job.mail);
        if let Phase::Done(outcome) = job.phase {
            self.mails[mail].settle(by, job.fence, outcome, config);
            self.truths[mail].known |= outcome.delivered();
        }
        if heard {
            return None;
        }
        self.faults.answers -= 1;
        Some(job)
    }
}

/// A new session. A worker that lost one gives up what it has not begun; the rest goes on.
fn open_anew(session: &mut Session, config: &Config) {
    session.mode = Mode::Up;
    session.open = true;
    session.lease = config.lease;
    session.jobs.retain(|job| !matches!(job.phase, Phase::Held | Phase::Clear(_)));
}
