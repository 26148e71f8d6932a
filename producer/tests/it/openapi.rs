//! The OpenAPI document is a golden file: what changes in the API is seen in its diff.

use std::path::Path;
use std::{env, fs};

use serde_json::Value;

#[test]
fn the_document_is_the_one_in_the_docs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let now = postroom::serve::document().to_pretty_json().unwrap() + "\n";
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let same = kept == now;
    assert!(
        same,
        "docs/openapi.json is not what the code says: UPDATE_GOLDEN=1 cargo test -p postroom --test it openapi, then look at its diff"
    );
}

#[test]
fn every_request_tells_all_that_it_may_be_answered_with() {
    let document: Value = serde_json::from_str(&postroom::serve::document().to_json().unwrap()).unwrap();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            count += 1;
            let is_open = ["/livez", "/readyz"].contains(&path.as_str());
            let has_body = !operation["requestBody"].is_null();
            let has_place = path.contains('{');
            let needed = [
                ("401", !is_open),
                ("403", !is_open),
                ("429", !is_open),
                ("503", !is_open || path == "/readyz"),
                ("400", has_body),
                ("408", has_body),
                ("413", has_body),
                ("422", has_body),
                ("404", has_place),
            ];
            for (status, _) in needed.iter().filter(|(_, needed)| *needed) {
                assert!(!operation["responses"][status].is_null(), "{method} {path} does not tell of {status}");
            }
        }
    }
    assert!(count > 10, "{count} operations");
}

/// Two schemas of one name would become one, and one of them would be told wrongly.
#[test]
fn every_schema_has_a_name_of_its_own() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve")];
    let mut names = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            for (derives, rest) in text.split("#[derive(").skip(1).filter_map(|rest| rest.split_once(")]")) {
                let lines =
                    rest.lines().filter_map(|line| line.split_once("struct ").or_else(|| line.split_once("enum ")));
                let name = lines.map(|(_, name)| name).next().unwrap_or_default();
                if derives.contains("ToSchema") {
                    names.push(name.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned());
                }
            }
        }
    }
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|two| two[0] == two[1]).collect();
    assert!(names.len() > 30 && twice.is_empty(), "{twice:?} of {}", names.len());
}
