//! A mail transaction: MAIL, RCPT, and what happens once all content is there.
//! A mail is answered with 250 only after it is in the store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::connection::Connection;
use super::flow::{Met, Next};
use super::{replies, scan};
use crate::config::Keep;
use crate::faults::{Scene, Stage};
use crate::store::{Mail, content_hash, unix_ms};

/// A mail on its way in.
pub(super) struct Transaction {
    pub(super) from: String,
    pub(super) smtputf8: bool,
    pub(super) recipients: Vec<String>,
    pub(super) content: Vec<u8>,
    /// A BDAT came: no DATA may follow.
    pub(super) chunked: bool,
    /// A chunk was refused: nothing but RSET helps.
    pub(super) failed: bool,
    /// More content came than is allowed; it was thrown away.
    pub(super) too_large: bool,
}

impl Connection {
    pub(super) async fn mail(&mut self, from: String, size: Option<u64>, smtputf8: bool) -> io::Result<Next> {
        if let Some(reply) = self.mail_refusal(size) {
            return Ok(self.refuse(reply));
        }
        let content = std::mem::take(&mut self.spare);
        self.transaction = Some(Transaction {
            from,
            smtputf8,
            recipients: Vec::new(),
            content,
            chunked: false,
            failed: false,
            too_large: false,
        });
        match self.meet(Stage::Mail, &[]).await? {
            Met::Refused(reply) => {
                self.transaction = None;
                Ok(self.refuse(&reply))
            }
            Met::Ended(next) => Ok(next),
            Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => Ok(self.say(replies::SENDER_OK)),
        }
    }

    /// Why no mail may begin now.
    fn mail_refusal(&self, size: Option<u64>) -> Option<&'static str> {
        let settings = &self.state.settings;
        let limit = settings.mails_per_connection();
        if !self.greeted {
            return Some(replies::EHLO_FIRST);
        }
        let Some(session) = &self.session else {
            return Some(replies::LOGIN_REQUIRED);
        };
        if (limit > 0 && self.mails >= limit) || (settings.close_sessions_at_expiry() && session.token.expired()) {
            Some(replies::CONNECTION_EXPIRED)
        } else if self.transaction.is_some() {
            Some(replies::NESTED_MAIL)
        } else if size.is_some_and(|size| size > replies::MAX_SIZE) {
            Some(replies::TOO_LARGE)
        } else {
            None
        }
    }

    pub(super) async fn rcpt(&mut self, to: String) -> io::Result<Next> {
        let refusal = match &self.transaction {
            None => Some(replies::MAIL_FIRST),
            Some(transaction) if transaction.recipients.len() >= replies::MAX_RECIPIENTS => {
                Some(replies::TOO_MANY_RECIPIENTS)
            }
            Some(transaction) if !to.is_ascii() && !transaction.smtputf8 => Some(replies::NEEDS_SMTPUTF8),
            Some(_) => None,
        };
        if let Some(reply) = refusal {
            return Ok(self.refuse(reply));
        }
        match self.meet(Stage::Rcpt, std::slice::from_ref(&to)).await? {
            Met::Refused(reply) => return Ok(self.refuse(&reply)),
            Met::Ended(next) => return Ok(next),
            Met::Nothing | Met::StoreThenCut | Met::StoreThenWait(_) => {}
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.push(to);
        }
        Ok(self.say(replies::RECIPIENT_OK))
    }

    /// All content is there: the mail is accepted or refused, and the transaction is over either way.
    pub(super) async fn finish(&mut self) -> io::Result<Next> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(self.refuse(replies::MAIL_FIRST));
        };
        if transaction.too_large {
            return Ok(self.refuse(replies::TOO_LARGE));
        }
        if scan::has_bare_lf(&transaction.content) {
            return Ok(self.refuse(replies::BARE_LF));
        }
        let message_id = scan::message_id(&transaction.content);
        let met = self.meet_final(&transaction, message_id.as_deref()).await?;
        match met {
            Met::Nothing => {
                let n = self.store(transaction, message_id);
                Ok(self.say(&format!("250 2.0.0 OK {n} - gsmtp")))
            }
            Met::Refused(reply) => Ok(self.refuse(&reply)),
            Met::StoreThenCut => {
                self.store(transaction, message_id);
                self.flush().await?;
                Ok(Next::Cut)
            }
            Met::StoreThenWait(wait) => {
                let n = self.store(transaction, message_id);
                self.flush().await?;
                self.pause(wait).await;
                Ok(self.say(&format!("250 2.0.0 OK {n} - gsmtp")))
            }
            Met::Ended(next) => Ok(next),
        }
    }

    async fn meet_final(&mut self, transaction: &Transaction, message_id: Option<&str>) -> io::Result<Met> {
        let scene = Scene {
            account: self.account(),
            from: Some(&transaction.from),
            recipients: &transaction.recipients,
            headers: scan::headers(&transaction.content),
            message_id,
        };
        match self.state.faults.meet(Stage::Final, &scene) {
            None => Ok(Met::Nothing),
            Some(action) => self.undergo(action).await,
        }
    }

    fn store(&mut self, transaction: Transaction, message_id: Option<String>) -> u64 {
        let Some(session) = &self.session else {
            // MAIL is refused without a login, so no transaction gets here.
            return 0;
        };
        let mut content = transaction.content;
        let mail = Mail {
            n: 0,
            account: session.account.clone(),
            from: transaction.from,
            recipients: transaction.recipients,
            message_id,
            size: content.len() as u64,
            hash: content_hash(&content),
            received_ms: unix_ms(),
            connection: self.open.number,
            chunked: transaction.chunked,
        };
        let bytes = match self.state.keep {
            Keep::All => Some(Arc::from(content.as_slice())),
            Keep::None => None,
        };
        content.clear();
        self.spare = content;
        session.open.account.mails.fetch_add(1, Relaxed);
        self.mails += 1;
        self.state.store.add(mail, bytes)
    }
}
