//! Which of an account's mailboxes is Sent: the one that the server marks so (RFC 6154), whatever its language, else by name.

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

/// Names without a mark, the likeliest first.
const NAMES: [&str; 5] = ["[Gmail]/Sent Mail", "Sent", "Sent Mail", "Sent Items", "INBOX.Sent"];
/// Some servers mark two (Debian's Dovecot does); more would be no help.
const MOST: usize = 3;

/// What was listed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    marked: Vec<String>,
    names: Vec<String>,
}

impl Listing {
    /// Takes note of a line of the answer to LIST.
    pub(super) fn hear(&mut self, response: &Response<'_>) {
        let Response::MailboxData(MailboxDatum::List(listed)) = response else { return };
        let ghost = NameAttribute::Extension("\\NonExistent".into());
        let cannot_be_opened =
            listed.name_attributes.iter().any(|mark| *mark == NameAttribute::NoSelect || *mark == ghost);
        // A name with a quote may or may not have been unquoted by the parser; nobody calls Sent so.
        if cannot_be_opened || listed.name.contains(['"', '\\']) || listed.name.contains(char::is_control) {
            return;
        }
        if listed.name_attributes.contains(&NameAttribute::Sent) {
            self.marked.push(listed.name.to_string());
        } else if NAMES.iter().any(|name| name.eq_ignore_ascii_case(&listed.name)) {
            self.names.push(listed.name.to_string());
        }
    }

    /// The mailboxes to search: all that are marked, else the one with the likeliest name.
    pub(super) fn sent(mut self) -> Vec<String> {
        if !self.marked.is_empty() {
            self.marked.truncate(MOST);
            return self.marked;
        }
        let named = |wanted: &&str| self.names.iter().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
        NAMES.iter().find_map(named).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lines: &[&str]) -> Vec<String> {
        let mut listing = Listing::default();
        for line in lines {
            let line = format!("* LIST {line}\r\n");
            listing.hear(&Response::parse(line.as_bytes()).unwrap().1);
        }
        listing.sent()
    }

    #[test]
    fn the_mark_wins_whatever_the_language() {
        let gmail = [
            r#"(\HasNoChildren) "/" "INBOX""#,
            r#"(\HasNoChildren) "/" "Sent""#,
            r#"(\HasChildren \Noselect) "/" "[Gmail]""#,
            r#"(\All \HasNoChildren) "/" "[Gmail]/Alle Nachrichten""#,
            r#"(\HasNoChildren \Sent) "/" "[Gmail]/Gesendet &APw-""#,
        ];
        assert_eq!(sent(&gmail), ["[Gmail]/Gesendet &APw-"]);
        let two = [r#"(\Sent) "." Sent"#, r#"(\Sent) "." "Sent Messages""#];
        assert_eq!(sent(&two), ["Sent", "Sent Messages"]);
    }

    #[test]
    fn without_a_mark_the_likeliest_name_is_taken() {
        for (lines, expected) in [
            (&[r#"() "/" "Sent Items""#, r#"() "/" sent"#][..], &["sent"][..]),
            (&[r#"() "." INBOX.Sent"#, r#"() "." INBOX"#], &["INBOX.Sent"]),
            (&[r#"(\Noselect) "/" "Sent""#, r#"(\NonExistent) "/" "Sent Mail""#], &[]),
            (&[r#"(\Noselect \Sent) "/" "Sent""#], &[]),
            (&[], &[]),
        ] {
            assert_eq!(sent(lines), expected, "{lines:?}");
        }
    }
}
