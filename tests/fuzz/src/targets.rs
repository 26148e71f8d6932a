//! The targets: each takes any bytes.

use std::collections::BTreeSet;

use postroom::serve::read_email;
use postroom::templates::render_untrusted;
use postroom_shared::address::Address;
use postroom_shared::mail::{Mail, read_json};
use serde_json::Value;

use crate::frozen::{Read, freeze};
use crate::{NOW, faults, smtp};

/// A name, which is also that of its corpus and of its fuzzer, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] =
    &[("mail_json", mail_json), ("api", api), ("eml", eml), ("template", template), ("smtp_reply", smtp::reply)];
/// Bytes of each of the texts that a template makes, with room for what is put around them.
const LARGEST_TEXT: usize = 2 << 20;

/// A mail in JSON, as `postroom send` takes it.
fn mail_json(bytes: &[u8]) {
    match Mail::from_json_bytes(bytes, NOW) {
        Ok(mail) => accepted(&mail, &read_json(bytes).unwrap()),
        Err(told) => faults::check(&told),
    }
}

/// A mail in the API's dialect.
fn api(bytes: &[u8]) {
    match read_email(bytes, NOW) {
        Ok(mail) => drop(freeze(&mail)),
        Err(told) => faults::check(&told),
    }
}

/// A template: subject, HTML, text and a part, with a NUL between them.
fn template(bytes: &[u8]) {
    match render_untrusted(bytes) {
        Ok(made) => {
            assert!(!made.subject.contains(char::is_control), "a subject of several lines");
            for text in [Some(&made.subject), made.html.as_ref(), made.text.as_ref()].into_iter().flatten() {
                assert!(text.len() <= LARGEST_TEXT, "{} bytes are made", text.len());
            }
        }
        Err(told) => {
            assert!(!told.is_empty());
            told.iter().for_each(faults::check);
        }
    }
}

/// A ready message.
fn eml(bytes: &[u8]) {
    let mail = match Mail::from_eml(bytes, NOW) {
        Ok(mail) => mail,
        Err(told) => return faults::check(&told),
    };
    let Some(message) = freeze(&mail) else { return };
    // What goes out is read by ourselves as it was when it came, but for who is hidden.
    let shown = message.envelope.recipients.len() - usize::from(message.envelope.bcc);
    match Mail::from_eml(&message.bytes, NOW) {
        Ok(again) => {
            assert_eq!(again.recipients(), &mail.recipients()[..shown]);
            assert_eq!(again.from(), mail.from());
            assert_eq!(again.subject(), mail.subject());
            assert_eq!(freeze(&again).map(|again| again.bytes), Some(message.bytes), "it changed on the way");
        }
        Err(told) => assert!(shown == 0, "what goes out is refused: {told}"),
    }
}

/// A mail made of fields: another parser finds them in the message.
fn accepted(mail: &Mail, fields: &Value) {
    let Some(message) = freeze(mail) else { return };
    let read = Read::new(&message);
    let envelope = &message.envelope;
    let shown = &envelope.recipients[..envelope.recipients.len() - usize::from(envelope.bcc)];
    // The other parser reads no quoted local parts, and nothing but ASCII, as addresses.
    let is_plain = |address: &Address| address.reveal().is_ascii() && !address.reveal().contains('"');
    if shown.iter().chain([&envelope.from]).all(is_plain) {
        assert_eq!(read.addresses("From"), names(std::slice::from_ref(&mail.from().address)));
        let in_headers: BTreeSet<_> = read.addresses("To").union(&read.addresses("Cc")).cloned().collect();
        assert_eq!(in_headers, names(shown));
    }
    assert_eq!(read.header("Subject").unwrap_or_default(), fields["subject"].as_str().unwrap_or_default());
    for (field, mimetype) in [("text", "text/plain"), ("html", "text/html")] {
        let Some(given) = fields[field].as_str() else { continue };
        let found = read.body(mimetype).unwrap_or_else(|| panic!("no {mimetype}"));
        // A message ends with a line end, whether its text does or not.
        let cut = |text: &str| text.strip_suffix("\r\n").unwrap_or(text).to_owned();
        assert_eq!(cut(&found), cut(&crlf(given)), "{field}");
    }
    let given = fields["attachments"].as_array().map_or(0, Vec::len);
    assert_eq!(read.files().len(), given, "files");
}

fn names(addresses: &[Address]) -> BTreeSet<String> {
    addresses.iter().map(|address| address.reveal().to_lowercase()).collect()
}

fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Tries one input.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).expect("there is no such target");
    function(bytes);
}
