//! What the server's answers mean: offers, the end of a command, a refusal, an end of the connection. Pure.

use std::io;

use async_imap::imap_proto::{Capability, Outcome, Response, ResponseCode, Status};
use postroom_shared::reply::Silence;

use super::SentError;
use postroom_shared::dial::DialError;

/// Words by which a server says that it is not the token (RFC 5530).
const NOT_THE_TOKEN: [&str; 4] = ["[UNAVAILABLE]", "[LIMIT]", "[INUSE]", "[SERVERBUG]"];
/// Words by which it says that it is.
const THE_TOKEN: [&str; 3] = ["[AUTHENTICATIONFAILED]", "[AUTHORIZATIONFAILED]", "[EXPIRED]"];

/// What the server offers, as far as it matters here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offers {
    pub(super) xoauth2: bool,
    pub(super) sasl_ir: bool,
    pub(super) gmail: bool,
}

/// The response that was read. Its type has no name outside async-imap.
pub(super) fn heard<R>(read: io::Result<Option<R>>) -> Result<R, SentError> {
    match read {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(SentError::silent(Silence::Closed, "the server closed the connection")),
        Err(error) => Err(broken(&error)),
    }
}

pub(super) fn note_offers(response: &Response<'_>, offers: &mut Option<Offers>) {
    let capabilities = if let Response::Capabilities(capabilities) = response {
        capabilities
    } else if let Response::Done { outcome, .. } | Response::Data { outcome, .. } = response
        && let Some(ResponseCode::Capabilities(capabilities)) = &outcome.code
    {
        capabilities
    } else {
        return;
    };
    let atom = |wanted: &str| {
        let is = |capability: &Capability<'_>| matches!(capability, Capability::Atom(name) if name.eq_ignore_ascii_case(wanted));
        capabilities.iter().any(is)
    };
    let xoauth2 = |capability: &Capability<'_>| matches!(capability, Capability::Auth(name) if name.eq_ignore_ascii_case("XOAUTH2"));
    *offers =
        Some(Offers { xoauth2: capabilities.iter().any(xoauth2), sasl_ir: atom("SASL-IR"), gmail: atom("X-GM-EXT-1") });
}

/// Too many connections, a server that is down, an alert: another token would change nothing. A challenge in answer to the
/// token, or the word for it, is about the token.
pub(super) fn login_error(status: &Status, outcome: &Outcome<'_>, challenged: bool) -> SentError {
    let text = words(outcome);
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if *status == Status::No && !says(&NOT_THE_TOKEN) && (challenged || says(&THE_TOKEN)) {
        SentError::login(&text)
    } else {
        SentError::refused("AUTHENTICATE", &text)
    }
}

pub(super) fn end_at_bye(response: &Response<'_>) -> Result<(), SentError> {
    if let Response::Data { status: Status::Bye, outcome } = response {
        return Err(SentError::silent(Silence::Closed, &format!("BYE {}", words(outcome))));
    }
    Ok(())
}

/// Status and text, if this is the end of the command with this tag.
pub(super) fn done<'r>(response: &'r Response<'_>, own: &str) -> Option<(&'r Status, &'r Outcome<'r>)> {
    if let Response::Done { tag, status, outcome } = response {
        (tag.0 == own).then_some((status, outcome))
    } else {
        None
    }
}

pub(super) fn words(outcome: &Outcome<'_>) -> String {
    let text = outcome.information.as_deref().unwrap_or("no text");
    if outcome.code == Some(ResponseCode::Alert) { format!("[ALERT] {text}") } else { text.to_owned() }
}

pub(super) fn late() -> SentError {
    SentError::silent(Silence::Timeout, "no answer within the time limit")
}

/// async-imap repeats in its text what it cannot parse: that stays here.
pub(super) fn broken(error: &io::Error) -> SentError {
    if error.kind() == io::ErrorKind::Other {
        return SentError::silent(Silence::Garbage, "not an IMAP answer");
    }
    let DialError { how, detail } = DialError::of(error);
    SentError::silent(how, &detail)
}
