//! The settings in the manifests are the settings: every one that a program reads stands in its list, with its default, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A row of the README's table of settings, for one variable.
struct Row {
    default: String,
    read_by: String,
}

/// What begins with `POSTROOM_` in a cell, in order.
fn names(cell: &str) -> Vec<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.filter(|word| word.starts_with("POSTROOM_")).map(str::to_owned).collect()
}

fn table() -> BTreeMap<String, Row> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in readme.lines().filter(|line| line.starts_with("| `POSTROOM_")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let (names, read_by) = (names(cells[0]), cells[cells.len() - 1].trim());
        let defaults: Vec<&str> = cells[1].split(", ").collect();
        for (number, name) in names.iter().enumerate() {
            // Several variables in one row have either a default each, or one for all.
            let default = if defaults.len() == names.len() { defaults[number] } else { cells[1] };
            rows.insert(name.clone(), Row { default: default.to_owned(), read_by: read_by.to_owned() });
        }
    }
    assert!(rows.len() > 40, "{}", rows.len());
    rows
}

/// A list's lines: the variable, its value, and whether it stands at its default.
fn list(path: &str) -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let lines = text.lines().filter_map(|line| {
        let (bare, default) = line.strip_prefix("# ").map_or((line, false), |bare| (bare, true));
        let (name, value) = bare.split_once('=').filter(|(name, _)| name.starts_with("POSTROOM_"))?;
        Some((name.to_owned(), value.to_owned(), default))
    });
    lines.collect()
}

#[test]
fn each_program_is_given_every_setting_that_it_reads_and_no_other() {
    let table = table();
    for (path, readers) in
        [("k8s/base/worker/worker.env", ["both", "worker"]), ("k8s/base/producer/producer.env", ["both", "`serve`"])]
    {
        let reads = |row: &Row| row.read_by.split(", ").any(|reader| readers.contains(&reader));
        let wanted: BTreeSet<&String> = table.iter().filter(|(_, row)| reads(row)).map(|(name, _)| name).collect();
        let listed = list(path);
        let found: BTreeSet<&String> = listed.iter().map(|(name, _, _)| name).collect();
        assert_eq!(found.len(), listed.len(), "{path} names a setting twice");
        assert_eq!(wanted.difference(&found).collect::<Vec<_>>(), Vec::<&&String>::new(), "not in {path}");
        assert_eq!(found.difference(&wanted).collect::<Vec<_>>(), Vec::<&&String>::new(), "only in {path}");
        for (name, value, _) in listed.iter().filter(|(_, value, default)| *default && !value.is_empty()) {
            let default = table[name].default.replace(',', "");
            let words: Vec<&str> = default.split([' ', '`', ';']).filter(|word| !word.is_empty()).collect();
            assert!(
                words.contains(&value.as_str()),
                "{path}: {name}={value}, but README.md says {}",
                table[name].default
            );
        }
    }
}

#[test]
fn whatever_else_the_manifests_set_is_a_setting() {
    let table = table();
    let mut seen = 0;
    for (path, text) in crate::tidy::files_of(&["k8s/base", "k8s/components", "k8s/overlays"], &[".yaml", ".env"]) {
        for word in text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_') {
            let Some(rest) = word.strip_prefix("POSTROOM_") else { continue };
            let known = |name: &str| table.contains_key(&format!("POSTROOM_{name}"));
            assert!(known(rest) || rest.strip_suffix("_FILE").is_some_and(known), "{path}: {word}");
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn what_the_lists_set_can_be_read() {
    use postroom_shared::settings::Source;
    for path in ["k8s/base/worker/worker.env", "k8s/base/producer/producer.env"] {
        // At their defaults as well: a default that is told wrongly would be refused.
        let pairs = list(path).into_iter().filter(|(_, value, _)| !value.is_empty());
        let pairs: Vec<_> = pairs.map(|(name, value, _)| (name, value)).collect();
        if path.contains("worker") {
            let key = ("POSTROOM_SECRET_KEY".to_owned(), postroom_it::SECRET_KEY.to_owned());
            postroom_worker::settings::Settings::read(Source::from_pairs(pairs.into_iter().chain([key]))).unwrap();
        } else {
            let mut source = Source::from_pairs(pairs);
            let settings = postroom::serve::ServeSettings::read(&mut source);
            source.finish().unwrap();
            assert_eq!(settings.listen.port(), 8025);
        }
    }
}
