//! `postroom account login`: a person's consent in a browser, asked for from a terminal.
//!
//! What is done lies in `postroom::consent`; this is what the person sees. No code, token or secret is ever printed.

use std::fs;
use std::io::BufRead as _;
use std::path::Path;
use std::thread;

use postroom::consent::{self, ConsentError, Flow, Loopback, NotStored, Pending, Redirected, Stored, Visit};
use postroom::settings::{ClientSettings, LoginSettings};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::tokens::Sealer;
use postroom_shared::tokens::consent::OAuthClient;
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Login, add};
use crate::cli::output::complain;
use crate::cli::{Context, Failure, prompt};

/// Lines that are read ahead of their use.
const LINES_AHEAD: usize = 4;

pub(super) async fn run(login: Login, context: &mut Context) -> Result<(), Failure> {
    // All that can be wrong is found before the person is bothered.
    let sealer = Sealer::from_settings(&context.settings.tokens)?;
    let LoginSettings { consent, tls, smtp, client } = LoginSettings::from_process()?;
    let client = match &login.client {
        Some(file) => client_in(file)?,
        None => client_of(client)?,
    };
    let flow = Flow::new(&consent, &context.settings.tokens, &tls, smtp)?;
    let loopback = Loopback::bind(login.port.unwrap_or(0)).await?;
    let pending = flow.start(client, &login.which.id, &loopback.redirect())?;
    let mut answers = invite(&login, &pending, loopback).await;

    let deadline = Instant::now() + login.timeout;
    let mut warned = false;
    loop {
        let (redirected, visit) =
            timeout_at(deadline, answers.next()).await.map_err(|_| ConsentError::TimedOut(login.timeout))?;
        let stored = match flow.finish(&pending, &redirected).await {
            Err(ConsentError::StateMismatch) => {
                // Any page may send the browser here, so it must not end what the person is about to do.
                if !std::mem::replace(&mut warned, true) {
                    complain(format!("postroom: {}", ConsentError::StateMismatch));
                }
                if let Some(visit) = visit {
                    visit.turn_away().await;
                }
                continue;
            }
            Err(error) => Err(error.to_string()),
            Ok(checked) => {
                let stored = consent::store(context.queue(), &sealer, &checked, login.kind).await;
                stored.map_err(|error: NotStored| error.to_string())
            }
        };
        if let Some(visit) = visit {
            visit.answer(stored.as_ref().map(drop).map_err(String::as_str)).await;
        }
        let stored = stored.map_err(Failure::Failed)?;
        context.note(Action::AccountLogin, Subject::Account(login.which.id.clone())).await;
        return tell(stored, context);
    }
}

fn tell(stored: Stored, context: &mut Context) -> Result<(), Failure> {
    match stored {
        Stored::Added(account) => add::told(&account, "added: Gmail has taken its login", context),
        Stored::Renewed(account) => add::told(&account, "renewed: Gmail has taken its login", context),
        Stored::Resumed(account) => {
            add::told(&account, "renewed, and its hold ended: Gmail has taken its login", context)
        }
    }
}

/// The ways on which an answer may come: the browser itself, or the person who pastes where it was sent.
struct Answers {
    loopback: Loopback,
    pasted: Option<mpsc::Receiver<String>>,
}

impl Answers {
    async fn next(&mut self) -> (Redirected, Option<Visit>) {
        loop {
            let line = tokio::select! {
                visit = self.loopback.next() => return (visit.redirected.clone(), Some(visit)),
                line = next_line(&mut self.pasted) => line,
            };
            match Redirected::parse(&line) {
                Some(redirected) => return (redirected, None),
                None if line.trim().is_empty() => {}
                None => complain(format!(
                    "postroom: that is not the address to which the browser was sent: copy the whole of it from the \
                     address bar; it begins with {}/ and holds `state=` and `code=` or `error=`. Address:",
                    self.loopback.redirect()
                )),
            }
        }
    }
}

/// The next line that was typed; never if nobody can type any more.
async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(typed) = lines {
        if let Some(line) = typed.recv().await {
            return line;
        }
        *lines = None;
    }
    std::future::pending().await
}

/// Leads the person to the consent page.
async fn invite(login: &Login, pending: &Pending, loopback: Loopback) -> Answers {
    let (url, within) = (pending.url().to_string(), consent::spelt(login.timeout));
    if !login.no_browser {
        let opened = tokio::task::spawn_blocking({
            let url = url.clone();
            move || open::that_detached(url)
        });
        if matches!(opened.await, Ok(Ok(()))) {
            complain(format!(
                "A browser opens: consent there as the account that you named. If none opens, open this address on this \
                 machine:\n\n  {url}\n\nWaiting for at most {within}; Ctrl-C ends it."
            ));
            return Answers { loopback, pasted: None };
        }
        complain("No browser could be opened here.");
    }
    let (port, redirect) = (loopback.port(), loopback.redirect());
    complain(format!(
        "Open this address in a browser, on any machine, and consent there as the account that you named:\n\n  {url}\n\n\
         The browser is then sent to {redirect}. If it runs on another machine than this command, either\n\
         \x20 - forward that port before you consent; on the browser's machine:\n\
         \x20     ssh -L {port}:127.0.0.1:{port} HOST       (HOST: where this command runs; --port chooses the port)\n\
         \x20 - or let the browser fail to show that page, copy the whole address from its address bar and paste it here.\n\n\
         Waiting for at most {within}; Ctrl-C ends it. Address:"
    ));
    Answers { loopback, pasted: Some(typed_lines()) }
}

/// Lines from standard input, by a thread of its own: one that still reads does not keep the program from ending.
fn typed_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn client_in(file: &Path) -> Result<OAuthClient, Failure> {
    let read = fs::read_to_string(file).map_err(|error| format!("it cannot be read: {error}"));
    read.and_then(|json| consent::read_client(&json))
        .map_err(|why| Failure::Failed(format!("--client {}: {why}", file.display())))
}

/// Asks for what is not set.
fn client_of(settings: ClientSettings) -> Result<OAuthClient, Failure> {
    let ClientSettings { id, secret } = settings;
    prompt::demand(&[("POSTROOM_CLIENT_ID", id.is_none()), ("POSTROOM_CLIENT_SECRET", secret.is_none())])?;
    let id = match id {
        Some(id) => id.expose_secret().trim().to_owned(),
        None => prompt::word("OAuth2 client id")?,
    };
    let secret = secret.map_or_else(|| prompt::secret("OAuth2 client secret"), Ok)?;
    if id.is_empty() {
        return Err(Failure::failed("a login needs an OAuth2 client: its id may not be empty"));
    }
    Ok(OAuthClient { id, secret })
}

impl From<ConsentError> for Failure {
    fn from(error: ConsentError) -> Self {
        Self::Failed(error.to_string())
    }
}
