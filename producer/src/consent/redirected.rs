//! What the browser brought back: the address to which the consent page sent it, taken apart.

use std::fmt;

use secrecy::SecretString;
use url::Url;

/// The answer to a login.
#[derive(Clone)]
pub struct Redirected {
    pub(super) state: String,
    pub(super) answer: Answer,
}

#[derive(Clone)]
pub(super) enum Answer {
    /// A code to exchange for tokens.
    Code(SecretString),
    /// The consent page's word for what it was instead.
    Refused(String),
}

impl fmt::Debug for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redirected(***)")
    }
}

impl Redirected {
    /// Reads a whole address, as it stands in a browser's address bar, or path and query only. Nothing if it is no answer:
    /// it has neither code nor error, or no state.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let base = Url::parse("http://127.0.0.1").ok()?;
        let url = Url::options().base_url(Some(&base)).parse(text.trim()).ok()?;
        let find = |wanted: &str| {
            url.query_pairs()
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.into_owned())
        };
        let answer = match (find("error"), find("code")) {
            (Some(word), _) => Answer::Refused(word),
            (None, Some(code)) => Answer::Code(code.into()),
            (None, None) => return None,
        };
        Some(Self { state: find("state")?, answer })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        Redirected::parse(text).map(|read| match read.answer {
            Answer::Code(code) => (read.state, format!("code {}", code.expose_secret())),
            Answer::Refused(word) => (read.state, format!("error {word}")),
        })
    }

    #[test]
    fn answers_are_read_from_addresses_and_paths() {
        for (text, state, answer) in [
            (" http://127.0.0.1:4711/?state=s%2B1&code=4%2F0Ab&scope=https://mail.google.com/\n", "s+1", "code 4/0Ab"),
            ("/?code=4/0Ab&state=s", "s", "code 4/0Ab"),
            ("http://localhost:4711/?error=access_denied&state=s#", "s", "error access_denied"),
            ("https://mail.example.com/accounts/callback?code=c&state=s", "s", "code c"),
        ] {
            assert_eq!(read(text), Some((state.to_owned(), answer.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_apart() {
        for text in ["", "/", "4/0Ab", "http://127.0.0.1:4711/?code=4", "/?state=s", "/?code=&state=s", "http://"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn it_prints_nothing() {
        let read = Redirected::parse("/?code=secret&state=hidden").unwrap();
        assert_eq!(format!("{read:?}"), "Redirected(***)");
    }
}
