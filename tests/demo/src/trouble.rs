//! What goes wrong on purpose: the faults of the stand-in, and how often each must have come.

use postroom_sandbox::{Action, Fault, Sandbox, Stage};

use crate::kinds::{BUSY, GREYLISTED, HANGS_UP, NOBODY, TIRED};

/// How often a busy server asks to come back.
const TWICE: u64 = 2;

/// Temporary refusals: each of them is a retry of ours.
fn temporary() -> [Fault; 4] {
    [
        Fault::new(Stage::Final, Action::reply("451 4.3.0 Mail server temporarily rejected message. - gsmtp"))
            .recipient(BUSY)
            .per_mail_times(TWICE),
        Fault::new(Stage::Final, Action::reply("421 4.7.0 Try again later, closing connection. - gsmtp"))
            .recipient(HANGS_UP)
            .per_mail_times(1),
        Fault::new(Stage::Rcpt, Action::reply("421 4.7.0 Try again later, closing connection. - gsmtp"))
            .recipient(TIRED)
            .per_mail_times(1),
        Fault::new(Stage::Rcpt, Action::reply("450 4.3.2 Not now, try again later. - gsmtp"))
            .recipient(GREYLISTED)
            .per_mail_times(1),
    ]
}

/// Puts all faults in force.
pub(crate) fn prepare(sandbox: &Sandbox) -> anyhow::Result<()> {
    for fault in temporary() {
        sandbox.add_fault(fault)?;
    }
    let gone = "550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 Please check the address. - gsmtp";
    sandbox.add_fault(Fault::new(Stage::Rcpt, Action::reply(gone)).recipient(NOBODY))?;
    Ok(())
}

/// How often the server refused: for now, and for good.
pub(crate) fn refusals(sandbox: &Sandbox) -> (u64, u64) {
    let (good, now): (Vec<_>, Vec<_>) =
        sandbox.faults().into_iter().partition(|view| view.fault.recipient.as_deref() == Some(NOBODY));
    let fired = |views: Vec<postroom_sandbox::FaultView>| views.iter().map(|view| view.fired).sum();
    (fired(now), fired(good))
}
