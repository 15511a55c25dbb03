//! The kiln program: arguments to command to exit code.

mod arguments;
mod command;
mod exit_code;
mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::run(arguments::read(std::env::args_os().skip(1))).into()
}
