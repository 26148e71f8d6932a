//! Templates as files, so that they live in the app's git: a folder a template, and `_parts` for what they share.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use postroom_shared::templates::{LARGEST, TemplateName, TemplateSource};

use super::fault::TemplateFault;
use super::parts;

const FILES: &str = "a template has subject.txt, body.html, body.txt and sample.json (.j2 may follow)";
/// May follow the name of each file, for editors.
const ENDING: &str = ".j2";

/// The files of a folder by their names, without `.j2`.
type Files = BTreeMap<String, String>;

/// The templates in a folder, each with the parts that it uses. The folder of a single template will do, too: its parts lie in
/// `_parts` beside it.
///
/// # Errors
/// All that cannot be read or is not a template's.
pub fn read(folder: &Path) -> Result<Vec<(TemplateName, TemplateSource)>, Vec<TemplateFault>> {
    let folder = folder.canonicalize().map_err(|error| vec![unread(folder, &error)])?;
    let is_template =
        [format!("subject.txt{ENDING}"), "subject.txt".to_owned()].iter().any(|file| folder.join(file).exists());
    let (home, folders) = match folder.parent() {
        Some(parent) if is_template => (parent.to_owned(), vec![folder.clone()]),
        Some(_) | None => (folder.clone(), folders(&folder)?),
    };
    let mut faults = Vec::new();
    let mut take = |folder: &Path| files(folder).map_err(|more| faults.extend(more)).unwrap_or_default();
    let shared = if home.join(parts::FOLDER).is_dir() { take(&home.join(parts::FOLDER)) } else { Files::new() };
    let read: Vec<(String, Files)> = folders.iter().map(|folder| (named(folder), take(folder))).collect();
    let mut found = Vec::new();
    for (name, files) in read {
        match one(&name, files, &shared) {
            Ok(template) => found.push(template),
            Err(more) => faults.extend(more),
        }
    }
    if found.is_empty() && faults.is_empty() {
        faults.push(TemplateFault::new(named(&folder), format!("no template in it: a folder each, and {FILES}")));
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn one(name: &str, mut files: Files, shared: &Files) -> Result<(TemplateName, TemplateSource), Vec<TemplateFault>> {
    let fault = |file: &str, message: &str| TemplateFault::new(format!("{name}/{file}"), message);
    let mut faults = Vec::new();
    let parsed = name.parse::<TemplateName>().map_err(|message| faults.push(TemplateFault::new(name, message))).ok();
    let subject = files.remove("subject.txt");
    if subject.is_none() {
        faults.push(fault("subject.txt", "missing: a template makes a subject, too"));
    }
    let (html, text) = (files.remove("body.html"), files.remove("body.txt"));
    if html.is_none() && text.is_none() {
        faults.push(fault("body.html", "missing: give body.html, body.txt or both"));
    }
    let sample = files.remove("sample.json").map(|json| serde_json::from_str(&json)).transpose();
    let sample = sample.map_err(|error| {
        faults.push(TemplateFault { line: Some(error.line()), ..fault("sample.json", "not JSON from here on") });
    });
    faults.extend(files.keys().map(|file| fault(file, &format!("unknown file: {FILES}"))));
    match (parsed, subject, sample) {
        (Some(parsed), Some(subject), Ok(sample)) if faults.is_empty() => {
            let texts = [Some(&subject), html.as_ref(), text.as_ref()];
            let parts = parts::used(texts.into_iter().flatten().map(String::as_str), shared);
            Ok((parsed, TemplateSource { subject, html, text, parts, sample }))
        }
        _ => Err(faults),
    }
}

/// The folders of templates: all but those whose names begin with a dot or an underscore.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Vec<TemplateFault>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| vec![unread(folder, &error)])? {
        let path = entry.map_err(|error| vec![unread(folder, &error)])?.path();
        if path.is_dir() && !named(&path).starts_with(['.', '_']) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files of one folder. Hidden ones and what is written for people is passed over.
fn files(folder: &Path) -> Result<Files, Vec<TemplateFault>> {
    let mut files = Files::new();
    let mut faults = Vec::new();
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    for entry in entries.map_err(|error| vec![unread(folder, &error)])? {
        let (path, name) = (entry.path(), named(&entry.path()));
        if name.starts_with('.') || name.to_ascii_lowercase().ends_with(".md") {
            continue;
        }
        let short = name.strip_suffix(ENDING).unwrap_or(&name).to_owned();
        let shown = format!("{}/{name}", named(folder));
        let read = text(&path).and_then(|text| match files.insert(short, text) {
            None => Ok(()),
            Some(_) => Err(format!("it is there with and without {ENDING}: keep one")),
        });
        faults.extend(read.err().map(|message| TemplateFault::new(shown, message)));
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

fn text(path: &Path) -> Result<String, String> {
    let unread = |error: io::Error| format!("cannot be read: {error}");
    let facts = fs::metadata(path).map_err(unread)?;
    if !facts.is_file() {
        return Err("not a file: folders do not lie in each other".to_owned());
    }
    if facts.len() > LARGEST as u64 {
        return Err(format!("{} KiB: {} at most, over all files", facts.len() >> 10, LARGEST >> 10));
    }
    let bytes = fs::read(path).map_err(unread)?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8: save it as UTF-8".to_owned())?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn unread(path: &Path, error: &io::Error) -> TemplateFault {
    TemplateFault::new(path.display().to_string(), format!("cannot be read: {error}"))
}

fn named(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
