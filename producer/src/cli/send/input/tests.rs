//! Tests of telling the forms of input apart, and reading them.

use std::io::Write as _;

use super::*;

#[test]
fn forms_by_name_and_by_first_line() {
    let table = [
        (r#"{"from": "a"}"#, "json", Ok(Form::Lines)),
        ("{", "json", Ok(Form::Object)),
        (r#"{"from": "a","#, "", Ok(Form::Object)),
        (r#"{"from": a}"#, "", Ok(Form::Lines)),
        (r#"{"from": a,"#, "", Ok(Form::Object)),
        (" [", "json", Ok(Form::Array)),
        (" [", "jsonl", Ok(Form::Lines)),
        ("hello", "ndjson", Ok(Form::Lines)),
        ("From: a@b.example", "txt", Err(())),
    ];
    for (first, extension, expected) in table {
        assert_eq!(form(first.as_bytes(), extension).map_err(drop), expected, "{first}");
    }
}

#[test]
fn an_array_falls_into_its_entries() {
    let shown = |text: &str| {
        entries(text.as_bytes())
            .map(|entries| entries.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(shown("[]").unwrap(), Vec::<String>::new());
    assert_eq!(
        shown(" [ {\"a\":\"],{\"} ,{\"a\":1,\"a\":2}, 7 ] \n").unwrap(),
        ["{\"a\":\"],{\"}", "{\"a\":1,\"a\":2}", "7"]
    );
    for (text, line) in [("[", 1), ("[{}", 1), ("[{},\n]", 2), ("[{}\n{}]", 2), ("[{}]\n x", 1), ("[{}] ]", 1)] {
        let error = shown(text).unwrap_err();
        assert!(error.contains(&format!("from line {line} on")), "{text:?}: {error}");
    }
}

fn input(text: &[u8], name: &str) -> Result<Input, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(text).unwrap();
    Input::open(&path, false)
}

fn places(text: &str, name: &str) -> Vec<Place> {
    let Ok(mut input) = input(text.as_bytes(), name) else { panic!("{text}") };
    let mut places = Vec::new();
    loop {
        let Ok(slice) = input.next_slice() else { panic!("{text}") };
        if slice.is_empty() {
            return places;
        }
        places.extend(slice.iter().map(|item| item.place));
    }
}

#[test]
fn lines_are_numbered_as_an_editor_does() {
    assert_eq!(places("\n{}\n\n{}\r\n{}", "x.jsonl"), [Place::Line(2), Place::Line(4), Place::Line(5)]);
    assert_eq!(places("\u{feff}{}\n{}\n", "x.json"), [Place::Line(1), Place::Line(2)]);
    assert_eq!(places("{\n\"a\": 1}\n", "x.json"), [Place::Only]);
    assert_eq!(places("[{},\n{}]", "x.json"), [Place::Entry(1), Place::Entry(2)]);
    assert_eq!(places("From: a", "x.EML"), [Place::Only]);
}

#[test]
fn many_lines_come_in_slices() {
    let text = "{}\n".repeat(2_500);
    let Ok(mut input) = input(text.as_bytes(), "x.jsonl") else { panic!() };
    let mut sizes = Vec::new();
    while let Ok(slice) = input.next_slice() {
        if slice.is_empty() {
            break;
        }
        sizes.push(slice.len());
    }
    assert_eq!(sizes, [1_000, 1_000, 500]);
    assert_eq!(input.read(), text.len() as u64);
}

#[test]
fn an_empty_file_is_told() {
    assert!(matches!(input(b" \n", "x.jsonl"), Err(Failure::Failed(why)) if why.contains("empty")));
}
