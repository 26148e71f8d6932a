//! A Message-ID as a search command. What could leave its quotes is refused, not repaired.

use super::SentError;

/// RFC 5322 allows no longer line.
const LONGEST: usize = 998;

/// A Message-ID that can be searched for, with its angle brackets.
#[derive(Debug)]
pub(super) struct Query(String);

impl Query {
    pub(super) fn new(message_id: &str) -> Result<Self, SentError> {
        let has_form = message_id.len() > 2 && message_id.starts_with('<') && message_id.ends_with('>');
        let is_printable = message_id.bytes().all(|byte| byte.is_ascii_graphic());
        if has_form && is_printable && message_id.len() <= LONGEST {
            Ok(Self(message_id.to_owned()))
        } else {
            Err(SentError::MessageId)
        }
    }

    /// The command: Gmail's own index where it is offered and the id means nothing else in its query language, else the
    /// header. The header is compared with the brackets, so that no longer id matches.
    pub(super) fn command(&self, gmail: bool) -> String {
        let bare = &self.0[1..self.0.len() - 1];
        if gmail && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.-_+=$%".contains(&byte)) {
            return format!("UID SEARCH X-GM-RAW \"rfc822msgid:{bare}\"");
        }
        format!("UID SEARCH HEADER Message-ID {}", quoted(&self.0))
    }
}

/// An IMAP quoted string. The caller has made sure that there is no control character.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_quoted_and_gmails_language_gets_only_plain_ones() {
        for (id, gmail, command) in [
            ("<1@x.example>", true, r#"UID SEARCH X-GM-RAW "rfc822msgid:1@x.example""#),
            ("<1@x.example>", false, r#"UID SEARCH HEADER Message-ID "<1@x.example>""#),
            ("<a{b}@x>", true, r#"UID SEARCH HEADER Message-ID "<a{b}@x>""#),
            (r#"<"a\b"@x>"#, true, r#"UID SEARCH HEADER Message-ID "<\"a\\b\"@x>""#),
        ] {
            assert_eq!(Query::new(id).unwrap().command(gmail), command);
        }
    }

    #[test]
    fn what_cannot_be_searched_for_is_refused() {
        let long = format!("<{}@x>", "a".repeat(998));
        for id in ["", "<>", "1@x", "<1@x", "<1 2@x>", "<1@x>\r\nA1 DELETE Sent", "<1\0@x>", "<ü@x>", &long] {
            assert_eq!(Query::new(id).unwrap_err(), SentError::MessageId, "{id:?}");
        }
    }
}
