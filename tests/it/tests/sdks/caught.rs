//! What the stand-in for Gmail caught, read by a parser that nothing of ours uses.

use mailparse::{MailHeaderMap as _, ParsedMail};
use postroom_it::{PATIENCE, Rig};

/// A mail that arrived.
#[derive(Debug)]
pub struct Caught {
    pub recipients: Vec<String>,
    headers: Vec<(String, String)>,
    pub parts: Vec<Part>,
}

/// A leaf of its MIME tree.
#[derive(Debug)]
pub struct Part {
    pub kind: String,
    pub filename: Option<String>,
    /// Without angle brackets.
    pub content_id: Option<String>,
    /// Line ends as they came.
    pub body: Vec<u8>,
}

/// The mails that arrived, once there are so many.
pub async fn caught(rig: &Rig, count: usize) -> Vec<Caught> {
    assert!(rig.sandbox.wait_for_mails(count, PATIENCE).await, "{} of {count} mails", rig.sandbox.mails().len());
    let mails = rig.sandbox.mails();
    assert_eq!(mails.len(), count, "more than were sent");
    mails.into_iter().map(|mail| read(&rig.sandbox.mail_bytes(mail.n).unwrap(), mail.recipients)).collect()
}

fn read(bytes: &[u8], recipients: Vec<String>) -> Caught {
    let parsed = mailparse::parse_mail(bytes).unwrap();
    let headers = parsed.headers.iter().map(|header| (header.get_key(), header.get_value())).collect();
    let mut parts = Vec::new();
    leaves(&parsed, &mut parts);
    Caught { recipients, headers, parts }
}

fn leaves(part: &ParsedMail<'_>, found: &mut Vec<Part>) {
    if part.subparts.is_empty() {
        let content_id = part.headers.get_first_value("Content-ID");
        found.push(Part {
            kind: part.ctype.mimetype.clone(),
            filename: part.get_content_disposition().params.get("filename").cloned(),
            content_id: content_id.map(|id| id.trim_matches(['<', '>']).to_owned()),
            body: part.get_body_raw().unwrap(),
        });
    }
    for part in &part.subparts {
        leaves(part, found);
    }
}

impl Caught {
    /// A header's value, decoded.
    #[track_caller]
    pub fn header(&self, wanted: &str) -> &str {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or_else(|| panic!("no {wanted}: {:?}", self.headers), |(_, value)| value)
    }

    pub fn has(&self, wanted: &str) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    }

    /// The text of the first part of a type, with plain line ends and without the last.
    #[track_caller]
    pub fn text(&self, kind: &str) -> String {
        let part = self.parts.iter().find(|part| part.kind == kind && part.filename.is_none());
        let body = &part.unwrap_or_else(|| panic!("no {kind}: {:?}", self.parts)).body;
        String::from_utf8(body.clone()).unwrap().replace("\r\n", "\n").trim_end().to_owned()
    }

    /// The attachment of that name.
    #[track_caller]
    pub fn file(&self, name: &str) -> &Part {
        let found = self.parts.iter().find(|part| part.filename.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("no {name}: {:?}", self.parts))
    }
}
