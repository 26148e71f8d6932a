//! The binary `postroom-worker`: see `postroom_worker::program`.

use std::process::ExitCode;

fn main() -> ExitCode {
    postroom_worker::program::main()
}
