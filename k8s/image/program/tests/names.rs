//! The one program of the image is what it is called: the worker by a link of that name, the command line by any other.

use std::io;
use std::os::unix::fs::symlink;
use std::process::Command;

/// What `--help` of the program says first when it is called so.
fn help_as(name: &str) -> io::Result<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    symlink(env!("CARGO_BIN_EXE_postroom-image"), &path)?;
    let output = Command::new(path).arg("--help").env_clear().output()?;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

#[test]
fn a_link_named_postroom_worker_is_the_worker() {
    let help = help_as("postroom-worker").unwrap();
    assert!(help.starts_with("Sends the mail that waits in Redis through Gmail."), "{help}");
    assert!(help.contains("Usage: postroom-worker"), "{help}");
}

#[test]
fn by_any_other_name_it_is_the_command_line() {
    for name in ["postroom", "postroom-image", "postroom-workers"] {
        let help = help_as(name).unwrap();
        assert!(help.contains("doctor") && help.contains("serve"), "{name}: {help}");
        assert!(!help.starts_with("Sends the mail that waits"), "{name}: {help}");
    }
}
