//! What travels in Redis: a mail's envelope and frozen bytes, in a versioned, compressed record.
//!
//! Record: one byte for the form, then a zstd frame of a MessagePack map (1), or the map itself (2: what is kept of a mail
//! that is done, too small to be worth packing). New fields must have a default, so that
//! two versions of Postroom can live side by side; a change that cannot have one gets a new version byte.

use std::cell::RefCell;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::mail::Tag;
use crate::message::Message;

const PACKED: u8 = 1;
const PLAIN: u8 = 2;
/// Level 3 is zstd's own default: on mails of 2 KB it costs some 15 µs.
const LEVEL: i32 = 3;
/// No honest record is larger: the largest message (35,882,577 bytes) and its envelope.
const LARGEST: usize = 40 << 20;

thread_local! {
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Unpacker> = const { RefCell::new(Unpacker { zstd: None, room: Vec::new() }) };
}

/// What unpacking needs, kept from mail to mail.
struct Unpacker {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    room: Vec<u8>,
}

impl Unpacker {
    /// Room for a record larger than this is given back at once.
    const KEPT: usize = 64 << 10;

    fn unpack(&mut self, packed: &[u8], size: usize) -> Result<Job, JobError> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        let zstd = self.zstd.as_mut().ok_or(JobError::Damaged)?;
        self.room.clear();
        self.room.reserve(size);
        let job = match zstd.decompress_to_buffer(packed, &mut self.room) {
            Ok(_) => rmp_serde::from_slice(&self.room).map_err(|_| JobError::Damaged),
            Err(_) => Err(JobError::Damaged),
        };
        if self.room.capacity() > Self::KEPT {
            self.room = Vec::new();
        }
        job
    }
}

/// A mail as it travels. `bytes` is empty in the record that is kept after the mail is done. Its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `MAIL FROM`.
    pub from: Address,
    /// `RCPT TO`, all of them; the mail's state says which are still open.
    pub recipients: Vec<Address>,
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
    /// The message: RFC 5322, CRLF, no Bcc.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// A [`Job`] without its bytes, borrowed: it is written once for every mail that was sent.
#[derive(Serialize)]
struct Kept<'a> {
    from: &'a Address,
    recipients: &'a [Address],
    message_id: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "<[Tag]>::is_empty")]
    tags: &'a [Tag],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    smtputf8: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    last_event: &'a str,
    #[serde(with = "serde_bytes")]
    bytes: &'a [u8],
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
    #[error("the record has version {0}, this program reads 1 and 2")]
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
        let Message { envelope, message_id, subject, bytes } = message;
        Self {
            from: envelope.from,
            recipients: envelope.recipients,
            message_id,
            subject,
            tags,
            smtputf8,
            last_event: String::new(),
            bytes,
        }
    }

    /// The record.
    ///
    /// # Errors
    /// If it could not be compressed, which has not been seen.
    pub fn encode(&self) -> Result<Vec<u8>, JobError> {
        let unwritable = |error: &dyn fmt::Display| JobError::Unwritable(error.to_string());
        let plain = rmp_serde::to_vec_named(self).map_err(|error| unwritable(&error))?;
        let packed = PACKER.with_borrow_mut(|packer| {
            if packer.is_none() {
                *packer = Some(zstd::bulk::Compressor::new(LEVEL)?);
            }
            packer.as_mut().map_or_else(|| Ok(Vec::new()), |packer| packer.compress(&plain))
        });
        let mut record = vec![PACKED];
        record.append(&mut packed.map_err(|error| unwritable(&error))?);
        Ok(record)
    }

    /// The record kept when the bytes are no longer needed, with the last event of the timeline (JSON) or nothing.
    ///
    /// # Errors
    /// As [`Job::encode`].
    pub fn encode_kept(&self, last_event: &str) -> Result<Vec<u8>, JobError> {
        let kept = Kept {
            from: &self.from,
            recipients: &self.recipients,
            message_id: &self.message_id,
            subject: &self.subject,
            tags: &self.tags,
            smtputf8: self.smtputf8,
            last_event,
            bytes: &[],
        };
        let mut record = Vec::with_capacity(512 + last_event.len());
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
        match *version {
            PACKED => {}
            PLAIN => return rmp_serde::from_slice(packed).map_err(|_| JobError::Damaged),
            other => return Err(JobError::Version(other)),
        }
        let size = match zstd::zstd_safe::get_frame_content_size(packed) {
            Ok(Some(size)) => usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or(JobError::Damaged)?,
            Ok(None) | Err(_) => return Err(JobError::Damaged),
        };
        UNPACKER.with_borrow_mut(|unpacker| unpacker.unpack(packed, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            from: "alice@example.com".parse().unwrap(),
            recipients: vec!["bob@example.org".parse().unwrap()],
            message_id: "<1@example.com>".to_owned(),
            subject: "Hello".to_owned(),
            tags: Vec::new(),
            smtputf8: false,
            last_event: String::new(),
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
    fn a_stored_record_of_version_1_stays_readable() {
        let record = include_bytes!("fixtures/job-v1.bin");
        assert_eq!(Job::decode(record).unwrap(), job());
    }

    #[test]
    fn damage_is_told_and_never_panics() {
        let record = job().encode().unwrap();
        for end in 0..record.len() {
            assert!(Job::decode(&record[..end]).is_err());
        }
        for at in 0..record.len() {
            let mut broken = record.clone();
            broken[at] ^= 0x55;
            let _ = Job::decode(&broken);
        }
        assert!(matches!(Job::decode(&[9, 1, 2]), Err(JobError::Version(9))));
    }
}
