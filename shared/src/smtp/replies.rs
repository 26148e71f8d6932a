//! From what lettre read to our [`Reply`]: code, enhanced code and text, or how the server fell silent.

use std::error::Error as _;
use std::io;

use crate::reply::{Enhanced, Reply, Silence, Stage};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;

use super::stream::Wire;
use crate::dial::DialError;

/// The reply to what was said at a stage.
pub(super) fn heard(stage: Stage, read: Result<Response, Error>, wire: &Wire) -> Reply {
    let error = match read {
        Ok(response) => {
            let lines: Vec<_> = response.message().collect();
            return reply(stage, response.code().into(), &lines);
        }
        Err(error) => error,
    };
    let text = error.source().map(ToString::to_string).unwrap_or_default();
    if let Some(code) = error.status() {
        return reply(stage, code.into(), &[&text]);
    }
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return silence_of(stage, error);
    }
    if wire.has_ended() {
        return Reply::silence(stage, Silence::Closed, "the server closed the connection");
    }
    Reply::silence(stage, Silence::Garbage, format!("not an SMTP reply: {text}"))
}

/// A reply of lines that have lost their code. The enhanced code of the first line is taken off all that repeat it.
fn reply(stage: Stage, code: u16, lines: &[&str]) -> Reply {
    let first = lines.first().copied().unwrap_or_default();
    let (word, _) = first.split_once(' ').unwrap_or((first, ""));
    let Some(enhanced) = enhanced(word, code) else {
        return Reply::new(stage, code, None, joined(lines.iter().copied()));
    };
    let bare = lines.iter().map(|line| match line.strip_prefix(word) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest,
        Some(_) | None => line,
    });
    Reply::new(stage, code, Some(enhanced), joined(bare))
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    text
}

/// `5.7.8`, if it agrees with the code (RFC 2034, section 4).
fn enhanced(word: &str, code: u16) -> Option<Enhanced> {
    let mut parts = word.split('.');
    let mut next = || {
        let part = parts.next()?;
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<u16>().ok() } else { None }
    };
    let (class, subject, detail) = (next()?, next()?, next()?);
    (parts.next().is_none() && class == code / 100 && [2, 4, 5].contains(&class))
        .then(|| Enhanced(u8::try_from(class).unwrap_or_default(), subject, detail))
}

/// How the server fell silent, by the error of the stream.
pub(super) fn silence_of(stage: Stage, error: &io::Error) -> Reply {
    let DialError { how, detail } = DialError::of(error);
    Reply::silence(stage, how, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_enhanced_code_is_taken_from_the_first_line_and_off_the_others() {
        for (code, lines, expected, text) in [
            (250, &["2.0.0 OK", "2.0.0 queued"][..], Some(Enhanced(2, 0, 0)), "OK queued"),
            (
                535,
                &["5.7.8 Username and Password not accepted."],
                Some(Enhanced(5, 7, 8)),
                "Username and Password not accepted.",
            ),
            (550, &["5.7.1 [1.2.3.4] rate", "5.7.10 other"], Some(Enhanced(5, 7, 1)), "[1.2.3.4] rate 5.7.10 other"),
            (550, &["4.7.1 disagrees"], None, "4.7.1 disagrees"),
            (
                250,
                &["smtp.gmail.com at your service", "SIZE 35882577"],
                None,
                "smtp.gmail.com at your service SIZE 35882577",
            ),
            (354, &["3.0.0 go ahead"], None, "3.0.0 go ahead"),
            (421, &["4.7.0"], Some(Enhanced(4, 7, 0)), ""),
            (421, &[], None, ""),
        ] {
            assert_eq!(reply(Stage::Rcpt, code, lines), Reply::new(Stage::Rcpt, code, expected, text));
        }
    }
}
