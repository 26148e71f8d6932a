//! Byte searches over a mail: where the headers end, the Message-ID, bare line feeds.
//! Reads no more of a mail than it must; this is on the hot path of a benchmark.

/// The header block, without the empty line that ends it.
pub(super) fn headers(mail: &[u8]) -> &[u8] {
    let mut start = 0;
    while let Some(length) = mail[start..].iter().position(|byte| *byte == b'\n') {
        if mail[start..start + length].trim_ascii().is_empty() {
            return &mail[..start];
        }
        start += length + 1;
    }
    mail
}

/// Value of the Message-ID header.
pub(super) fn message_id(mail: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"message-id:";
    let mut rest = mail;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        if line.len() >= NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME) {
            let mut value = line[NAME.len()..].trim_ascii();
            let after = rest.get(end + 1..).unwrap_or_default();
            // A long id may stand on a folded line of its own.
            if value.is_empty() && after.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
                let folded_end = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
                value = after[..folded_end].trim_ascii();
            }
            return (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned());
        }
        if line.trim_ascii().is_empty() || end == rest.len() {
            return None;
        }
        rest = &rest[end + 1..];
    }
}

/// Whether some LF does not follow a CR. Two counts, because both compile to vector code.
pub(super) fn has_bare_lf(mail: &[u8]) -> bool {
    let line_feeds = mail.iter().filter(|byte| **byte == b'\n').count();
    let pairs = mail.iter().zip(mail.get(1..).unwrap_or_default()).filter(|pair| *pair == (&b'\r', &b'\n')).count();
    line_feeds != pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_is_found_in_headers_only() {
        let id = |mail: &str| message_id(mail.as_bytes());
        assert_eq!(id("Subject: a\r\nMESSAGE-Id: <x@y> \r\n\r\n"), Some("<x@y>".to_owned()));
        assert_eq!(id("Message-ID:\r\n <long@y>\r\n\r\n"), Some("<long@y>".to_owned()));
        assert_eq!(id("Subject: a\r\n\r\nMessage-ID: <body@y>\r\n"), None);
        assert_eq!(id("Message-ID:\r\nSubject: a\r\n\r\n"), None);
        assert_eq!(id("X-Message-ID: <x@y>\r\n"), None);
        assert_eq!(id(""), None);
    }

    #[test]
    fn headers_end_at_the_empty_line() {
        assert_eq!(headers(b"A: b\r\nC: d\r\n\r\nbody\r\n\r\n"), b"A: b\r\nC: d\r\n");
        assert_eq!(headers(b"A: b\r\n"), b"A: b\r\n");
    }

    #[test]
    fn bare_line_feeds_are_seen() {
        assert!(!has_bare_lf(b"a\r\nb\r\n"));
        assert!(has_bare_lf(b"a\nb\r\n"));
        assert!(has_bare_lf(b"\n"));
        assert!(!has_bare_lf(b""));
    }
}
