//! The thread that a frozen message belongs to, by its References or In-Reply-To.

/// The Message-ID that a message answers: the first of its References, else that of its In-Reply-To, with angle brackets.
#[must_use]
pub fn root_of(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let headers = String::from_utf8_lossy(&bytes[..end]);
    first_id(&headers, "References").or_else(|| first_id(&headers, "In-Reply-To"))
}

fn first_id(headers: &str, name: &str) -> Option<String> {
    let mut lines = headers.split("\r\n");
    let mut value = lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim_end().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })?;
    // Folded lines begin with a blank.
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push_str(line);
    }
    let (_, from) = value.split_once('<')?;
    let (id, _) = from.split_once('>')?;
    let id: String = id.split_whitespace().collect();
    (!id.is_empty()).then(|| format!("<{id}>"))
}

#[cfg(test)]
mod tests {
    use super::root_of;

    #[test]
    fn the_first_of_references_then_in_reply_to() {
        let table = [
            ("Subject: x\r\n\r\nReferences: <body@x>\r\n", None),
            ("References: <1@x> <2@x>\r\nIn-Reply-To: <2@x>\r\n\r\n", Some("<1@x>")),
            ("In-Reply-To: <2@x>\r\nSubject: x\r\n\r\n", Some("<2@x>")),
            ("REFERENCES:\r\n <1@x>\r\n\t<2@x>\r\nTo: <3@x>\r\n\r\n", Some("<1@x>")),
            ("References:\r\nTo: <3@x>\r\n\r\n", None),
            ("References: nonsense\r\nIn-Reply-To: <>\r\n\r\n", None),
        ];
        for (message, root) in table {
            assert_eq!(root_of(message.as_bytes()).as_deref(), root, "{message:?}");
        }
    }
}
