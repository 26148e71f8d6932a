//! Mailboxes as people write them: `a@b.example` or `Name <a@b.example>`, one or several, separated by commas.
//!
//! International domains become ASCII here, once, so that the wire never sees another form. Faults never repeat
//! what was given.

use std::fmt;

use crate::address::Address;

/// The longest name of a mailbox, in bytes.
const MAX_NAME: usize = 1_000;
/// Bytes of a list of mailboxes that are looked at; far above what a mail may have.
pub(super) const MAX_LIST: usize = 256 << 10;

/// An address with the name that a mail program shows for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The name; `None`: the address alone.
    pub name: Option<String>,
    /// The address; its domain is ASCII.
    pub address: Address,
}

/// Without the name: it belongs to a person.
impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.address)
    }
}

/// The mailboxes in `text`, each by itself; an error says what is wrong with one and what to write.
pub(super) fn parse_list(text: &str) -> Vec<Result<Mailbox, String>> {
    if text.len() > MAX_LIST {
        return vec![Err("too long a list: split it over several mails".to_owned())];
    }
    if text.chars().any(char::is_control) {
        return vec![Err(CONTROL.to_owned())];
    }
    split_list(text).into_iter().map(str::trim).filter(|part| !part.is_empty()).map(parse_one).collect()
}

const CONTROL: &str = "holds a line end or another control character: remove it";

/// An address whose domain, if international, was turned into ASCII.
pub(super) fn parse_address(text: &str) -> Result<Address, String> {
    if text.chars().any(char::is_control) {
        return Err(CONTROL.to_owned());
    }
    let (local, domain) = text.trim().rsplit_once('@').ok_or("not a mail address: it has no @")?;
    let parsed = if domain.is_ascii() { text.trim().parse() } else { format!("{local}@{}", ascii(domain)?).parse() };
    parsed.map_err(|error: crate::address::AddressError| format!("{error}: write a@b.example or Name <a@b.example>"))
}

/// The form of an international domain that DNS and SMTP know (lettre checks that one exists, but keeps the other).
fn ascii(domain: &str) -> Result<String, String> {
    let error = || "not a mail address: its domain has no ASCII form (IDNA)".to_owned();
    if domain.contains('%') {
        return Err(error());
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) => Ok(ascii),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) | Err(_) => Err(error()),
    }
}

/// The parts of `text` between commas that stand neither in quotes nor in angle brackets.
fn split_list(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut angle = false;
    for (at, c) in unquoted(text) {
        match c {
            '<' => angle = true,
            '>' => angle = false,
            ',' if !angle => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The characters of `text` outside of quoted strings, with their places.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quoted = false;
    let mut escaped = false;
    text.char_indices().filter(move |(_, c)| {
        let was_quoted = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !was_quoted && *c != '"'
    })
}

fn parse_one(part: &str) -> Result<Mailbox, String> {
    let Some((at, _)) = unquoted(part).find(|(_, c)| *c == '<') else {
        return Ok(Mailbox { name: None, address: parse_address(part)? });
    };
    let inside = part[at + 1..].strip_suffix('>').ok_or("a < without a > at the end: write Name <a@b.example>")?;
    Ok(Mailbox { name: parse_name(&part[..at])?, address: parse_address(inside)? })
}

/// The name before the angle bracket, without its quotes; blanks around it mean nothing.
fn parse_name(text: &str) -> Result<Option<String>, String> {
    let mut name = String::with_capacity(text.len());
    let mut quoted = false;
    let mut chars = text.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => name.extend(chars.next()),
            _ => name.push(c),
        }
    }
    if quoted {
        return Err("a quote in the name is not closed: write \"Name\" <a@b.example>".to_owned());
    }
    clean_name(&name)
}

/// A name without blanks around it; `None` if nothing is left.
pub(super) fn clean_name(name: &str) -> Result<Option<String>, String> {
    if name.chars().any(char::is_control) {
        return Err(CONTROL.to_owned());
    }
    if name.len() > MAX_NAME {
        return Err(format!("the name is {} bytes long: {MAX_NAME} at most", name.len()));
    }
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        parse_list(text)
            .into_iter()
            .map(|mailbox| match mailbox {
                Ok(Mailbox { name, address }) => format!("{}|{}", name.unwrap_or_default(), address.reveal()),
                Err(error) => format!("! {}", error.split(':').next().unwrap()),
            })
            .collect()
    }

    #[test]
    fn mailboxes_as_people_write_them() {
        let table: &[(&str, &[&str])] = &[
            ("a@b.example", &["|a@b.example"]),
            ("  Ann <a@b.example> ", &["Ann|a@b.example"]),
            ("<a@b.example>", &["|a@b.example"]),
            ("\"Doe, \\\"J\\\" <x>\" <a@b.example>, c@d.example", &["Doe, \"J\" <x>|a@b.example", "|c@d.example"]),
            ("Jörg Müller <j@b.example>", &["Jörg Müller|j@b.example"]),
            (
                "a@bücher.example, B <b@Παράδειγμα.example>",
                &["|a@xn--bcher-kva.example", "B|b@xn--hxajbheg2az3al.example"],
            ),
            ("jörg@bücher.example", &["|jörg@xn--bcher-kva.example"]),
            ("\"a b\"@c.example", &["|\"a b\"@c.example"]),
            ("\"a,b\"@c.example,", &["|\"a,b\"@c.example"]),
            ("", &[]),
            (" , ", &[]),
            ("Doe, J <a@b.example>", &["! not a mail address", "J|a@b.example"]),
            ("a@b.example c@d.example", &["! not a mail address"]),
            ("Ann <a@b.example", &["! a < without a > at the end"]),
            ("Ann <a@b.example> x", &["! a < without a > at the end"]),
            ("\"Ann <a@b.example>", &["! not a mail address"]),
            ("Ann <a@b.example>\r\nBcc: x@y.example", &["! holds a line end or another control character"]),
            ("a\0@b.example", &["! holds a line end or another control character"]),
            ("a@ü%41.example", &["! not a mail address"]),
            ("a@１.１.１.１", &["! not a mail address"]),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), *expected, "{text:?}");
        }
    }
}
