//! All that a record says of a mail but its bytes, out of the record's first part: the bytes stand last.
//!
//! A page of a hundred mails of 30 MB each would otherwise be read whole to show their subjects.

use std::fmt;
use std::io::Read as _;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::job::{Job, PACKED};
use super::pack;
use crate::address::Address;
use crate::mail::Tag;
use crate::telemetry::TraceContext;
use crate::telemetry::context::Stored;

/// So much of a record is enough: form and header of the frame, and its first block, which zstd makes of 128 KiB at most.
/// A smaller record is read whole.
pub(super) const HEAD_BYTES: usize = (128 << 10) + 1_024;
/// No envelope is longer: 100 recipients, 50 tags, a subject.
const LONGEST_ENVELOPE: u64 = 96 << 10;

/// The job in the first [`HEAD_BYTES`] of a record, without its bytes; nothing if it cannot be read.
pub(super) fn decode_head(head: &[u8]) -> Option<Job> {
    let (form, packed) = head.split_first()?;
    // Only frames of their own can be large: the dictionary is for small records.
    if *form != PACKED {
        return Job::decode(head).ok().map(|job| Job { bytes: Vec::new(), ..job });
    }
    let mut plain = Vec::new();
    // That the frame is cut is told when its rest would be needed, which is never before the envelope's end.
    let _ = pack::unpacker(packed)?.take(LONGEST_ENVELOPE).read_to_end(&mut plain);
    let mut found = Found::default();
    // An error, for the map is cut: what counts is whether its last field was reached.
    let _ = rmp_serde::Deserializer::from_read_ref(&plain).deserialize_map(&mut found);
    found.job()
}

/// The fields of a record as far as they were read.
#[derive(Default)]
struct Found {
    from: Option<Address>,
    recipients: Vec<Address>,
    cc: u8,
    bcc: u8,
    message_id: String,
    subject: String,
    tags: Vec<Tag>,
    smtputf8: bool,
    last_event: String,
    trace: Option<TraceContext>,
    is_complete: bool,
}

impl Found {
    fn job(self) -> Option<Job> {
        let from = self.from.filter(|_| self.is_complete)?;
        let Self { recipients, cc, bcc, message_id, subject, tags, smtputf8, last_event, trace, .. } = self;
        let bytes = Vec::new();
        Some(Job { from, recipients, cc, bcc, message_id, subject, tags, smtputf8, last_event, trace, bytes })
    }
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the map of a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "from" => self.from = Some(map.next_value()?),
                "recipients" => self.recipients = map.next_value()?,
                "cc" => self.cc = map.next_value()?,
                "bcc" => self.bcc = map.next_value()?,
                "message_id" => self.message_id = map.next_value()?,
                "subject" => self.subject = map.next_value()?,
                "tags" => self.tags = map.next_value()?,
                "smtputf8" => self.smtputf8 = map.next_value()?,
                "last_event" => self.last_event = map.next_value()?,
                "trace" => self.trace = map.next_value::<Stored>()?.0,
                "bytes" => {
                    self.is_complete = true;
                    return Ok(());
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(bytes: Vec<u8>) -> Job {
        Job {
            from: "alice@example.com".parse().unwrap(),
            recipients: (0..100).map(|n| format!("{n}{}@example.org", "x".repeat(50)).parse().unwrap()).collect(),
            cc: 3,
            bcc: 2,
            message_id: "<1@example.com>".to_owned(),
            subject: "Hello".repeat(40),
            tags: vec![Tag { name: "kind".to_owned(), value: "welcome".to_owned() }],
            smtputf8: true,
            last_event: "{}".to_owned(),
            trace: TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            bytes,
        }
    }

    /// Bytes that no packer makes smaller.
    fn noise(length: u64) -> Vec<u8> {
        let next = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 17)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (0..length / 8).flat_map(|n| (next(n) ^ next(n) >> 29).to_le_bytes()).collect()
    }

    #[test]
    fn the_head_tells_all_but_the_bytes() {
        let zeros = vec![0; 20 << 20];
        for bytes in [Vec::new(), b"Hello".to_vec(), noise(100 << 10), noise(200 << 10), noise(5 << 20), zeros] {
            let job = job(bytes);
            let record = job.encode().unwrap();
            let head = &record[..record.len().min(HEAD_BYTES)];
            assert_eq!(decode_head(head), Some(Job { bytes: Vec::new(), ..job }), "{}", record.len());
        }
        let kept = job(Vec::new()).encode_kept("{}").unwrap();
        assert_eq!(decode_head(&kept), Some(job(Vec::new())));
    }

    #[test]
    fn a_head_that_is_cut_too_early_tells_nothing() {
        let record = job(noise(1 << 20)).encode().unwrap();
        assert_eq!(decode_head(&record[..2_000]), None);
        assert_eq!(decode_head(&[]), None);
        assert_eq!(decode_head(&[9, 1, 2]), None);
    }
}
