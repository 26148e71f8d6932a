//! One mail: in one flight where the server offers PIPELINING and CHUNKING, else in as few as it allows. Who must know before
//! the bytes leave to whom they go asks the envelope first.
//!
//! Success is a 250 to the bytes and nothing else. Once the last byte is with the kernel, silence means that the server
//! may have taken the mail, unless the replies read so far prove that it cannot have.

use std::fmt::Write as _;
use std::time::Duration;

use crate::address::Address;
use crate::clock::Millis;
use crate::reply::{Enhanced, Reply, Said, Silence, Stage};

use super::connection::Connection;
use super::content::{Body, Flight};
use super::exchange::Exchange;
use super::tally::Tally;

/// Above this, the envelope is asked first: 30 MB are not sent for a recipient who is refused.
const LARGE: usize = 64 * 1024;
/// For what only tidies up after a mail whose end is known.
const TIDY_WITHIN: Duration = Duration::from_secs(10);

/// A mail to be handed over.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The envelope's sender.
    pub from: &'a Address,
    /// The recipients that are still open.
    pub recipients: &'a [Address],
    /// The frozen message: CRLF, no Bcc.
    pub bytes: &'a [u8],
    /// Whether addresses or headers are not ASCII.
    pub smtputf8: bool,
}

/// What came of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One a given recipient: its refusal at `RCPT`; `Ok` if it was not refused there, so that it shares the mail's end.
    pub recipients: Vec<Result<(), Reply>>,
    /// The mail's end.
    pub end: End,
    /// Whether the connection may carry another mail.
    pub reusable: bool,
}

/// How the transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// 250 to the bytes: the server has the mail for every recipient that was not refused.
    Accepted(Reply),
    /// Refused as a whole, at the reply's stage.
    Refused(Reply),
    /// Every recipient was refused.
    NoRecipient,
    /// No usable reply. At [`Stage::Final`] the server may have taken the mail; at any other stage it has not.
    Lost(Reply),
}

/// An envelope that the server took for at least one recipient, and now waits for the bytes.
#[derive(Debug)]
pub struct Envelope {
    recipients: Vec<Result<(), Reply>>,
    clean: bool,
}

impl Envelope {
    /// One a given recipient: its refusal, if it was refused.
    pub fn recipients(&self) -> &[Result<(), Reply>] {
        &self.recipients
    }
}

/// What came of a mail, and what is to be done with the connection.
struct Ended {
    recipients: Vec<Result<(), Reply>>,
    end: End,
    /// Whether the dialogue is in step.
    clean: bool,
    /// Whether a transaction may still be open.
    open: bool,
}

impl Connection {
    /// Hands over one mail. A future that is dropped before its end leaves a connection that is never used again.
    pub async fn send(&mut self, mail: &Outgoing<'_>) -> Outcome {
        if let Some(outcome) = self.begin(mail).await {
            return outcome;
        }
        let fits_one_flight = self.offers.pipelining && self.bdat() && mail.bytes.len() <= LARGE;
        let ended =
            if fits_one_flight { self.one_flight(mail).await } else { Box::pin(self.envelope_first(mail)).await };
        self.finish(ended).await
    }

    /// Asks the envelope of a mail, and sends no byte of it. [`Connection::deliver`] goes on; who does not lets the connection
    /// go, for it is in mid-dialogue.
    ///
    /// # Errors
    /// What came of the mail, if the server wants no bytes.
    pub async fn ask(&mut self, mail: &Outgoing<'_>) -> Result<Envelope, Outcome> {
        if let Some(outcome) = self.begin(mail).await {
            return Err(outcome);
        }
        match self.envelope(mail).await {
            Ok(envelope) => Ok(envelope),
            Err(ended) => Err(self.finish(ended).await),
        }
    }

    /// Sends the bytes of a mail whose envelope the server took.
    pub async fn deliver(&mut self, mail: &Outgoing<'_>, envelope: Envelope) -> Outcome {
        let ended = self.content(mail, envelope).await;
        self.finish(ended).await
    }

    /// What keeps a mail from being begun, if anything does.
    async fn begin(&mut self, mail: &Outgoing<'_>) -> Option<Outcome> {
        let all_open = || vec![Ok(()); mail.recipients.len()];
        if self.busy {
            let end = lost(Stage::Mail, Silence::Closed, "the connection was left in mid-dialogue");
            return Some(Outcome { recipients: all_open(), end, reusable: false });
        }
        if mail.recipients.is_empty() {
            return Some(Outcome { recipients: Vec::new(), end: End::NoRecipient, reusable: true });
        }
        if let Some(reply) = self.cannot_carry(mail) {
            return Some(Outcome { recipients: all_open(), end: End::Refused(reply), reusable: true });
        }
        self.busy = true;
        let quiet = self.wire.is_quiet();
        if !matches!(quiet, Ok(true)) {
            let end = Box::pin(self.said_while_idle(quiet.is_ok())).await;
            return Some(Outcome { recipients: all_open(), end, reusable: false });
        }
        self.mails_sent += 1;
        None
    }

    async fn finish(&mut self, ended: Ended) -> Outcome {
        self.idle_since = Millis::now();
        let tidy = ended.clean && (!ended.open || Box::pin(self.reset()).await);
        let reusable = tidy && self.wire.is_quiet().unwrap_or(false);
        self.busy = !reusable;
        Outcome { recipients: ended.recipients, end: ended.end, reusable }
    }

    fn bdat(&self) -> bool {
        self.offers.chunking && self.chunking
    }

    /// What the server would have to offer for this mail, and does not. Worded as the server would have.
    fn cannot_carry(&self, mail: &Outgoing<'_>) -> Option<Reply> {
        let no = |code, enhanced, text: &str| Some(Reply::new(Stage::Mail, code, Some(enhanced), text));
        let mut addresses = mail.recipients.iter().chain([mail.from]).map(Address::reveal);
        let has_control = |address: &str| match address.is_ascii() {
            true => address.bytes().any(|byte| byte.is_ascii_control()),
            false => address.contains(char::is_control),
        };
        if addresses.any(has_control) {
            return no(553, Enhanced(5, 1, 3), "an address holds control characters (Postroom did not ask)");
        }
        if needs_smtputf8(mail) && !self.offers.smtputf8 {
            return no(550, Enhanced(5, 6, 7), "the server does not offer SMTPUTF8 (Postroom did not ask)");
        }
        if !mail.bytes.is_ascii() && !self.offers.eight_bit {
            return no(554, Enhanced(5, 6, 3), "the server does not offer 8BITMIME (Postroom did not ask)");
        }
        None
    }

    /// What the server said while nobody asked: as a rule, that it closes. Nothing of the mail has been sent yet.
    async fn said_while_idle(&mut self, is_open: bool) -> End {
        let closed = || lost(Stage::Mail, Silence::Closed, "the server had closed the connection");
        if !is_open {
            return closed();
        }
        let Some(unasked) = self.exchange(Flight::commands(b""), &[Stage::Mail]).await.last() else { return closed() };
        match unasked.code() {
            Some(400..) => End::Refused(unasked),
            Some(_) => lost(Stage::Mail, Silence::Garbage, "the server spoke unasked"),
            None => End::Lost(unasked),
        }
    }

    fn mail_line(&self, mail: &Outgoing<'_>) -> String {
        let mut line = format!("MAIL FROM:<{}>", mail.from.reveal());
        if self.offers.size {
            let _ = write!(line, " SIZE={}", mail.bytes.len());
        }
        if !mail.bytes.is_ascii() {
            line.push_str(" BODY=8BITMIME");
        }
        if needs_smtputf8(mail) {
            line.push_str(" SMTPUTF8");
        }
        line.push_str("\r\n");
        line
    }

    /// `MAIL`, every `RCPT` and `BDAT … LAST` with the bytes, then all the replies.
    async fn one_flight(&mut self, mail: &Outgoing<'_>) -> Ended {
        let mut commands = self.mail_line(mail);
        let mut stages = vec![Stage::Mail];
        for recipient in mail.recipients {
            let _ = write!(commands, "RCPT TO:<{}>\r\n", recipient.reveal());
            stages.push(Stage::Rcpt);
        }
        let _ = write!(commands, "BDAT {} LAST\r\n", mail.bytes.len());
        stages.push(Stage::Final);
        let flight = Flight { commands: commands.as_bytes(), body: Body::AsIs(mail.bytes), secret: false };
        let Exchange { replies, sent } = self.exchange(flight, &stages).await;
        let mut tally = Tally::new(mail.recipients.len());
        let mut last = None;
        for reply in replies {
            if reply.stage == Stage::Final || reply.code().is_none() {
                last = Some(reply);
            } else {
                tally.take(reply);
            }
        }
        let answered = last.as_ref().is_some_and(|reply| reply.code().is_some());
        let taken = last.as_ref().is_some_and(|reply| reply.code() == Some(250));
        let clean = answered && sent && !tally.is_odd && tally.closing.is_none();
        if let Some(refused) = tally.mail_refused.take() {
            return Ended {
                end: End::Refused(refused),
                clean: clean && !taken,
                open: true,
                recipients: tally.recipients,
            };
        }
        if tally.is_everyone_refused() {
            return Ended { end: End::NoRecipient, clean: clean && !taken, open: true, recipients: tally.recipients };
        }
        let end = match (tally.closing.take(), answered) {
            (Some(closing), false) => End::Refused(closing),
            (Some(_) | None, _) => end_of_content(last, sent),
        };
        let (is_over, accepted) = (ends_connection(&end), matches!(end, End::Accepted(_)));
        Ended { recipients: tally.recipients, clean: clean && !is_over, open: !accepted, end }
    }

    /// The envelope; then the bytes, for those who were not refused.
    async fn envelope_first(&mut self, mail: &Outgoing<'_>) -> Ended {
        match self.envelope(mail).await {
            Ok(envelope) => self.content(mail, envelope).await,
            Err(ended) => ended,
        }
    }

    /// The envelope, in one flight or step by step.
    async fn envelope(&mut self, mail: &Outgoing<'_>) -> Result<Envelope, Ended> {
        let mut steps = vec![(Stage::Mail, self.mail_line(mail))];
        steps.extend(mail.recipients.iter().map(|to| (Stage::Rcpt, format!("RCPT TO:<{}>\r\n", to.reveal()))));
        if !self.bdat() {
            steps.push((Stage::Data, "DATA\r\n".to_owned()));
        }
        let mut tally = Tally::new(mail.recipients.len());
        let mut data = None;
        let mut silent = None;
        let at_once = if self.offers.pipelining { steps.len() } else { 1 };
        for flight in steps.chunks(at_once) {
            let stages: Vec<_> = flight.iter().map(|(stage, _)| *stage).collect();
            if stages == [Stage::Data] && tally.is_everyone_refused() {
                break;
            }
            let commands: String = flight.iter().map(|(_, line)| line.as_str()).collect();
            for reply in self.exchange(Flight::commands(commands.as_bytes()), &stages).await.replies {
                match (reply.code(), reply.stage) {
                    (None, _) => silent = Some(reply),
                    (Some(_), Stage::Data) => data = Some(reply),
                    (Some(_), _) => tally.take(reply),
                }
            }
            if silent.is_some() || tally.mail_refused.is_some() || tally.closing.is_some() {
                break;
            }
        }
        self.after_envelope(tally, data, silent).await
    }

    async fn after_envelope(
        &mut self,
        mut tally: Tally,
        data: Option<Reply>,
        silent: Option<Reply>,
    ) -> Result<Envelope, Ended> {
        let refused = tally.mail_refused.take().map(End::Refused);
        let nobody = tally.is_everyone_refused().then_some(End::NoRecipient);
        let closing = tally.closing.clone().map(End::Refused);
        let mut clean = silent.is_none() && tally.closing.is_none() && !tally.is_odd;
        let (recipients, open) = (tally.recipients, tally.mail_accepted);
        if let Some(end) = refused.or(nobody).or(closing) {
            if clean && data.is_some_and(|reply| reply.code() == Some(354)) {
                // The server awaits bytes that nobody is to get: end them at once, and do not trust it further.
                self.data_timeout = self.data_timeout.min(TIDY_WITHIN);
                self.command(".\r\n", Stage::Final).await;
                clean = false;
            }
            return Err(Ended { recipients, end, clean, open });
        }
        if let Some(silent) = silent {
            return Err(Ended { recipients, end: End::Lost(silent), clean: false, open });
        }
        if !self.bdat() {
            match data {
                Some(reply) if reply.code() == Some(354) => {}
                Some(reply) if reply.code() >= Some(400) => {
                    let clean = clean && reply.code() != Some(421);
                    return Err(Ended { recipients, end: End::Refused(reply), clean, open });
                }
                Some(_) | None => {
                    let end = lost(Stage::Data, Silence::Garbage, "neither 354 nor a refusal in answer to DATA");
                    return Err(Ended { recipients, end, clean: false, open });
                }
            }
        }
        Ok(Envelope { recipients, clean })
    }

    async fn content(&mut self, mail: &Outgoing<'_>, envelope: Envelope) -> Ended {
        let Envelope { recipients, clean } = envelope;
        let commands = if self.bdat() { format!("BDAT {} LAST\r\n", mail.bytes.len()) } else { String::new() };
        let body = if self.bdat() { Body::AsIs(mail.bytes) } else { Body::Stuffed(mail.bytes) };
        let flight = Flight { commands: commands.as_bytes(), body, secret: false };
        let exchange = self.exchange(flight, &[Stage::Final]).await;
        let sent = exchange.sent;
        let end = end_of_content(exchange.last(), sent);
        let clean = clean && sent && !ends_connection(&end);
        let open = self.bdat() && matches!(end, End::Refused(_));
        Ended { recipients, end, clean, open }
    }

    /// Ends a transaction that may still be open, and proves that the dialogue is in step.
    async fn reset(&mut self) -> bool {
        let usual = self.command_timeout;
        self.command_timeout = usual.min(TIDY_WITHIN);
        let steps = std::mem::take(&mut self.steps);
        let reply = self.command("RSET\r\n", Stage::Mail).await;
        self.steps = steps;
        self.command_timeout = usual;
        reply.code() == Some(250)
    }
}

fn needs_smtputf8(mail: &Outgoing<'_>) -> bool {
    mail.smtputf8 || mail.recipients.iter().chain([mail.from]).any(|address| !address.reveal().is_ascii())
}

fn lost(stage: Stage, how: Silence, what: &str) -> End {
    End::Lost(Reply::silence(stage, how, what))
}

/// What the reply to the bytes means for the mail. If not all of them left, the server cannot have taken it.
fn end_of_content(reply: Option<Reply>, sent: bool) -> End {
    let stage = if sent { Stage::Final } else { Stage::Data };
    let Some(reply) = reply else { return lost(stage, Silence::Closed, "no reply to the mail") };
    match reply.said {
        Said::Silence { .. } => End::Lost(Reply { stage, ..reply }),
        Said::Reply { code: 250, .. } if sent => End::Accepted(reply),
        Said::Reply { code: 400.., .. } => End::Refused(Reply { stage, ..reply }),
        Said::Reply { .. } => lost(
            stage,
            Silence::Garbage,
            &format!("neither 250 nor a refusal in answer to the mail: {}", reply.words()),
        ),
    }
}

/// Whether nothing more can be said on the connection after this end.
fn ends_connection(end: &End) -> bool {
    match end {
        End::Lost(_) => true,
        End::Refused(reply) => reply.code() == Some(421),
        End::Accepted(_) | End::NoRecipient => false,
    }
}
