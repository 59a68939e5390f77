//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    falconer::cli::run()
}
