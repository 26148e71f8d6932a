//! The image's one program: both of Postroom's, of which it acts as the one by whose name it was called.
//!
//! They share most of what they are built of, so that one file takes two thirds of the room of two. Each starts as it does on its own:
//! here is nothing but the choice.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    if called.as_deref().and_then(|path| Path::new(path).file_name()) == Some(OsStr::new("postroom-worker")) {
        return postroom_worker::program::main();
    }
    postroom::program::main()
}
