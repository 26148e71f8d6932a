//! The replies to one envelope, summed up: who was refused, and whether the mail can have been taken at all.

use crate::reply::{Reply, Silence, Stage};

/// The replies to `MAIL` and to each `RCPT`, as they come.
pub(super) struct Tally {
    /// One a recipient; `Ok` also where none was read.
    pub(super) recipients: Vec<Result<(), Reply>>,
    /// The refusal of `MAIL`.
    pub(super) mail_refused: Option<Reply>,
    pub(super) mail_accepted: bool,
    /// The first 421: the server closes the connection.
    pub(super) closing: Option<Reply>,
    answered: usize,
    /// A reply that makes no sense came: the dialogue is out of step.
    pub(super) is_odd: bool,
}

impl Tally {
    pub(super) fn new(recipients: usize) -> Self {
        Self {
            recipients: vec![Ok(()); recipients],
            mail_refused: None,
            mail_accepted: false,
            closing: None,
            answered: 0,
            is_odd: false,
        }
    }

    /// Takes the reply to `MAIL` or to the next `RCPT`.
    pub(super) fn take(&mut self, reply: Reply) {
        let Some(code) = reply.code() else { return };
        if code == 421 {
            self.closing.get_or_insert_with(|| reply.clone());
        }
        let refused = match code {
            200..300 => None,
            300..400 => {
                self.is_odd = true;
                Some(Reply::silence(reply.stage, Silence::Garbage, format!("out of place: {}", reply.words())))
            }
            _ => Some(reply.clone()),
        };
        if reply.stage == Stage::Mail {
            self.mail_accepted = refused.is_none();
            self.mail_refused = refused;
            return;
        }
        // After a refused MAIL, a 503 to RCPT is only its echo.
        if let (Some(refused), Some(slot), true) = (refused, self.recipients.get_mut(self.answered), self.mail_accepted)
        {
            *slot = Err(refused);
        }
        self.answered += 1;
    }

    /// Whether every recipient was refused.
    pub(super) fn is_everyone_refused(&self) -> bool {
        self.mail_accepted && self.recipients.iter().all(Result::is_err)
    }
}
