//! The mailboxes of a simulated account, named and marked as Gmail does in English.

/// Gmail's mailboxes: mark and name.
const MAILBOXES: [(&str, &str); 5] = [
    ("\\HasNoChildren", "INBOX"),
    ("\\HasChildren \\Noselect", "[Gmail]"),
    ("\\All \\HasNoChildren", "[Gmail]/All Mail"),
    ("\\HasNoChildren \\Sent", SENT),
    ("\\HasNoChildren \\Trash", "[Gmail]/Trash"),
];

/// The mailbox that holds what was accepted over SMTP.
pub(super) const SENT: &str = "[Gmail]/Sent Mail";

/// The lines of the answer to `LIST "" pattern`.
pub(super) fn list(pattern: &str) -> Vec<String> {
    if pattern.is_empty() {
        return vec![r#"* LIST (\Noselect) "/" "/""#.to_owned()];
    }
    let fitting = MAILBOXES.iter().filter(|(_, name)| fits(pattern.as_bytes(), name.as_bytes()));
    fitting.map(|(marks, name)| format!("* LIST ({marks}) \"/\" \"{name}\"")).collect()
}

/// Whether a mailbox can be opened.
pub(super) fn exists(name: &str) -> bool {
    name != "[Gmail]" && MAILBOXES.iter().any(|(_, known)| *known == name)
}

/// `*` stands for anything, `%` for anything without a `/`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [wild @ (b'*' | b'%'), rest @ ..] => {
            let reach = name.iter().position(|byte| *wild == b'%' && *byte == b'/').unwrap_or(name.len());
            (0..=reach).any(|skipped| fits(rest, &name[skipped..]))
        }
        [first, rest @ ..] => name.split_first().is_some_and(|(own, name)| own == first && fits(rest, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_mailboxes() {
        for (pattern, count) in
            [("*", 5), ("%", 2), ("[Gmail]/%", 3), ("*Sent*", 1), ("INBOX", 1), ("Nothing", 0), ("", 1)]
        {
            assert_eq!(list(pattern).len(), count, "{pattern}");
        }
        assert!(exists(SENT) && !exists("[Gmail]") && !exists("Sent"));
    }
}
