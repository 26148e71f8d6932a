//! A line as a command: its tag, its name and its arguments. Literals are not simulated.

/// What a client asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) tag: String,
    /// In capitals; `UID` and what follows it are one name.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

impl Command {
    /// `None` if the line has not even a tag and a name.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (tag, rest) = line.split_once(' ')?;
        let tag_is_fine = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut words = words(rest)?.into_iter();
        let mut name = words.next()?.to_ascii_uppercase();
        if name == "UID" {
            name = format!("UID {}", words.next()?.to_ascii_uppercase());
        }
        tag_is_fine.then(|| Self { tag: tag.to_owned(), name, arguments: words.collect() })
    }
}

/// Atoms and quoted strings parted by single blanks. A list in parentheses stays what its atoms are.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        words.push(word);
        match after.strip_prefix(' ') {
            Some(more) => rest = more,
            None if after.is_empty() => return Some(words),
            None => return None,
        }
    }
}

/// The string up to its closing quote, and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((word, &text[at + 1..])),
            '\\' => word.push(chars.next().filter(|(_, c)| ['"', '\\'].contains(c))?.1),
            _ => word.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(String, String, Vec<String>)> {
        Command::parse(line).map(|command| (command.tag, command.name, command.arguments))
    }

    #[test]
    fn lines_are_taken_apart() {
        for (line, name, arguments) in [
            ("A1 capability", "CAPABILITY", &[][..]),
            (r#"A1 LIST "" "*""#, "LIST", &["", "*"]),
            (
                r#"A1 uid search HEADER Message-ID "<\"a\\b\"@x>""#,
                "UID SEARCH",
                &["HEADER", "Message-ID", r#"<"a\b"@x>"#],
            ),
        ] {
            let expected = arguments.iter().map(ToString::to_string).collect();
            assert_eq!(parsed(line), Some(("A1".to_owned(), name.to_owned(), expected)), "{line}");
        }
        for line in ["", "A1", "+ NOOP", r#"A1 LIST "" "*"#, r#"A1 LIST "a"b"#, r#"A1 LIST "\a""#, "A1 UID"] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
