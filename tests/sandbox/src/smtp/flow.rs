//! How a connection goes on after a command, and how a scripted fault changes that.
//! Carries faults out; whether one fires is decided in `faults`.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection::Connection;
use crate::faults::{Action, Scene, Stage};

/// What a connection does after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Take the next command.
    Go,
    /// Send what is gathered and close in order.
    Close,
    /// Reset the TCP connection.
    Cut,
}

/// What a fault left of the command that met it.
pub(super) enum Met {
    /// Nothing happened, or no more than a delay.
    Nothing,
    /// The command is refused with this reply.
    Refused(String),
    /// Store the mail, then reset the connection.
    StoreThenCut,
    /// Store the mail, wait, then reply.
    StoreThenWait(Duration),
    /// The connection ends here.
    Ended(Next),
}

impl Connection {
    /// Carries out what is scripted for this stage and this recipient, if anything.
    pub(super) async fn meet(&mut self, stage: Stage, recipients: &[String]) -> io::Result<Met> {
        let scene = Scene {
            account: self.account(),
            from: self.transaction.as_ref().map(|transaction| transaction.from.as_str()),
            recipients,
            ..Scene::default()
        };
        match self.state.faults.meet(stage, &scene) {
            None => Ok(Met::Nothing),
            Some(action) => self.undergo(action).await,
        }
    }

    /// Carries a fault out. Replies to earlier commands of the same flight go out before it.
    pub(super) async fn undergo(&mut self, action: Action) -> io::Result<Met> {
        match action {
            Action::Reply(reply) => Ok(Met::Refused(reply.wire_text())),
            Action::DelayMs(ms) => {
                self.flush().await?;
                self.pause(Duration::from_millis(ms)).await;
                Ok(Met::Nothing)
            }
            Action::Silence => {
                self.flush().await?;
                self.wire.hold().await?;
                Ok(Met::Ended(Next::Cut))
            }
            Action::Cut => {
                self.flush().await?;
                Ok(Met::Ended(Next::Cut))
            }
            Action::AcceptThenCut => Ok(Met::StoreThenCut),
            Action::StoreAndDelayMs(ms) => Ok(Met::StoreThenWait(Duration::from_millis(ms))),
            Action::Garbage(text) => {
                self.wire.reply(&text);
                Ok(Met::Ended(Next::Close))
            }
            // Refused when the rule was made: they belong to the token endpoint and to IMAP.
            Action::Http(_) | Action::No(_) => Ok(Met::Nothing),
        }
    }

    /// A scripted delay. A client that hangs up meanwhile is no longer connected, but what it sent is still dealt with.
    pub(super) async fn pause(&mut self, span: Duration) {
        let over = Instant::now() + span;
        if timeout_at(over, self.wire.hung_up()).await.is_ok() {
            if let Some(session) = &mut self.session {
                session.open.leave();
            }
            sleep_until(over).await;
        }
    }

    /// Refuses a command; 421 ends the connection.
    pub(super) fn refuse(&mut self, reply: &str) -> Next {
        let code = reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default();
        self.state.counters.refused(code);
        self.wire.reply(reply);
        if code == 421 { Next::Close } else { Next::Go }
    }

    /// Sends the replies gathered so far, after the configured latency.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let latency = self.state.settings.latency();
        self.wire.flush(latency).await
    }
}
