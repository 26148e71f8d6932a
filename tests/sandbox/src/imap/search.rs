//! SEARCH, as far as it asks for a Message-ID: by the header, or in Gmail's own query language.

use crate::store::Sent;

/// What is searched for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `HEADER Message-ID`: the header contains this, capitals or not.
    Header(String),
    /// `X-GM-RAW rfc822msgid:`: the Message-ID is this.
    Gmail(String),
}

impl Wanted {
    /// `None` if the sandbox does not know such a search.
    pub(super) fn parse(arguments: &[String], gmail: bool) -> Option<Self> {
        match arguments {
            [key, field, text] if key.eq_ignore_ascii_case("HEADER") && field.eq_ignore_ascii_case("Message-ID") => {
                Some(Self::Header(text.to_ascii_lowercase()))
            }
            [key, query] if gmail && key.eq_ignore_ascii_case("X-GM-RAW") => {
                Some(Self::Gmail(bare(query.strip_prefix("rfc822msgid:")?).to_owned()))
            }
            _ => None,
        }
    }

    pub(super) fn fits(&self, mail: &Sent) -> bool {
        let id = mail.message_id.as_deref().unwrap_or_default();
        match self {
            Self::Header(part) => id.to_ascii_lowercase().contains(part.as_str()),
            Self::Gmail(wanted) => bare(id) == wanted,
        }
    }

    /// The Message-ID with its angle brackets: what "each mail" means to a fault.
    pub(super) fn message_id(&self) -> String {
        let (Self::Header(id) | Self::Gmail(id)) = self;
        format!("<{}>", bare(id))
    }
}

fn bare(id: &str) -> &str {
    id.trim_start_matches('<').trim_end_matches('>')
}
