//! What must stay true of the source, as checks and not as paragraphs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file below a folder with one of these endings, with its text.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "node_modules", ".git", ".cache"].contains(&name.as_str()) {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// [`files`] of several folders.
pub fn files_of(folders: &[&str], endings: &[&str]) -> Vec<(String, String)> {
    folders.iter().flat_map(|folder| files(folder, endings)).collect()
}

fn sources() -> Vec<(String, String)> {
    ["shared", "worker", "producer", "tests"].iter().flat_map(|folder| files(folder, &[".rs", ".lua"])).collect()
}

#[test]
fn files_stay_small() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 400)
        .collect();
    assert!(long.is_empty(), "over 400 lines: {long:?}");
}

#[test]
fn every_module_says_its_job() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!") && !text.starts_with("--"))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no opening lines: {silent:?}");
}

#[test]
fn worker_and_producer_never_meet_and_shared_knows_neither() {
    let manifest = |folder: &str| fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let depends =
        |folder: &str, name: &str| manifest(folder).lines().any(|line| line.starts_with(&format!("{name}.workspace")));
    for (folder, never) in [
        ("worker", "postroom"),
        ("producer", "postroom-worker"),
        ("shared", "postroom"),
        ("shared", "postroom-worker"),
        ("tests/sandbox", "postroom-shared"),
    ] {
        assert!(!depends(folder, never), "{folder} depends on {never}");
    }
    for folder in ["worker", "producer"] {
        assert!(depends(folder, "postroom-shared"), "{folder}");
    }
}

#[test]
fn redis_keys_are_made_in_one_file() {
    let elsewhere: Vec<_> = ["shared", "worker", "producer"]
        .iter()
        .flat_map(|folder| files(&format!("{folder}/src"), &[".rs", ".lua"]))
        .filter(|(name, _)| name != "shared/src/store/keys.rs")
        .filter(|(_, text)| text.contains("\"pr:") || text.contains("'pr:"))
        .map(|(name, _)| name)
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

/// The words that begin with `POSTROOM_` in a text.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        .filter(|word| word.starts_with("POSTROOM_") && word.len() > "POSTROOM_".len())
        .map(|word| word.trim_end_matches("_FILE").to_owned())
        .filter(|word| word != "POSTROOM_TLS_CA")
        .collect()
}

#[test]
fn every_setting_stands_in_the_readme_and_the_other_way_round() {
    let readme = variables(&fs::read_to_string(root().join("README.md")).unwrap());
    let code: BTreeSet<String> = ["shared/src", "worker/src", "producer/src"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs"]))
        .flat_map(|(_, text)| {
            // Tests of the settings make up names of their own.
            variables(text.split("#[cfg(test)]").next().unwrap_or_default())
        })
        .collect();
    assert_eq!(code.difference(&readme).collect::<Vec<_>>(), Vec::<&String>::new(), "not in README.md");
    assert_eq!(readme.difference(&code).collect::<Vec<_>>(), Vec::<&String>::new(), "only in README.md");
}

#[test]
fn nothing_is_left_undone_in_silence() {
    for (name, text) in sources() {
        for word in ["todo!(", "unimplemented!(", "#[ignore", "FIXME"] {
            assert!(!text.contains(word) || name.ends_with("tidy.rs"), "{name}: {word}");
        }
    }
}

#[test]
fn every_reason_has_a_word_and_help_of_its_own() {
    use postroom_shared::reason::Reason;
    let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(reason.as_str().parse::<Reason>().unwrap(), *reason);
        assert!(reason.help().ends_with('.'), "{reason:?}: {}", reason.help());
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}
