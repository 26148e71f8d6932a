//! Asking the person at the terminal: for a word, for a secret (not echoed), for a yes.
//!
//! Nothing is asked if there is no terminal; the caller says what to do instead.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use secrecy::{ExposeSecret as _, SecretString};

use super::Failure;

/// Whether somebody is there to be asked.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Refuses if a setting is missing and nobody is there to be asked for it. Each setting comes with whether it is missing.
pub(super) fn demand(settings: &[(&str, bool)]) -> Result<(), Failure> {
    let missing: Vec<&str> = settings.iter().filter_map(|(name, is_missing)| is_missing.then_some(*name)).collect();
    if missing.is_empty() || is_possible() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::Failed(format!(
        "{missing}: not set, and there is no terminal to ask at: set them, or the same names with _FILE to the paths of \
         files that hold them"
    )))
}

/// Asks for a word, which is echoed.
pub(super) fn word(question: &str) -> Result<String, Failure> {
    let asked = write!(io::stderr().lock(), "{question}: ").and_then(|()| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line.trim().to_owned())
    });
    asked.map_err(unread)
}

/// Asks for a secret, which is not echoed.
pub(super) fn secret(question: &str) -> Result<SecretString, Failure> {
    let answer = SecretString::from(rpassword::prompt_password(format!("{question} (not shown): ")).map_err(unread)?);
    Ok(answer.expose_secret().trim().into())
}

/// Asks whether to go on with `what`; without a terminal it takes `--yes`.
pub(super) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !is_possible() {
        return Err(Failure::Failed(format!("{what}: nothing was done; say --yes to go on")));
    }
    match word(&format!("{what}. Go on? [y/N]"))?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was done")),
    }
}

fn unread(error: io::Error) -> Failure {
    Failure::Failed(format!("the terminal could not be read: {error}"))
}
