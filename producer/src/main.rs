//! The binary `postroom`: see `postroom::program`.

use std::process::ExitCode;

fn main() -> ExitCode {
    postroom::program::main()
}
