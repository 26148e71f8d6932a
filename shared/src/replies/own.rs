//! An operator's own rows, from the file that a setting names.

use std::fs;
use std::path::Path;

use super::Table;
use crate::settings::Source;

/// The setting that names the file.
pub const VARIABLE: &str = "POSTROOM_REPLIES_FILE";

impl Table {
    /// The builtin table with the rows of a file before its own.
    ///
    /// # Errors
    /// If the file cannot be read or used; every fault names row and field.
    pub fn with_file(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Self::with_overlay(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The table that a process works by, from `POSTROOM_REPLIES_FILE`; it lives as long as the process. What is wrong with the
/// file is a fault of the settings, and so is a builtin table that cannot be read: only then there is none.
pub fn from_settings(source: &mut Source) -> Option<&'static Table> {
    let builtin =
        Table::builtin().map_err(|error| source.fault("the builtin table of replies", &error.to_string())).ok();
    let Some(path) = source.text(VARIABLE) else { return builtin };
    match Table::with_file(Path::new(&path)) {
        Ok(table) => Some(Box::leak(Box::new(table))),
        Err(why) => {
            source.fault(VARIABLE, &why);
            builtin
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> (Option<&'static Table>, Result<(), String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.toml");
        fs::write(&path, text).unwrap();
        let mut source = Source::from_pairs([(VARIABLE.to_owned(), path.display().to_string())]);
        (from_settings(&mut source), source.finish().map_err(|error| error.to_string()))
    }

    #[test]
    fn rows_of_a_file_lie_on_top_and_every_fault_is_told() {
        let (table, told) = with_file(
            "[[row]]\nname = \"a\"\ncode = 599\nclass = \"soon\"\nreason = \"server_busy\"\nmeans = \"m\"\ndo = \"d\"\nsource = \"seen: x\"\n",
        );
        assert_eq!(told, Ok(()));
        assert!(table.unwrap().rows().next().unwrap().own);
        let (table, told) =
            with_file("[[row]]\nname = \"a\"\nclass = \"later\"\n[[row]]\nname = \"b\"\nclas = \"soon\"\n");
        let told = told.unwrap_err();
        assert!(
            ["POSTROOM_REPLIES_FILE", "row a, class", "row b, clas", "row b, means"].iter().all(|it| told.contains(it)),
            "{told}"
        );
        assert_eq!(table, Table::builtin().ok());
    }
}
