//! What travels in Redis: a mail's envelope and frozen bytes, in a versioned, compressed record.
//!
//! Record: one byte for the form, then
//! 1. a zstd frame of a MessagePack map (large records, and all of earlier versions),
//! 2. the map itself: what is kept of a mail that is done,
//! 3. a zstd frame of the map, made with the dictionary in `job-3.dict`, which is frozen for ever (see `pack`).
//!
//! New fields must have a default, so that two versions of Postroom can live side by side; a change that cannot have
//! one, or another dictionary, gets a new form byte. Every form that was ever written stays readable.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::pack::{self, Frame};
use crate::address::Address;
use crate::mail::Tag;
use crate::message::Message;
use crate::telemetry::TraceContext;
use crate::telemetry::context as trace_context;

pub(super) const PACKED: u8 = 1;
const PLAIN: u8 = 2;
const TRAINED: u8 = 3;
/// Room for all of a record but its bytes and its last event; most need less.
const ENVELOPE: usize = 512;

/// A mail as it travels. `bytes` is empty in the record that is kept after the mail is done. Its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `MAIL FROM`.
    pub from: Address,
    /// `RCPT TO`, all of them; the mail's state says which are still open.
    pub recipients: Vec<Address>,
    /// How many of the recipients are copies (Cc): those before the hidden ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cc: u8,
    /// How many of the recipients are hidden (Bcc): the last ones. The others are To.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bcc: u8,
    /// `Message-ID`, with its angle brackets.
    pub message_id: String,
    /// The subject, decoded and cut, for listings.
    pub subject: String,
    /// The app's own marks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The server must know SMTPUTF8: an address or a header is not ASCII.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub smtputf8: bool,
    /// The last event of its timeline (JSON), in the record of a mail that was sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_event: String,
    /// The span in which it was handed over, or the app's own where nobody recorded one; 25 bytes, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "trace_context::stored")]
    pub trace: Option<TraceContext>,
    /// The message: RFC 5322, CRLF, no Bcc.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// In which field of the mail a recipient stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientKind {
    /// To.
    #[default]
    To,
    /// Cc: a copy.
    Cc,
    /// Bcc: hidden from the others.
    Bcc,
}

impl RecipientKind {
    /// The word in listings and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::To => "to",
            Self::Cc => "cc",
            Self::Bcc => "bcc",
        }
    }
}

/// A [`Job`] without its bytes, borrowed: it is written once for every mail that was sent.
#[derive(Serialize)]
struct Kept<'a> {
    from: &'a Address,
    recipients: &'a [Address],
    #[serde(skip_serializing_if = "is_zero")]
    cc: u8,
    #[serde(skip_serializing_if = "is_zero")]
    bcc: u8,
    message_id: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "<[Tag]>::is_empty")]
    tags: &'a [Tag],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    smtputf8: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", with = "trace_context::stored")]
    trace: Option<TraceContext>,
    #[serde(with = "serde_bytes")]
    bytes: &'a [u8],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({}, {} recipients, {} bytes)", self.from, self.recipients.len(), self.bytes.len())
    }
}

/// A record that cannot be read. It says nothing of the contents.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Written by a later version of Postroom, or not by Postroom at all.
    #[error("the record has version {0}, this program reads 1 to 3")]
    Version(u8),
    /// Cut or damaged.
    #[error("the record is damaged")]
    Damaged,
    /// It could not be written.
    #[error("the record could not be made: {0}")]
    Unwritable(String),
}

impl Job {
    /// A job for a frozen message.
    #[must_use]
    pub fn new(message: Message, tags: Vec<Tag>) -> Self {
        let smtputf8 = message.needs_smtputf8();
        let (cc, bcc) = (message.envelope.cc, message.envelope.bcc);
        let Message { envelope, message_id, subject, bytes } = message;
        Self {
            from: envelope.from,
            recipients: envelope.recipients,
            cc,
            bcc,
            message_id,
            subject,
            tags,
            smtputf8,
            last_event: String::new(),
            trace: None,
            bytes,
        }
    }

    /// What the recipient at this place of the envelope is.
    #[must_use]
    pub fn kind(&self, place: usize) -> RecipientKind {
        let hidden = self.recipients.len().saturating_sub(usize::from(self.bcc));
        let copies = hidden.saturating_sub(usize::from(self.cc));
        match place {
            _ if place >= hidden => RecipientKind::Bcc,
            _ if place >= copies => RecipientKind::Cc,
            _ => RecipientKind::To,
        }
    }

    /// The record.
    ///
    /// # Errors
    /// If it could not be compressed, which has not been seen.
    pub fn encode(&self) -> Result<Vec<u8>, JobError> {
        let write = |plain: &mut Vec<u8>| {
            plain.reserve(self.bytes.len() + ENVELOPE);
            rmp_serde::encode::write_named(plain, self).map_err(io::Error::other)
        };
        let form = |frame| match frame {
            Frame::Alone => PACKED,
            Frame::Trained => TRAINED,
        };
        pack::pack(write, form).map_err(|error| JobError::Unwritable(error.to_string()))
    }

    /// The record kept when the bytes are no longer needed, with the last event of the timeline (JSON) or nothing.
    ///
    /// # Errors
    /// As [`Job::encode`].
    pub fn encode_kept(&self, last_event: &str) -> Result<Vec<u8>, JobError> {
        let kept = Kept {
            from: &self.from,
            recipients: &self.recipients,
            cc: self.cc,
            bcc: self.bcc,
            message_id: &self.message_id,
            subject: &self.subject,
            tags: &self.tags,
            smtputf8: self.smtputf8,
            last_event,
            trace: self.trace,
            bytes: &[],
        };
        let mut record = Vec::with_capacity(ENVELOPE + last_event.len());
        record.push(PLAIN);
        rmp_serde::encode::write_named(&mut record, &kept).map_err(|error| JobError::Unwritable(error.to_string()))?;
        Ok(record)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is of an unknown version or damaged.
    pub fn decode(record: &[u8]) -> Result<Self, JobError> {
        let (version, packed) = record.split_first().ok_or(JobError::Damaged)?;
        let read = |plain: &[u8]| rmp_serde::from_slice(plain).ok();
        let job = match *version {
            PACKED => pack::unpack(packed, Frame::Alone, read),
            PLAIN => read(packed),
            TRAINED => pack::unpack(packed, Frame::Trained, read),
            other => return Err(JobError::Version(other)),
        };
        job.ok_or(JobError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            from: "alice@example.com".parse().unwrap(),
            recipients: vec!["bob@example.org".parse().unwrap()],
            cc: 0,
            bcc: 0,
            message_id: "<1@example.com>".to_owned(),
            subject: "Hello".to_owned(),
            tags: Vec::new(),
            smtputf8: false,
            last_event: String::new(),
            trace: None,
            bytes: b"Subject: Hello\r\n\r\nHello hello hello hello hello hello hello\r\n".to_vec(),
        }
    }

    #[test]
    fn a_record_holds_what_went_in() {
        let record = job().encode().unwrap();
        assert_eq!(Job::decode(&record).unwrap(), job());
        let tags = vec![Tag { name: "kind".to_owned(), value: "welcome".to_owned() }];
        let whole = Job { tags, smtputf8: true, ..job() };
        let kept = Job::decode(&whole.encode_kept("{}").unwrap()).unwrap();
        assert_eq!(kept, Job { last_event: "{}".to_owned(), bytes: Vec::new(), ..whole });
    }

    #[test]
    fn a_trace_is_kept_at_the_cost_of_its_bytes_and_none_costs_nothing() {
        let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let traced = Job { trace, ..job() };
        assert!(trace.is_some());
        assert_eq!(Job::decode(&traced.encode().unwrap()).unwrap(), traced);
        let size = |job: &Job| job.encode_kept("").unwrap().len();
        assert_eq!(Job::decode(&traced.encode_kept("").unwrap()).unwrap().trace, trace);
        assert_eq!(size(&traced) - size(&job()), 6 + 2 + 25);
    }

    #[test]
    fn recipients_are_told_apart_at_the_cost_of_a_few_bytes() {
        let recipients = (0..5).map(|n| format!("{n}@example.org").parse().unwrap()).collect();
        let plain = Job { recipients, ..job() };
        let kinds = |job: &Job| (0..5).map(|place| job.kind(place)).collect::<Vec<_>>();
        use RecipientKind::{Bcc, Cc, To};
        assert_eq!(kinds(&plain), [To; 5]);
        let apart = Job { cc: 2, bcc: 1, ..plain.clone() };
        assert_eq!(kinds(&apart), [To, To, Cc, Cc, Bcc]);
        assert_eq!(Job::decode(&apart.encode().unwrap()).unwrap(), apart);
        let size = |job: &Job| job.encode_kept("").unwrap().len();
        assert_eq!(size(&apart) - size(&plain), 4 + 5);
        assert_eq!(kinds(&Job { cc: 200, bcc: 200, ..plain }), [Bcc; 5]);
    }

    #[test]
    fn a_stored_record_of_version_1_stays_readable() {
        let record = include_bytes!("fixtures/job-v1.bin");
        assert_eq!(Job::decode(record).unwrap(), job());
    }

    #[test]
    fn a_kept_record_with_copies_stays_readable() {
        let record = include_bytes!("fixtures/job-v2-copies.bin");
        let recipients = ["bob", "carol", "dan"].map(|name| format!("{name}@example.org").parse().unwrap()).to_vec();
        let kept = Job { recipients, cc: 1, bcc: 1, bytes: Vec::new(), ..job() };
        assert_eq!(Job::decode(record).unwrap(), kept);
        assert_eq!(kept.encode_kept("").unwrap(), record);
    }

    /// Fails if the dictionary was changed, which no record survives: a new dictionary is a new file and a new form.
    #[test]
    fn a_stored_record_of_version_3_stays_readable() {
        let record = include_bytes!("fixtures/job-v3.bin");
        assert_eq!(Job::decode(record).unwrap(), job());
        let dictionary = zstd::zstd_safe::get_dict_id_from_frame(&record[1..]).map(u32::from);
        assert_eq!(dictionary, Some(3));
    }

    #[test]
    fn small_records_use_the_dictionary_and_large_ones_do_not() {
        for (bytes, form) in [(0, TRAINED), (2_000, TRAINED), (32_000, TRAINED), (33_000, PACKED), (1_000_000, PACKED)]
        {
            let job = Job { bytes: b"Hello \r\n".repeat(bytes / 8), ..job() };
            let record = job.encode().unwrap();
            assert_eq!(record[0], form, "{bytes}");
            assert_eq!(Job::decode(&record).unwrap(), job);
        }
    }

    #[test]
    fn a_record_of_one_form_is_not_read_as_another() {
        let mut record = job().encode().unwrap();
        record[0] = PACKED;
        assert!(matches!(Job::decode(&record), Err(JobError::Damaged)));
    }

    #[test]
    fn a_frame_that_claims_to_be_larger_than_any_message_is_refused() {
        // The descriptor says: eight bytes of content size, one segment, no dictionary.
        let mut record = vec![TRAINED, 0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        record.extend_from_slice(&(1_u64 << 40).to_le_bytes());
        record.extend_from_slice(&[1, 0, 0]);
        for form in [PACKED, TRAINED] {
            record[0] = form;
            assert!(matches!(Job::decode(&record), Err(JobError::Damaged)));
        }
    }

    #[test]
    fn damage_is_told_and_never_panics() {
        let large = Job { bytes: (0..40_000_u32).flat_map(|n| (n / 3).to_le_bytes()).collect(), ..job() };
        for (job, step) in [(job(), 1), (large, 97)] {
            let record = job.encode().unwrap();
            for end in (0..record.len()).step_by(step) {
                assert!(Job::decode(&record[..end]).is_err());
            }
            for at in (0..record.len()).step_by(step) {
                let mut broken = record.clone();
                broken[at] ^= 0x55;
                let _ = Job::decode(&broken);
            }
        }
        assert!(matches!(Job::decode(&[9, 1, 2]), Err(JobError::Version(9))));
    }
}
