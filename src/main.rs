//! The `affidavit` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    affidavit::cli::main().into()
}
