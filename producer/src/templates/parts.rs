//! Parts: layouts and whatever else several templates share. Which ones a template uses, and how their names are written.
//!
//! `{% extends "layout" %}` means `_parts/layout.html` in HTML and `_parts/layout.txt` elsewhere.

use std::collections::BTreeMap;

use super::fault::TemplateFault;

/// Where parts lie in a folder of templates.
pub(super) const FOLDER: &str = "_parts/";
const ENDINGS: [&str; 2] = [".html", ".txt"];
/// The words that are followed by a part's name.
const USES: [&str; 4] = ["extends", "include", "import", "from"];
const LONGEST: usize = 100;

/// The file that `name` means in the file `parent`.
pub(super) fn resolve(name: &str, parent: &str) -> String {
    let name = name.strip_prefix(FOLDER).unwrap_or(name);
    if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return format!("{FOLDER}{name}");
    }
    format!("{FOLDER}{name}{}", if parent.ends_with(".html") { ".html" } else { ".txt" })
}

/// Those of `all` that texts use, and the parts that those use. A part counts as used if its name stands anywhere in quotes.
pub(super) fn used<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    all: &'a BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut texts: Vec<&str> = texts.into_iter().collect();
    let mut found = BTreeMap::new();
    while let Some(text) = texts.pop() {
        for (name, part) in all {
            if !found.contains_key(name) && names(text, name) {
                found.insert(name.clone(), part.clone());
                texts.push(part);
            }
        }
    }
    found
}

fn names(text: &str, part: &str) -> bool {
    let stem = ENDINGS.iter().find_map(|ending| part.strip_suffix(ending)).unwrap_or(part);
    let ways = [stem.to_owned(), part.to_owned(), format!("{FOLDER}{stem}"), format!("{FOLDER}{part}")];
    ways.iter().any(|way| ['"', '\''].iter().any(|quote| text.contains(&format!("{quote}{way}{quote}"))))
}

/// The parts that a file names and that are not there.
pub(super) fn missing(file: &str, text: &str, parts: &BTreeMap<String, String>) -> Vec<TemplateFault> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for tag in line.split("{%").skip(1) {
            let tag = tag.split("%}").next().unwrap_or_default();
            let words = tag.trim_start_matches('-').trim_start();
            let Some(rest) = USES.iter().find_map(|word| words.strip_prefix(word)) else { continue };
            let rest = rest.trim_start();
            let Some(quote) = rest.chars().next().filter(|c| ['"', '\''].contains(c)) else { continue };
            let Some(name) = rest[1..].split(quote).next() else { continue };
            let part = resolve(name, file);
            if !parts.contains_key(part.trim_start_matches(FOLDER)) && !tag.contains("ignore missing") {
                let mut fault = TemplateFault::new(file, format!("there is no {part}: put it into _parts"));
                fault.line = Some(number + 1);
                faults.push(fault);
            }
        }
    }
    faults
}

/// Parts whose names cannot be those of parts.
pub(super) fn unfit_names(parts: &BTreeMap<String, String>) -> Vec<TemplateFault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let unfit = |name: &&String| {
        name.len() > LONGEST || !name.chars().all(fits) || !ENDINGS.iter().any(|ending| name.ends_with(ending))
    };
    let told = "not the name of a part: letters, digits, dot, hyphen and underscore, and .html or .txt at the end";
    parts.keys().filter(unfit).map(|name| TemplateFault::new(format!("{FOLDER}{}", shown(name)), told)).collect()
}

fn shown(name: &str) -> String {
    name.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(names: &[(&str, &str)]) -> BTreeMap<String, String> {
        names.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_name_means_a_file_of_the_same_kind() {
        let table = [
            ("layout", "w/body.html", "_parts/layout.html"),
            ("layout", "w/body.txt", "_parts/layout.txt"),
            ("layout", "w/subject.txt", "_parts/layout.txt"),
            ("layout.txt", "w/body.html", "_parts/layout.txt"),
            ("_parts/layout", "_parts/a.html", "_parts/layout.html"),
            ("../../etc/passwd", "w/body.txt", "_parts/../../etc/passwd.txt"),
        ];
        for (name, parent, file) in table {
            assert_eq!(resolve(name, parent), file, "{name}");
        }
    }

    #[test]
    fn what_is_used_is_found_through_other_parts() {
        let all = parts(&[
            ("layout.html", "{% include 'footer' %}"),
            ("footer.html", "f"),
            ("footer.txt", "f"),
            ("other.html", "{% extends \"layout\" %}"),
        ]);
        let used = used(["{% extends \"layout.html\" %}"], &all);
        assert_eq!(used.keys().collect::<Vec<_>>(), ["footer.html", "footer.txt", "layout.html"]);
    }

    #[test]
    fn parts_that_are_not_there_are_told_with_their_line() {
        let text =
            "{%- extends 'layout' %}\n{% include \"x\" ignore missing %}\n{% include part %} {% from \"m\" import a %}";
        let told: Vec<String> =
            missing("w/body.html", text, &parts(&[("m.txt", "")])).iter().map(ToString::to_string).collect();
        let expected = [
            "w/body.html, line 1: there is no _parts/layout.html: put it into _parts",
            "w/body.html, line 3: there is no _parts/m.html: put it into _parts",
        ];
        assert_eq!(told, expected);
        assert!(missing("w/body.html", text, &parts(&[("m.html", ""), ("layout.html", "")])).is_empty());
    }

    #[test]
    fn names_of_parts_lead_nowhere_else() {
        let bad = ["../x.html", "a/b.html", "x", "x.js", ""];
        assert_eq!(unfit_names(&parts(&bad.map(|name| (name, "")))).len(), bad.len());
        assert!(unfit_names(&parts(&[("layout.html", ""), ("a-b_c.2.txt", "")])).is_empty());
    }
}
