//! Until when a certificate is valid: the few bytes of X.509 that rustls does not tell.
//!
//! rustls judges certificates; this only reads the end of one that it took, to say in how many days it must be renewed.

use crate::clock::Millis;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The `notAfter` of a certificate in DER; `None` if it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<Millis> {
    let (_, certificate, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut fields, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    // version (if it is there), serial number, signature, issuer; then the validity.
    let skipped = if element(fields)?.0 == VERSION { 4 } else { 3 };
    for _ in 0..skipped {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (tag, text, _) = element(element(validity)?.2)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The first element of some DER: its tag, its contents, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// `261123024500Z`, with a year before 2050, or `20501123024500Z`.
fn time(tag: u8, text: &str) -> Option<Millis> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number = |from: usize, to: usize| digits.get(from..to)?.parse::<i16>().ok();
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2_000 + year } else { 1_900 + year })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| i8::try_from(number(rest + 2 * index, rest + 2 * index + 2)?).ok();
    let civil = jiff::civil::DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(at).ok().map(Millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["smtp.gmail.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 11, 23);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        for (year, text) in [(2026, "2026-11-23T00:00:00.000Z"), (2061, "2061-11-23T00:00:00.000Z")] {
            assert_eq!(not_after(&certificate(year)).unwrap().to_string(), text);
        }
        assert_eq!(time(UTC_TIME, "991231235959Z").unwrap().to_string(), "1999-12-31T23:59:59.000Z");
    }

    #[test]
    fn what_is_cut_or_no_certificate_has_no_end() {
        let whole = certificate(2030);
        for length in 0..whole.len() {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        for bytes in [&b"\x30\x84\xff\xff\xff\xff"[..], b"\x30\x89", b"\x02\x01\x00", b"\x30\x02\x30\x00"] {
            assert_eq!(not_after(bytes), None);
        }
        assert_eq!(time(UTC_TIME, "26112302450Z"), None);
        assert_eq!(time(UTC_TIME, "261323024500Z"), None);
    }
}
