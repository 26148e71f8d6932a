//! The trace that something belongs to, as W3C's header `traceparent` names it, and as a mail carries it through Redis.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer};

const STORED: usize = 25;
const SAMPLED: u8 = 1;

/// A span of a trace: who looks for what came before follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never all zeros.
    pub trace: [u8; 16],
    /// The span; never all zeros.
    pub span: [u8; 8],
    /// Whether whoever made it records it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`. Nothing of what is in another form, which
    /// counts as if there were none.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let [version] = hex::<1>(version)?;
        // Later versions may say more behind; the first says no more, and 255 is none.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = hex::<1>(flags)?;
        let context = Self { trace: hex(trace)?, span: hex(span)?, sampled: flags & SAMPLED != 0 };
        context.is_valid().then_some(context)
    }

    /// The trace's id as 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        digits(&self.trace)
    }

    fn is_valid(&self) -> bool {
        self.trace.iter().any(|byte| *byte != 0) && self.span.iter().any(|byte| *byte != 0)
    }

    fn to_bytes(self) -> [u8; STORED] {
        let mut bytes = [0; STORED];
        bytes[..16].copy_from_slice(&self.trace);
        bytes[16..24].copy_from_slice(&self.span);
        bytes[24] = u8::from(self.sampled);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STORED] = bytes.try_into().ok()?;
        let (trace, rest) = bytes.split_first_chunk::<16>()?;
        let (span, flags) = rest.split_first_chunk::<8>()?;
        let context = Self { trace: *trace, span: *span, sampled: flags[0] & SAMPLED != 0 };
        context.is_valid().then_some(context)
    }
}

/// As a `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", digits(&self.trace), digits(&self.span), u8::from(self.sampled))
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hex digits, as the header demands them.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A context as it lies in a record: 25 bytes. Anything else is read as none, for a mail is worth more than its trace.
#[derive(Debug, Default)]
pub struct Stored(pub Option<TraceContext>);

impl<'de> Deserialize<'de> for Stored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Ok(Self(TraceContext::from_bytes(&bytes)))
    }
}

/// For serde's `with`.
pub(crate) mod stored {
    use super::{Deserialize as _, Deserializer, Serializer, Stored, TraceContext};

    pub(crate) fn serialize<S: Serializer>(context: &Option<TraceContext>, serializer: S) -> Result<S::Ok, S::Error> {
        match context {
            Some(context) => serializer.serialize_bytes(&context.to_bytes()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TraceContext>, D::Error> {
        Ok(Stored::deserialize(deserializer)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = TraceContext::parse(HEADER).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), HEADER);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(TraceContext::from_bytes(&context.to_bytes()), Some(context));
        let later = format!("cc{}-what-comes-later", &HEADER[2..]);
        assert_eq!(TraceContext::parse(&later), Some(context));
        assert!(!TraceContext::parse(&HEADER.replace("-01", "-00")).unwrap().sampled);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let zeros = |digits: usize| "0".repeat(digits);
        for text in [
            String::new(),
            HEADER.to_uppercase(),
            format!("{HEADER}-more"),
            HEADER.replacen("00", "ff", 1),
            HEADER.replace("0af7651916cd43dd8448eb211c80319c", &zeros(32)),
            HEADER.replace("b7ad6b7169203331", &zeros(16)),
            HEADER.replace("b7ad", "+7ad"),
            HEADER[..50].to_owned(),
        ] {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
        assert_eq!(TraceContext::from_bytes(&[1; 24]), None);
        assert_eq!(TraceContext::from_bytes(&[0; 25]), None);
    }
}
